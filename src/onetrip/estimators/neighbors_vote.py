"""What the classifier and the regressor of nearest neighbours share: parameters and their rules."""

from typing import Any

import torch
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from onetrip.estimators.arrays import Given
from onetrip.estimators.neighbor_search import Neighbors
from onetrip.estimators.neighbor_targets import weights_of
from onetrip.estimators.neighbors_base import NeighborsBase


class NeighborsVote(NeighborsBase):
    """An estimator whose neighbours vote, each with a weight."""

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's convention)
        **NeighborsBase._parameter_constraints,
        "weights": [StrOptions({"uniform", "distance"}), callable, None],
    }
    _parameter_constraints.pop("radius")

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: Any = "uniform",
        algorithm: str = "auto",
        leaf_size: int = 30,
        p: float | None = 2,
        metric: Any = "minkowski",
        metric_params: dict | None = None,
        n_jobs: int | None = None,
        precision: str = "certified",
        device: str | torch.device = "auto",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.metric = metric
        self.metric_params = metric_params
        self.n_jobs = n_jobs
        self.precision = precision
        self.device = device

    def _voters(self, X: Any) -> tuple[Neighbors, Tensor | None, Given]:
        """The neighbours of each query, their weights, and the samples that asked.

        Without weights (all the same) the neighbours come in any order.
        """
        check_is_fitted(self)
        queries = self._take_queries(X)
        given = self._corpus.given if queries is None else queries
        ranked = self.weights not in (None, "uniform")
        found = self._nearest(queries, None, ranked=ranked)
        return found, weights_of(found.distances, self.weights, given), given
