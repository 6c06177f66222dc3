"""Regression by the mean of the nearest neighbours, with scikit-learn's interface."""

from typing import Any, Self

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from torch import Tensor

from onetrip.estimators.arrays import as_tensor
from onetrip.estimators.neighbor_targets import as_array, take_targets, weighted_means
from onetrip.estimators.neighbors_vote import NeighborsVote


class KNeighborsRegressor(RegressorMixin, NeighborsVote):
    """Predict the mean of the targets of the nearest neighbours.

    The interface is that of ``sklearn.neighbors.KNeighborsRegressor``; the search is
    `NearestNeighbors`', exact, with its parameters.

    Parameters
    ----------
    n_neighbors : int, default 5
    weights : {"uniform", "distance"}, callable or None, default "uniform"
        As in `KNeighborsClassifier`.
    algorithm, leaf_size, p, metric, metric_params, n_jobs, precision, device
        As in `NearestNeighbors`.

    Attributes
    ----------
    effective_metric_, effective_metric_params_, n_features_in_, n_samples_fit_, reevaluated_share_
        As in `NearestNeighbors`.

    References
    ----------
    scikit-learn, ``sklearn.neighbors.KNeighborsRegressor``.

    Examples
    --------
    >>> from onetrip.neighbors import KNeighborsRegressor
    >>> model = KNeighborsRegressor(n_neighbors=2).fit([[0], [1], [2], [3]], [0, 0, 1, 1])
    >>> model.predict([[1.5]]).tolist()
    [0.5]
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Keep the samples and their targets.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
        y : array-like or Tensor of shape (n_samples,) or (n_samples, n_outputs)
        """
        self._validate_params()
        given = self._fit_corpus(X)
        y = take_targets(self, y, given.shape[0], numeric=True)
        self._answers_tensors = isinstance(y, Tensor)
        targets = y if isinstance(y, Tensor) else as_tensor(y)
        self._targets = targets.double().to(given.device)
        return self

    def predict(self, X: Any) -> Any:
        """The weighted mean of the neighbours' targets.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_queries, n_features), or None
            None predicts every sample of `fit` from the others.

        Returns
        -------
        y : float64 of shape (n_queries,) or (n_queries, n_outputs), of the kind of `fit`'s `y`
        """
        found, weights, _ = self._voters(X)
        predicted = weighted_means(self._targets, found.indices, weights)
        return predicted if self._answers_tensors else predicted.cpu().numpy()

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Coefficient of determination of the predictions.

        Parameters
        ----------
        X : as in `predict`
        y : array-like or Tensor of shape (n_queries,) or (n_queries, n_outputs)
        sample_weight : array-like or Tensor of shape (n_queries,), optional
        """
        predicted = as_array(self.predict(X))
        return float(r2_score(as_array(y), predicted, sample_weight=as_array(sample_weight)))

    def __sklearn_tags__(self) -> Any:
        """Several outputs are taken."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
