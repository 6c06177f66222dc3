"""Nearest neighbours with scikit-learn's interface, exact, without the matrix of distances."""

import math
from numbers import Real
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.estimators.neighbors_base import NeighborsBase, _check_mode, as_answered
from onetrip.tile.side_by_side import on_threads


class NearestNeighbors(NeighborsBase):
    """Search for the nearest samples.

    The interface is that of ``sklearn.neighbors.NearestNeighbors``. The neighbours are those of
    float64, whatever offset or scale the samples have; the (n_queries, n_samples) distances are
    never stored.

    Parameters
    ----------
    n_neighbors : int, default 5
    radius : float, default 1.0
    algorithm : {"auto", "brute", "kd_tree", "ball_tree"}, default "auto"
        All give the same answer. "auto" takes SciPy's k-d tree where it is faster (few features);
        "ball_tree" is that tree too.
    leaf_size : int, default 30
        Kept for scikit-learn's signature; changes nothing.
    metric : default "minkowski"
        With ``p=2``, or "euclidean", "l2", "sqeuclidean", "cosine", "inner_product" (products,
        largest first).
    p : float, default 2
    metric_params : dict, optional
        Nothing but ``p``.
    n_jobs : int, optional
        Threads of a search, of those that torch may use: None or -1 all of them.
    precision : {"certified", "fast"}, default "certified"
        "fast" trusts rounded scores: near ties may come out wrong.
    device : "auto" or a torch device, default "auto"
        "auto" computes where the samples are.

    Attributes
    ----------
    effective_metric_ : str
    effective_metric_params_ : dict
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names
    n_samples_fit_ : int
    reevaluated_share_ : float
        Of the queries of the last search: those whose last neighbour rounded scores could not
        tell, and an exact evaluation did.

    References
    ----------
    scikit-learn, ``sklearn.neighbors.NearestNeighbors``.

    Examples
    --------
    >>> from onetrip.neighbors import NearestNeighbors
    >>> samples = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [1.0, 1.0, 0.5]]
    >>> distances, indices = NearestNeighbors(n_neighbors=1).fit(samples).kneighbors([[1, 1, 1]])
    >>> distances.tolist(), indices.tolist()
    ([[0.5]], [[2]])
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        radius: float = 1.0,
        algorithm: str = "auto",
        leaf_size: int = 30,
        metric: Any = "minkowski",
        p: float | None = 2,
        metric_params: dict | None = None,
        n_jobs: int | None = None,
        precision: str = "certified",
        device: str | torch.device = "auto",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.metric = metric
        self.p = p
        self.metric_params = metric_params
        self.n_jobs = n_jobs
        self.precision = precision
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Keep the samples.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
        y : ignored
        """
        self._validate_params()
        self._fit_corpus(X)
        return self

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Find all samples within a radius, exactly.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_queries, n_features), optional
            None asks for the neighbours of every sample, itself excluded.
        radius : float, optional
            In place of the constructor's; a distance of exactly this is within.
        return_distance : bool, default True
        sort_results : bool, default False
            By distance; else by index.

        Returns
        -------
        neigh_dist, neigh_ind : arrays of shape (n_queries,) that hold an array each
            For tensors, lists of tensors.

        Raises
        ------
        UnsupportedError
            Inner products, which are no distances.
        ArgumentError
            A radius that is not one number >= 0.
        """
        check_is_fitted(self)
        if sort_results and not return_distance:
            raise ArgumentError("return_distance must be True if sort_results is True.")
        queries = self._take_queries(X)
        given = self._corpus.given if queries is None else queries
        if self.effective_metric_ == "inner_product":
            raise UnsupportedError(
                complaint("metric", expected="a distance for a radius", got="'inner_product'")
            )
        reach = _checked_radius(self.radius if radius is None else radius)
        with on_threads(self.n_jobs):
            distances, indices = self._corpus.within(queries, reach)
        if sort_results:
            orders = [row.argsort(stable=True) for row in distances]
            distances = [row[order] for row, order in zip(distances, orders, strict=True)]
            indices = [row[order] for row, order in zip(indices, orders, strict=True)]
        found = _as_kind(indices, given)
        if not return_distance:
            return found
        return _as_kind([as_answered(row, given) for row in distances], given), found

    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> sparse.csr_matrix:
        """All samples within a radius, as a sparse matrix of shape (n_queries, n_samples_fit).

        Parameters
        ----------
        X, radius, sort_results : as in `radius_neighbors`
        mode : {"connectivity", "distance"}, default "connectivity"
            What the entries hold: ones, or distances.
        """
        check_is_fitted(self)
        _check_mode(mode)
        distances, indices = self.radius_neighbors(X, radius, True, sort_results)
        begins = np.cumsum([0, *(len(row) for row in indices)])
        data = np.ones(begins[-1])
        if mode == "distance":
            data = np.concatenate([np.asarray(row, dtype=float) for row in distances])
        columns = np.concatenate([np.asarray(row) for row in indices])
        shape = (len(indices), self.n_samples_fit_)
        return sparse.csr_matrix((data, columns, begins), shape=shape)


def _checked_radius(radius: Any) -> float:
    # A search compares squares: what is negative would find everything.
    number = float(radius) if isinstance(radius, Real) else math.nan
    if not number >= 0:
        shape = getattr(radius, "shape", ())
        got = f"shape {tuple(shape)}" if shape else repr(radius)
        way_out = "For one a query, search with the largest and drop what is farther."
        raise ArgumentError(
            complaint("radius", expected="one number >= 0", got=got, way_out=way_out)
        )
    return number


def _as_kind(rows: list[torch.Tensor], given: Any) -> Any:
    """Rows of different lengths: a list of tensors, or an array that holds arrays."""
    answers = [given.answer(row) for row in rows]
    if given.from_torch:
        return answers
    held = np.empty(len(answers), dtype=object)
    held[:] = answers
    return held
