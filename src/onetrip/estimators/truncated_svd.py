"""Truncated singular value decomposition with scikit-learn's interface."""

from numbers import Integral, Real
from typing import Any, Self

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint
from onetrip.estimators.arrays import DEVICES, Given, take
from onetrip.estimators.linear_projection import LinearProjection
from onetrip.estimators.sparse_svd import sparse_truncated_svd
from onetrip.estimators.svd_options import random_solver, refuse_options, seed_of
from onetrip.ops.truncated_svd.api import truncated_svd
from onetrip.tile.side_by_side import on_one_thread

_BLOCK_ROWS = 1 << 14
# Coordinates that one thread goes over in less time than another takes to wake.
_WORTH_THREADS = 1 << 20


class TruncatedSVD(LinearProjection):
    """Linear dimensionality reduction without centring: latent semantic analysis of text.

    The interface is that of ``sklearn.decomposition.TruncatedSVD``. Samples are read tile by
    tile; every tile serves both products of a power iteration while it is in cache.

    Parameters
    ----------
    n_components : int, default 2
        At most the number of features; with "arpack", less than both sides.
    algorithm : {"randomized", "arpack"}, default "randomized"
        "arpack" asks for exact values: of dense samples they come from the Gram matrix of the
        smaller side, corrected where it lost digits, of sparse ones from it or from ARPACK. Of
        dense samples on a GPU "randomized" is that Gram matrix, too, where it needs less time than
        random directions (up to 1024 samples or features always, to thousands of many
        components): values are exact then, and the four parameters below do nothing.
    n_iter : int, default 5
        Power iterations of "randomized".
    n_oversamples : int, default 10
        Directions that "randomized" follows beyond `n_components`.
    power_iteration_normalizer : {"auto", "QR"}, default "auto"
        Both are QR here; "LU" and "none" are refused.
    random_state : int, RandomState instance or None, default None
        Of the random directions.
    tol : float, default 0.0
        Of "arpack" in scikit-learn; exact values have none, so only 0 is taken.
    precision : {"certified", "fast"}, default "certified"
        "fast" leaves out the correction: with "arpack", singular values below 1e-6 of the largest
        lose digits.
    device : "auto" or a torch device, default "auto"
        "auto" computes where the samples are.

    Attributes
    ----------
    components_ : of shape (n_components, n_features)
    explained_variance_, explained_variance_ratio_, singular_values_ : of shape (n_components,)
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names

    References
    ----------
    scikit-learn, ``sklearn.decomposition.TruncatedSVD``. Halko, Martinsson, Tropp, arXiv 0909.4061.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.decomposition import TruncatedSVD
    >>> X = np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    >>> TruncatedSVD(n_components=2, random_state=0).fit(X).singular_values_
    array([3., 2.])
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's convention)
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "algorithm": [StrOptions({"arpack", "randomized"})],
        "n_iter": [Interval(Integral, 0, None, closed="left")],
        "n_oversamples": [Interval(Integral, 1, None, closed="left")],
        "power_iteration_normalizer": [StrOptions({"auto", "QR", "LU", "none"})],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "precision": [StrOptions({"certified", "fast"})],
        "device": DEVICES,
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        algorithm: str = "randomized",
        n_iter: int = 5,
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: Any = None,
        tol: float = 0.0,
        precision: str = "certified",
        device: str | torch.device = "auto",
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.n_iter = n_iter
        self.n_oversamples = n_oversamples
        self.power_iteration_normalizer = power_iteration_normalizer
        self.random_state = random_state
        self.tol = tol
        self.precision = precision
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the components of samples of shape (n_samples, n_features); `y` is ignored."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Learn the components, and answer the samples' coordinates along them."""
        self._validate_params()
        refuse_options(self.power_iteration_normalizer, self.tol)
        given = take(self, X, reset=True, device=self.device, accept_sparse=True)
        self._check_size(given)
        options: dict[str, Any] = {
            "n_components": self.n_components,
            "center": False,
            "solver": random_solver(given) if self.algorithm == "randomized" else "full",
            "n_iter": self.n_iter,
            "n_oversamples": self.n_oversamples,
            "seed": seed_of(self.random_state),
        }
        if given.csr is not None:
            values, extra = sparse_truncated_svd(given.csr, **options)
        else:
            options["precision"] = self.precision
            values, extra = truncated_svd(given.samples, **options)
        self.components_ = given.answer(extra["components"])
        coordinates = self._coordinates(given)
        variance = _variance(coordinates)
        ratio = variance / extra["total_variance"].double()
        self.explained_variance_ = given.answer(variance.to(values.dtype))
        self.explained_variance_ratio_ = given.answer(ratio.to(values.dtype))
        self.singular_values_ = given.answer(values)
        return given.answer(coordinates)

    def _check_size(self, given: Given) -> None:
        samples, features = given.shape
        if features < 2:
            raise ArgumentError(
                f"Found array with {features} feature(s) (shape={given.shape}) while a minimum of "
                "2 is required by TruncatedSVD."
            )
        if self.algorithm == "randomized" and self.n_components > features:
            raise ArgumentError(
                f"n_components({self.n_components}) must be <= n_features({features})."
            )
        if self.algorithm == "arpack" and self.n_components >= min(samples, features):
            expected = f"less than min(n_samples, n_features) = {min(samples, features)}"
            way_out = 'Use algorithm="randomized" for all of them.'
            raise ArgumentError(
                complaint("n_components", expected=expected, got=self.n_components, way_out=way_out)
            )

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks about an estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _variance(coordinates: Tensor) -> Tensor:
    """Variance of each column in float64, without a float64 copy of all rows."""
    if coordinates.is_cuda:
        return coordinates.var(0, correction=0).double()
    rows, blocks = coordinates.shape[0], coordinates.split(_BLOCK_ROWS)
    with on_one_thread(where=coordinates.numel() < _WORTH_THREADS):
        mean = torch.stack([block.double().sum(0) for block in blocks]).sum(0) / rows
        squares = [(block.double() - mean).square_().sum(0) for block in blocks]
        return torch.stack(squares).sum(0) / rows
