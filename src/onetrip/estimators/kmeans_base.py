"""What KMeans and MiniBatchKMeans share: checked input, labels, distances and score."""

import functools
import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
import torch.distributed as dist
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted
from torch import Tensor

from onetrip.core.errors import ArgumentError, ShapeError, complaint
from onetrip.estimators.arrays import DEVICES, Given, as_tensor, take
from onetrip.estimators.kmeans_start import is_array
from onetrip.estimators.parameter_checks import meets_constraints
from onetrip.ops.kmeans.distances import distances_to
from onetrip.ops.kmeans.labels import labels_of
from onetrip.ops.kmeans.lloyd import Solution
from onetrip.ops.kmeans.points import Placed, Points, place
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.solve import solve


class BaseKMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """Checks and predictions; the subclasses hold the parameters and `fit`."""

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like", Tensor],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "precision": [StrOptions({"certified", "fast"})],
        "device": DEVICES,
    }
    _random_starts: ClassVar[int]

    n_clusters: int
    init: Any
    n_init: Any
    max_iter: int
    tol: float
    precision: str
    device: Any
    cluster_centers_: Any
    labels_: Any

    @classmethod
    @functools.cache
    def _get_param_names(cls):
        # Read from a signature every time that a fit checks its parameters, otherwise.
        return super()._get_param_names()

    def _validate_params(self):
        # scikit-learn's own check makes its rules anew at each call, and has the words of errors.
        if not meets_constraints(self):
            super()._validate_params()

    def fit_predict(self, X, y=None, sample_weight=None):
        """Fit, and return `labels_`."""
        return self.fit(X, sample_weight=sample_weight).labels_  # type: ignore[attr-defined]

    def fit_transform(self, X, y=None, sample_weight=None):
        """Fit, and return the distances of the samples to the centres."""
        return self.fit(X, sample_weight=sample_weight).transform(X)  # type: ignore[attr-defined]

    def predict(self, X):
        """Index of the nearest centre of each sample, int32 of shape (n_samples,)."""
        given = self._take_fitted(X)
        if given.samples.is_cpu and self._metric == "euclidean":
            centers = self._fitted_centers()
            placed = place(given.samples, None, _common_offset(centers))
            labels = labels_of(placed, centers.to(placed.x), self.precision)
            return given.answer(torch.from_numpy(labels.astype(np.int32)))
        points = self._points(given, None)
        return given.answer(self._solve(points, self._centers(points), max_iter=0).labels)

    def transform(self, X):
        """Distances to the centres, of shape (n_samples, n_clusters).

        In the dtype of the samples or of the centres, whichever is the wider.
        That matrix is the result, so it is stored; nothing else of its size is.
        """
        given = self._take_fitted(X)
        centers = self._fitted_centers().to(given.samples.device)
        spherical = self._metric == "cosine"
        return given.answer(distances_to(given.samples, centers, spherical=spherical))

    def score(self, X, y=None, sample_weight=None):
        """Weighted sum of squared distances to the nearest centres, negated."""
        _, points = self._fitted_input(X, sample_weight)
        solution = self._solve(points, self._centers(points), max_iter=0)
        return -float(solution.inertia)

    @property
    def _metric(self) -> str:
        return getattr(self, "metric", "euclidean")

    def _take(self, X: Any, *, reset: bool, device: Any = None) -> Given:
        device = self.device if device is None else device
        refuse_batches(X)
        if isinstance(X, Tensor):
            return take(self, X, reset=reset, device=device)
        given = take(self, X, reset=reset, device=device, accept_sparse=True)
        if given.csr is None:
            return given
        dense = given.csr.toarray()
        return Given(as_tensor(dense).to(given.device), None, False, torch.device("cpu"))

    def _fitted_input(self, X: Any, sample_weight: Any) -> tuple[Given, Points]:
        given = self._take_fitted(X)
        return given, self._points(given, sample_weight)

    def _take_fitted(self, X: Any) -> Given:
        """Checked samples, at least as wide as the centres, which no rounding may move."""
        check_is_fitted(self)
        given = self._take(X, reset=False)
        if self._fitted_centers().dtype == torch.float64:
            return replace(given, tensor=given.samples.double())
        return given

    def _points(
        self,
        given: Given,
        sample_weight: Any,
        group: dist.ProcessGroup | None = None,
        *,
        with_columns: bool = False,
    ) -> Points:
        weight = weights_of(given, sample_weight)
        return prepare(given.samples, weight, self._metric, group, with_columns=with_columns)

    def _centers(self, points: Placed) -> Tensor:
        return self._fitted_centers().to(points.x)

    def _fitted_centers(self) -> Tensor:
        centers = self.cluster_centers_
        return centers if isinstance(centers, Tensor) else as_tensor(np.asarray(centers))

    def _solve(
        self, points: Points, centers: Tensor, *, max_iter: int, tol: float = 0.0
    ) -> Solution:
        return solve(
            points,
            centers,
            max_iter=max_iter,
            tol=tol,
            metric=self._metric,
            precision=self.precision,
        )

    def _starts(self) -> int:
        """How many starts `n_init` asks for."""
        drawn = isinstance(self.init, str) and self.init == "k-means++"
        if self.n_init == "auto":
            return 1 if drawn or is_array(self.init) else self._random_starts
        if is_array(self.init) and self.n_init != 1:
            warnings.warn(
                "Explicit initial center position passed: performing only one init in "
                f"{type(self).__name__} instead of n_init={self.n_init}.",
                RuntimeWarning,
                stacklevel=3,
            )
            return 1
        return self.n_init

    def _check_enough_samples(self, samples: int) -> None:
        if samples < self.n_clusters:
            raise ArgumentError(f"n_samples={samples} should be >= n_clusters={self.n_clusters}.")

    @property
    def _n_features_out(self) -> int:
        return self.cluster_centers_.shape[0]

    def __sklearn_tags__(self):
        """Sparse input is taken; it is made dense."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _common_offset(centers: Tensor) -> Tensor:
    """Mean [D] of centres that are far from the origin, else zeros; no pass over samples finds it.

    As in `prepare`, a small offset is not worth the centred copy.
    """
    mean = centers.mean(0)
    spread = (centers - mean).square().sum(1).mean()
    return mean if bool(mean.square().sum() > spread) else torch.zeros_like(mean)


def refuse_batches(X: Any) -> None:
    """Tell who brings many problems at once where they are solved."""
    if getattr(X, "ndim", 2) == 3:
        raise ShapeError(
            complaint(
                "X",
                expected="a matrix of shape (n_samples, n_features)",
                got=f"{list(X.shape)}: Found array with dim 3",
                way_out="Batches [B, N, D] are for the operator: onetrip.kmeans(x, centers).",
            )
        )


def weights_of(given: Given, sample_weight: Any) -> Tensor | None:
    """Checked weights of the samples, float64 where they are, or None."""
    if sample_weight is None:
        return None
    rows = given.shape[0]
    if isinstance(sample_weight, Tensor):
        weight = sample_weight.detach().double()
        if weight.shape != (rows,):
            expected = f"of shape ({rows},)"
            got = tuple(weight.shape)
            raise ShapeError(complaint("sample_weight", expected=expected, got=got))
    else:
        like = sparse.csr_matrix((rows, 1))
        weight = as_tensor(_check_sample_weight(sample_weight, like, dtype=np.float64))
    least, largest = weight.aminmax()
    if not (least >= 0 and torch.isfinite(largest)):
        got = "negative, infinite or NaN"
        raise ArgumentError(complaint("sample_weight", expected="finite and >= 0", got=got))
    if largest == 0:
        raise ArgumentError("Sample weights must contain at least one non-zero number.")
    return weight.to(given.samples.device)
