"""What the neighbours estimators share: parameters, `fit`, `kneighbors` and its graph."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.neighbors import VALID_METRICS
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.estimators.arrays import DEVICES, Given, take
from onetrip.estimators.neighbor_search import Corpus, Neighbors
from onetrip.estimators.parameter_checks import meets_constraints
from onetrip.tile.side_by_side import on_threads

# scikit-learn's name -> the operator's.
_METRICS = {
    "euclidean": "euclidean",
    "l2": "euclidean",
    "sqeuclidean": "sqeuclidean",
    "cosine": "cosine",
    "inner_product": "inner_product",
}
_KNOWN = {"inner_product", *(name for names in VALID_METRICS.values() for name in names)}
# Where a k-d tree of SciPy's beat the operator on two cores: docs/estimators/nearest_neighbors.md.
_TREE_FEATURES = 6
_TREE_SAMPLES = 2000


class NeighborsBase(BaseEstimator):
    """Samples that are asked for the nearest of them."""

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's convention)
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "radius": [Interval(Real, 0, None, closed="both"), None],
        "algorithm": [StrOptions({"auto", "ball_tree", "kd_tree", "brute"})],
        "leaf_size": [Interval(Integral, 1, None, closed="left")],
        "p": [Interval(Real, 0, None, closed="right"), None],
        "metric": [StrOptions(_KNOWN), callable],
        "metric_params": [dict, None],
        "n_jobs": [Integral, None],
        "precision": [StrOptions({"certified", "fast"})],
        "device": DEVICES,
    }

    n_neighbors: int
    radius: float
    algorithm: str
    metric: Any
    metric_params: dict | None
    p: float | None
    n_jobs: int | None
    precision: str
    device: Any

    def _validate_params(self) -> None:
        # scikit-learn's own check makes its rules anew at each call, and has the words of errors.
        if not meets_constraints(self):
            super()._validate_params()

    def _fit_corpus(self, X: Any) -> Given:
        """Check and keep the samples, and decide how they will be searched."""
        given = take(self, X, reset=True, device=self.device, accept_sparse=True)
        self.effective_metric_ = self._effective_metric()
        self.effective_metric_params_ = {}
        self.n_samples_fit_ = given.shape[0]
        tree = self._wants_tree(given)
        self._fit_method = "kd_tree" if tree else "brute"
        metric = _METRICS[self.effective_metric_]
        self._corpus = Corpus(given, metric, self.precision, tree=tree)
        return given

    def _effective_metric(self) -> str:
        params = dict(self.metric_params or {})
        p = params.pop("p", self.p)
        if params:
            raise UnsupportedError(
                complaint("metric_params", expected="without weights", got=self.metric_params)
            )
        if self.metric == "minkowski":
            if p != 2:
                way_out = "Other norms are scikit-learn's: sklearn.neighbors."
                raise UnsupportedError(complaint("p", expected="2", got=p, way_out=way_out))
            return "euclidean"
        if self.metric not in _METRICS:
            expected = f"'minkowski' with p=2 or one of {sorted(_METRICS)}"
            way_out = "Other metrics are scikit-learn's: sklearn.neighbors."
            got = self.metric if callable(self.metric) else repr(self.metric)
            raise UnsupportedError(complaint("metric", expected=expected, got=got, way_out=way_out))
        return self.metric

    def _wants_tree(self, given: Given) -> bool:
        possible = (
            given.tensor is not None
            and given.tensor.device.type == "cpu"
            and _METRICS[self.effective_metric_] == "euclidean"
        )
        if self.algorithm in ("kd_tree", "ball_tree"):
            if not possible:
                expected = "'brute' or 'auto' for sparse samples, GPUs and other metrics"
                raise UnsupportedError(
                    complaint("algorithm", expected=expected, got=repr(self.algorithm))
                )
            return True
        rows, columns = given.shape
        wanted = self.n_neighbors or 0
        small = columns <= _TREE_FEATURES and rows >= _TREE_SAMPLES and wanted < rows // 2
        return self.algorithm == "auto" and possible and small

    def _take_queries(self, X: Any) -> Given | None:
        """The checked queries; None asks for the samples themselves."""
        if X is None:
            return None
        return take(self, X, reset=False, device=self.device, accept_sparse=True)

    def _nearest(
        self, queries: Given | None, n_neighbors: int | None, *, ranked: bool = True
    ) -> Neighbors:
        """The neighbours of checked queries, on the device that computed them.

        Without `ranked` they may come in any order, and distances say nothing.
        """
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(k, Integral):
            raise TypeError(f"n_neighbors does not take {type(k)} value, enter integer value")
        if k <= 0:
            raise ValueError(f"Expected n_neighbors > 0. Got {k}")
        k = int(k)
        N = self.n_samples_fit_
        if k + (queries is None) > N:
            sign = "<" if queries is None else "<="
            asking = N if queries is None else queries.shape[0]
            raise ArgumentError(
                f"Expected n_neighbors {sign} n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {N}, n_samples = {asking}"
            )
        with on_threads(self.n_jobs):
            return self._corpus.nearest(queries, k, ranked=ranked)

    @property
    def reevaluated_share_(self) -> float:
        """Share of the last search's queries that scores could not decide."""
        check_is_fitted(self)
        return self._corpus.reevaluated_share

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find the nearest samples, exactly, nearest first, ties by the smallest index.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_queries, n_features), optional
            None asks for the neighbours of every sample, itself excluded.
        n_neighbors : int, optional
            In place of the constructor's.
        return_distance : bool, default True

        Returns
        -------
        neigh_dist : of shape (n_queries, n_neighbors)
            Float64 arrays; tensors have the dtype of the queries, at least float32.
        neigh_ind : int64 of shape (n_queries, n_neighbors)

        Raises
        ------
        ValueError
            More neighbours than samples, NaN or infinity, another number of features.
        """
        check_is_fitted(self)
        queries = self._take_queries(X)
        found = self._nearest(queries, n_neighbors)
        given = self._corpus.given if queries is None else queries
        indices = given.answer(found.indices)
        if not return_distance:
            return indices
        return given.answer(as_answered(found.distances, given)), indices

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> sparse.csr_matrix:
        """The neighbours as a sparse matrix of shape (n_queries, n_samples_fit), CSR.

        Parameters
        ----------
        X, n_neighbors : as in `kneighbors`
        mode : {"connectivity", "distance"}, default "connectivity"
            What the entries hold: ones, or distances.
        """
        check_is_fitted(self)
        _check_mode(mode)
        found = self._nearest(self._take_queries(X), n_neighbors)
        Q, k = found.indices.shape
        data = np.ones(Q * k)
        if mode == "distance":
            data = found.distances.cpu().numpy().ravel()
        begins = np.arange(0, Q * k + 1, k)
        shape = (Q, self.n_samples_fit_)
        return sparse.csr_matrix((data, found.indices.cpu().numpy().ravel(), begins), shape=shape)

    def __sklearn_tags__(self) -> Any:
        """Sparse samples are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def as_answered(distances: Tensor, given: Given) -> Tensor:
    """Distances in the dtype that the caller's kind wants: float64 in arrays, X's in tensors."""
    if not given.from_torch or given.samples.dtype == torch.float64:
        return distances
    return distances.float()


def _check_mode(mode: str) -> None:
    if mode not in ("connectivity", "distance"):
        raise ArgumentError(
            f'Unsupported mode, must be one of "connectivity", or "distance" but got "{mode}" '
            "instead"
        )
