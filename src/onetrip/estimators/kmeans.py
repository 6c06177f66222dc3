"""KMeans with scikit-learn's interface, on the operator `kmeans`."""

import warnings
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.distributed as dist
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from torch import Tensor

from onetrip.estimators.arrays import Given
from onetrip.estimators.kmeans_base import BaseKMeans
from onetrip.estimators.kmeans_start import is_array, start_centers
from onetrip.ops.kmeans.lloyd import Solution
from onetrip.ops.kmeans.movement import worth_bounds


class KMeans(BaseKMeans):
    """K-means clustering, with every label that of exact arithmetic.

    The interface is that of ``sklearn.cluster.KMeans``. The distances [n_samples, n_clusters] are
    never stored: a block of scores stays in a core's cache or in registers, and samples whose
    nearest centre cannot have changed are left out of an iteration.

    Parameters
    ----------
    n_clusters : int, default 8
    init : {"k-means++", "random"}, callable or array-like of shape (n_clusters, n_features)
        Default "k-means++", greedy as in scikit-learn.
    n_init : "auto" or int, default "auto"
        Number of starts, the best of which is kept; "auto" is 1 for "k-means++" and an array, 10
        for "random" and a callable.
    max_iter : int, default 300
    tol : float, default 1e-4
        Relative to the mean variance of the features.
    verbose : int, default 0
        Print a line for each start.
    random_state : int, RandomState or None, default None
    copy_x : bool, default True
        Taken for compatibility: X is never written to.
    algorithm : {"lloyd", "elkan"}, default "lloyd"
        Both give the same results here, by the same code.
    metric : {"euclidean", "cosine"}, default "euclidean"
        "cosine" takes samples and centres to unit length; `inertia_` then sums ``1 - cosine``.
    process_group : "world", torch.distributed.ProcessGroup or None, default None
        The samples are split over its processes, each of which fits its own: the fitted centres,
        inertia and iterations are common, the labels each process's own. A drawn start is the
        first process's, from its samples.
    precision : {"certified", "fast"}, default "certified"
        "fast" leaves samples between two centres to the rounding of the product: near ties the
        second nearest centre may win.
    device : "auto" or a torch device, default "auto"
        "auto" computes where the samples are.

    Attributes
    ----------
    cluster_centers_ : of shape (n_clusters, n_features), float32 or float64
    labels_ : int32 of shape (n_samples,), nearest of `cluster_centers_`
    inertia_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names
    reevaluated_share_ : float
        Share of the samples looked at that were too close to a tie and were evaluated anew.

    References
    ----------
    scikit-learn, ``sklearn.cluster.KMeans``. Arthur and Vassilvitskii, k-means++, SODA 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.cluster import KMeans
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> kmeans = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> kmeans.labels_
    array([1, 1, 1, 0, 0, 0], dtype=int32)
    >>> kmeans.predict([[0, 0], [12, 3]])
    array([1, 0], dtype=int32)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseKMeans._parameter_constraints,
        "copy_x": ["boolean"],
        "algorithm": [StrOptions({"lloyd", "elkan"})],
        "metric": [StrOptions({"euclidean", "cosine"})],
        "process_group": [StrOptions({"world"}), dist.ProcessGroup, None],
    }
    _random_starts = 10

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
        metric: str = "euclidean",
        process_group: Any = None,
        precision: str = "certified",
        device: Any = "auto",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm
        self.metric = metric
        self.process_group = process_group
        self.precision = precision
        self.device = device

    def fit(self, X, y=None, sample_weight=None) -> Self:
        """Cluster samples.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
            A sparse matrix is made dense.
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative.

        Returns
        -------
        self
        """
        self._validate_params()
        given = self._take(X, reset=True)
        self._check_enough_samples(given.shape[0])
        starts = self._starts()
        if self.algorithm == "elkan" and self.n_clusters == 1:
            warnings.warn(
                "algorithm='elkan' doesn't make sense for a single cluster. Using 'lloyd' instead.",
                RuntimeWarning,
                stacklevel=2,
            )
        # A generator takes longer to make than a small start that needs none.
        random = None if is_array(self.init) else check_random_state(self.random_state)
        group = dist.group.WORLD if self.process_group == "world" else self.process_group
        all_at_once = not worth_bounds(*given.shape, self.n_clusters)
        points = self._points(given, sample_weight, group, with_columns=all_at_once)
        best = None
        for start in range(starts):
            centers = start_centers(self.init, self.n_clusters, points, given, random)
            if group is not None:
                dist.broadcast(centers, dist.get_global_rank(group, 0), group=group)
            found = self._solve(points, centers, max_iter=self.max_iter, tol=self.tol)
            if self.verbose:
                print(f"Start {start}: inertia {float(found.inertia)}, {found.n_iter} iterations")
            if best is None or self._is_better(found, best):
                best = found
        if best is None:
            raise AssertionError("n_init is at least 1")
        self._keep(given, best)
        return self

    def _is_better(self, found: Solution, best: Solution) -> bool:
        # Rounding alone makes the same clusters in another order a little better or worse.
        less = float(found.inertia) < float(best.inertia)
        return less and not _same_clustering(found.labels, best.labels, self.n_clusters)

    def _keep(self, given: Given, best: Solution) -> None:
        self.cluster_centers_ = given.answer(best.centers)
        self.labels_ = given.answer(best.labels)
        self.inertia_ = float(best.inertia)
        self.n_iter_ = best.n_iter
        self.reevaluated_share_ = best.reevaluated_share
        distinct = _distinct(best.labels)
        if distinct < self.n_clusters and self.process_group is None:
            warnings.warn(
                f"Number of distinct clusters ({distinct}) found smaller than n_clusters "
                f"({self.n_clusters}). Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=3,
            )


def _distinct(labels: Tensor) -> int:
    """How many clusters have samples."""
    if labels.is_cpu:
        return int(np.count_nonzero(np.bincount(labels.numpy())))
    return int(torch.bincount(labels).count_nonzero())


def _same_clustering(one: Tensor, other: Tensor, clusters: int) -> bool:
    """Whether two labellings are equal up to the names of the clusters."""
    names = torch.zeros(clusters, dtype=other.dtype, device=other.device)
    names[one.long()] = other
    return torch.equal(names[one.long()], other)
