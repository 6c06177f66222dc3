"""The start of k-means alone, with scikit-learn's interface."""

from typing import Any

from sklearn.utils import check_random_state

from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.estimators.kmeans import KMeans
from onetrip.estimators.kmeans_start import plus_plus_rows


def kmeans_plusplus(
    X: Any,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    x_squared_norms: None = None,
    random_state: Any = None,
    n_local_trials: int | None = None,
    device: Any = "auto",
) -> tuple[Any, Any]:
    """Samples that are far from each other, to start k-means from: greedy k-means++.

    The interface is that of ``sklearn.cluster.kmeans_plusplus``, and so are the draws. A centre
    takes one trip over the samples.

    Parameters
    ----------
    X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
        A sparse matrix is made dense.
    n_clusters : int
    sample_weight : array-like of shape (n_samples,), optional
        Non-negative.
    x_squared_norms : None
        Not needed: anything else is refused.
    random_state : int, RandomState or None, default None
    n_local_trials : int or None, default None
        Candidates of each step; None for ``2 + log(n_clusters)``.
    device : "auto" or a torch device, default "auto"

    Returns
    -------
    centers : of shape (n_clusters, n_features), float32 or float64
    indices : int64 of shape (n_clusters,), with ``centers == X[indices]``

    Raises
    ------
    ArgumentError
        Fewer samples than clusters, no candidates.
    UnsupportedError
        `x_squared_norms` are given.

    References
    ----------
    Arthur and Vassilvitskii, k-means++, SODA 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.cluster import kmeans_plusplus
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> centers, indices = kmeans_plusplus(X, n_clusters=2, random_state=0)
    >>> bool((centers == X[indices]).all())
    True
    """
    if x_squared_norms is not None:
        expected = "None: norms are read from the samples"
        got = type(x_squared_norms).__name__
        raise UnsupportedError(complaint("x_squared_norms", expected=expected, got=got))
    if n_local_trials is not None and n_local_trials < 1:
        raise ArgumentError(complaint("n_local_trials", expected="at least 1", got=n_local_trials))
    model = KMeans(n_clusters, device=device)
    model._validate_params()
    given = model._take(X, reset=True)
    model._check_enough_samples(given.shape[0])
    points = model._points(given, sample_weight)
    rows = plus_plus_rows(n_clusters, points, check_random_state(random_state), n_local_trials)
    return given.answer(points.x[rows]), given.answer(rows)
