"""HDBSCAN with scikit-learn's interface, on an exact spanning tree that stores no N × N."""

import math
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from onetrip.core.errors import UnsupportedError, complaint
from onetrip.estimators.arrays import DEVICES, Given, largest_of, refuse_too_large, take
from onetrip.estimators.hdbscan_trees import CondensedTree, SingleLinkageTree
from onetrip.ops.hdbscan.api import spanning
from onetrip.ops.hdbscan.centres import centroids, medoids
from onetrip.ops.hdbscan.condense import condense, outlier_scores
from onetrip.ops.hdbscan.edges import Spanning, root
from onetrip.ops.hdbscan.flat import (
    Selection,
    labels_of,
    persistence_of,
    probabilities_of,
    select_clusters,
)
from onetrip.ops.hdbscan.linkage import Linkage, single_linkage
from onetrip.ops.hdbscan.missing import put_back
from onetrip.ops.hdbscan.prim_order import in_prim_order
from onetrip.tile.side_by_side import on_one_thread

_INFINITE, _MISSING = -2, -3


class HDBSCAN(ClusterMixin, BaseEstimator):
    """Clusters of varying density, and noise, from the hierarchy of their densities.

    The interface is that of ``sklearn.cluster.HDBSCAN``, and so are labels and probabilities. The
    spanning tree of mutual reachability is exact; memory grows with n_samples, not with its
    square.

    Parameters
    ----------
    min_cluster_size : int, default 5
        Smaller groups are noise.
    min_samples : int, optional
        Which nearest neighbour the core distance is the distance of; None, `min_cluster_size`.
    cluster_selection_epsilon : float, default 0.0
        Clusters that split at a smaller distance are not split.
    max_cluster_size : int, optional
        Larger clusters are split where they can be; "eom" only.
    metric : {"euclidean"}, default "euclidean"
    metric_params : None
    alpha : float, default 1.0
        Distances, not core distances, are divided by it.
    algorithm : {"auto", "brute", "kd_tree", "ball_tree"}, default "auto"
        Changes no result and is taken for compatibility, like `leaf_size` and `n_jobs`.
    leaf_size : int, default 40
    n_jobs : int, optional
    cluster_selection_method : {"eom", "leaf"}, default "eom"
    allow_single_cluster : bool, default False
    store_centers : {"centroid", "medoid", "both"}, optional
    copy : bool, default True
        Samples are never written into, whatever this says.
    core_distance : {"including_self", "excluding_self"}, default "including_self"
        Whether `min_samples` counts the sample itself, as scikit-learn does, or not, as the
        hdbscan library does.
    precision : {"certified", "fast"}, default "certified"
        See `onetrip.hdbscan`.
    device : "auto" or a torch device, default "auto"
        "auto" computes the spanning tree where the samples are.

    Attributes
    ----------
    labels_ : int64 of shape (n_samples,)
        -1 noise, -2 samples with infinity, -3 samples with NaN.
    probabilities_ : float64 of shape (n_samples,)
    outlier_scores_ : float64 of shape (n_samples,)
        GLOSH: 0 in the densest part of a cluster, near 1 far outside.
    cluster_persistence_ : float64 of shape (n_clusters,)
    centroids_, medoids_ : of shape (n_clusters, n_features), with `store_centers`
    condensed_tree_ : CondensedTree
    single_linkage_tree_ : SingleLinkageTree
    reevaluated_share_ : float
        Share of the samples whose neighbours were decided in float64.
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names

    References
    ----------
    scikit-learn, ``sklearn.cluster.HDBSCAN``. Campello, Moulavi, Zimek, Sander, Hierarchical
    density estimates for data clustering, visualization, and outlier detection, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.cluster import HDBSCAN
    >>> X = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [99.0]])
    >>> HDBSCAN(min_cluster_size=3, min_samples=2).fit_predict(X)
    array([ 1,  1,  1,  0,  0,  0, -1])
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's convention)
        "min_cluster_size": [Interval(Integral, 2, None, closed="left")],
        "min_samples": [Interval(Integral, 1, None, closed="left"), None],
        "cluster_selection_epsilon": [Interval(Real, 0, None, closed="left")],
        "max_cluster_size": [None, Interval(Integral, 1, None, closed="left")],
        "metric": [str, callable],
        "metric_params": [dict, None],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "algorithm": [StrOptions({"auto", "brute", "kd_tree", "ball_tree"})],
        "leaf_size": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "cluster_selection_method": [StrOptions({"eom", "leaf"})],
        "allow_single_cluster": ["boolean"],
        "store_centers": [None, StrOptions({"centroid", "medoid", "both"})],
        "copy": ["boolean"],
        "core_distance": [StrOptions({"including_self", "excluding_self"})],
        "precision": [StrOptions({"certified", "fast"})],
        "device": DEVICES,
    }

    def __init__(
        self,
        min_cluster_size=5,
        min_samples=None,
        cluster_selection_epsilon=0.0,
        max_cluster_size=None,
        metric="euclidean",
        metric_params=None,
        alpha=1.0,
        algorithm="auto",
        leaf_size=40,
        n_jobs=None,
        cluster_selection_method="eom",
        allow_single_cluster=False,
        store_centers=None,
        copy=True,
        *,
        core_distance="including_self",
        precision="certified",
        device="auto",
    ):
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.max_cluster_size = max_cluster_size
        self.metric = metric
        self.metric_params = metric_params
        self.alpha = alpha
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.n_jobs = n_jobs
        self.cluster_selection_method = cluster_selection_method
        self.allow_single_cluster = allow_single_cluster
        self.store_centers = store_centers
        self.copy = copy
        self.core_distance = core_distance
        self.precision = precision
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find clusters.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
            Sparse samples are laid out densely. Rows with NaN or infinity belong to no cluster.
        y : ignored.

        Returns
        -------
        self
        """
        self._refuse_what_is_not_euclidean()
        given = take(self, X, reset=True, device=self.device, accept_sparse=True, finite=False)
        samples = _dense(given, self.device)
        largest, kept = largest_of(samples), samples
        where = np.arange(samples.shape[0])
        if not math.isfinite(largest):
            rows = torch.isfinite(samples).all(1).nonzero().squeeze(1)
            kept, where = samples[rows], rows.cpu().numpy()
            largest = largest_of(kept)
        refuse_too_large(largest, kept.dtype)
        self._cluster(kept, where, samples.shape[0])
        if kept is not samples:
            self._mark_what_is_not_finite(samples, where)
        if self.store_centers is not None:
            self._find_centres(kept, where, given)
        for name in ("labels_", "probabilities_", "outlier_scores_", "cluster_persistence_"):
            setattr(self, name, given.answer(torch.from_numpy(getattr(self, name))))
        return self

    def fit_predict(self, X: Any, y: Any = None) -> Any:
        """Find clusters and return the labels of shape (n_samples,).

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
        y : ignored.
        """
        return self.fit(X).labels_

    def dbscan_clustering(self, cut_distance: float, min_cluster_size: int = 5) -> Any:
        """Labels of shape (n_samples,) of a cut at one distance: DBSCAN without border points.

        Parameters
        ----------
        cut_distance : mutual reachability below which samples are joined.
        min_cluster_size : smaller groups are noise.
        """
        check_is_fitted(self)
        labels = self.single_linkage_tree_.get_clusters(cut_distance, min_cluster_size)
        fitted: Any = self.labels_
        if isinstance(fitted, Tensor):
            found = torch.from_numpy(labels).to(fitted.device)
            return torch.where(fitted < -1, fitted, found)
        return np.where(fitted < -1, fitted, labels)

    def _refuse_what_is_not_euclidean(self) -> None:
        if self.metric != "euclidean":
            way_out = "For cosine, normalise the samples first. A matrix of distances is N × N."
            raise UnsupportedError(
                complaint("metric", expected='"euclidean"', got=repr(self.metric), way_out=way_out)
            )
        if self.metric_params:
            raise UnsupportedError(
                complaint("metric_params", expected="None", got=repr(self.metric_params))
            )

    def _cluster(self, samples: Tensor, where: np.ndarray, n_samples: int) -> None:
        """Fit finite samples, which stand at the rows `where` of all."""
        N = samples.shape[0]
        if N == 1:
            raise ValueError("n_samples=1 while HDBSCAN requires more than one sample")
        asked = self.min_cluster_size if self.min_samples is None else self.min_samples
        counted = asked if self.core_distance == "including_self" else asked + 1
        if counted > N:
            raise ValueError(
                f"min_samples ({asked}) must be at most the number of samples in X ({N})"
            )
        tree = spanning(
            samples, min_samples=counted, alpha=float(self.alpha), precision=self.precision
        )
        self.reevaluated_share_ = tree.reevaluated
        with on_one_thread(where=samples.device.type == "cpu"):
            linkage = _merges(tree)
            condensed = condense(linkage, self.min_cluster_size)
        how = Selection(
            self.cluster_selection_method,
            self.cluster_selection_epsilon,
            self.allow_single_cluster,
            self.max_cluster_size,
        )
        chosen = select_clusters(condensed, how)
        labels = labels_of(condensed, chosen, how)
        found = labels, probabilities_of(condensed, chosen, labels), outlier_scores(condensed)
        if N < n_samples:
            found = (_among_all(each, where, n_samples) for each in found)
        self.labels_, self.probabilities_, self.outlier_scores_ = found
        self.cluster_persistence_ = persistence_of(condensed, chosen, labels)
        linkage, condensed = put_back(linkage.cpu(), condensed, where, n_samples)
        self.single_linkage_tree_ = SingleLinkageTree(linkage)
        self.condensed_tree_ = CondensedTree(condensed, chosen)

    def _mark_what_is_not_finite(self, samples: Tensor, finite: np.ndarray) -> None:
        marked = np.full(samples.shape[0], _INFINITE)
        marked[finite] = self.labels_[finite]
        missing = torch.isnan(samples.sum(1, dtype=torch.float64)).cpu().numpy()
        marked[missing], self.probabilities_[missing] = _MISSING, np.nan
        self.labels_ = marked

    def _find_centres(self, samples: Tensor, where: np.ndarray, given: Given) -> None:
        labels, strength = (
            torch.from_numpy(values[where]).to(samples.device)
            for values in (self.labels_, self.probabilities_)
        )
        clusters = int(self.labels_.max()) + 1 if self.labels_.max() >= 0 else 0
        if self.store_centers in ("centroid", "both"):
            self.centroids_ = given.answer(centroids(samples, labels, strength, clusters))
        if self.store_centers in ("medoid", "both"):
            self.medoids_ = given.answer(samples[medoids(samples, labels, strength, clusters)])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


def _merges(tree: Spanning) -> Linkage:
    edges = tree.edges.row, tree.edges.column, root(tree.edges.weight.double())
    tied = tree.tied, root(tree.tied_weight.double())
    return single_linkage(*in_prim_order(*edges, *tied))


def _among_all(values: np.ndarray, where: np.ndarray, n_samples: int) -> np.ndarray:
    """Values at the rows `where` of all samples, 0 elsewhere."""
    found = np.zeros(n_samples, dtype=values.dtype)
    found[where] = values
    return found


def _dense(given: Given, device: str | torch.device) -> Tensor:
    if given.tensor is not None:
        return given.tensor
    dense = sparse.csr_matrix(given.csr).toarray()
    return torch.from_numpy(dense).to("cpu" if device == "auto" else device)
