"""Classification by a vote of the nearest neighbours, with scikit-learn's interface."""

import warnings
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from onetrip.core.errors import ArgumentError
from onetrip.estimators.arrays import Given
from onetrip.estimators.labels import check_labels
from onetrip.estimators.neighbor_targets import as_array, take_targets
from onetrip.estimators.neighbors_vote import NeighborsVote
from onetrip.tile.side_by_side import on_one_thread

# Votes that one thread counts in less than a second one takes to wake and to fall asleep.
_WORTH_THREADS = 1 << 17


class KNeighborsClassifier(ClassifierMixin, NeighborsVote):
    """Predict the class that most of the nearest neighbours have.

    The interface is that of ``sklearn.neighbors.KNeighborsClassifier``; the search is
    `NearestNeighbors`', exact, with its parameters.

    Parameters
    ----------
    n_neighbors : int, default 5
    weights : {"uniform", "distance"}, callable or None, default "uniform"
        "distance" weighs by the inverse of the distance; a callable gets distances of shape
        (n_queries, n_neighbors) and returns weights of that shape.
    algorithm, leaf_size, p, metric, metric_params, n_jobs, precision, device
        As in `NearestNeighbors`.

    Attributes
    ----------
    classes_ : of shape (n_classes,), or a list of such for several outputs
    outputs_2d_ : bool
    effective_metric_, effective_metric_params_, n_features_in_, n_samples_fit_, reevaluated_share_
        As in `NearestNeighbors`.

    References
    ----------
    scikit-learn, ``sklearn.neighbors.KNeighborsClassifier``.

    Examples
    --------
    >>> from onetrip.neighbors import KNeighborsClassifier
    >>> model = KNeighborsClassifier(n_neighbors=3).fit([[0], [1], [2], [3]], [0, 0, 1, 1])
    >>> model.predict([[1.1]]).tolist()
    [0]
    >>> model.predict_proba([[0.9]]).round(3).tolist()
    [[0.667, 0.333]]
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Keep the samples and the codes of their classes.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
        y : array-like or Tensor of shape (n_samples,) or (n_samples, n_outputs)
            Any labels.
        """
        self._validate_params()
        given = self._fit_corpus(X)
        y = take_targets(self, y, given.shape[0], numeric=False)
        if y.ndim == 2 and y.shape[1] == 1:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. Please change the "
                "shape of y to (n_samples,), for example using ravel().",
                DataConversionWarning,
                stacklevel=2,
            )
            y = y[:, 0]
        if isinstance(y, Tensor):
            check_labels(y)
        else:
            check_classification_targets(y)
        self.outputs_2d_ = y.ndim == 2
        outputs = [y[:, place] for place in range(y.shape[1])] if self.outputs_2d_ else [y]
        classes, codes = zip(*(_codes(output) for output in outputs), strict=True)
        self._codes = torch.stack(codes).to(given.device)  # [outputs, n_samples]
        self.classes_ = list(classes) if self.outputs_2d_ else classes[0]
        return self

    def predict(self, X: Any) -> Any:
        """The most voted class of each sample; of classes with equal votes, the first.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_queries, n_features), or None
            None predicts every sample of `fit` from the others.

        Returns
        -------
        y : of shape (n_queries,) or (n_queries, n_outputs), of the kind of `fit`'s `y`
        """
        votes, _ = self._votes(X)
        columns = [
            _pick(classes, counts.argmax(1))
            for classes, counts in zip(self._class_lists(), votes, strict=True)
        ]
        if not self.outputs_2d_:
            return columns[0]
        if isinstance(columns[0], Tensor):
            return torch.stack(columns, 1)
        return np.stack(columns, 1).astype(columns[0].dtype)

    def predict_proba(self, X: Any) -> Any:
        """Shares of the votes of each class, of shape (n_queries, n_classes).

        Parameters
        ----------
        X : as in `predict`

        Returns
        -------
        p : of the kind of `X`; for several outputs, a list of such
        """
        votes, given = self._votes(X)
        shares = [given.answer(counts.div_(counts.sum(1, keepdim=True))) for counts in votes]
        return shares if self.outputs_2d_ else shares[0]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of samples whose class is predicted right.

        Parameters
        ----------
        X : as in `predict`
        y : array-like or Tensor of shape (n_queries,) or (n_queries, n_outputs)
        sample_weight : array-like or Tensor of shape (n_queries,), optional
        """
        right = np.asarray(as_array(y)) == as_array(self.predict(X))
        if right.ndim == 2:
            right = right.all(1)
        return float(np.average(right, weights=as_array(sample_weight)))

    def _votes(self, X: Any) -> tuple[list[Tensor], Given]:
        """Weights of each class, float64 [Q, n_classes] for each output."""
        found, weights, given = self._voters(X)
        if weights is None:
            weights = torch.ones_like(found.distances)
        elif bool((weights == 0).all(1).any()):
            raise ArgumentError(
                "All neighbors of some sample is getting zero weights. Please modify 'weights' "
                "to avoid this case if you are using a user-defined function."
            )
        votes = []
        with on_one_thread(where=weights.numel() < _WORTH_THREADS):
            for classes, codes in zip(self._class_lists(), self._codes, strict=True):
                counts = weights.new_zeros(weights.shape[0], len(classes))
                votes.append(counts.scatter_add_(1, codes[found.indices], weights))
        return votes, given

    def _class_lists(self) -> list[Any]:
        return self.classes_ if self.outputs_2d_ else [self.classes_]  # type: ignore[return-value]

    def __sklearn_tags__(self) -> Any:
        """Several outputs are taken."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags


def _codes(y: Any) -> tuple[Any, Tensor]:
    """Sorted classes, and the place of each label among them."""
    if isinstance(y, Tensor):
        return torch.unique(y, return_inverse=True)
    classes, codes = np.unique(y, return_inverse=True)
    return classes, torch.from_numpy(codes.astype(np.int64))


def _pick(classes: Any, codes: Tensor) -> Any:
    if isinstance(classes, Tensor):
        return classes[codes.to(classes.device)]
    return classes[codes.cpu().numpy()]
