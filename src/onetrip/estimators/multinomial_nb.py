"""Multinomial naive Bayes with scikit-learn's interface, one trip over the samples for each fit."""

import warnings
from contextlib import AbstractContextManager
from functools import partial
from numbers import Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)
from torch import Tensor

from onetrip.core.errors import ArgumentError, complaint
from onetrip.estimators.arrays import DEVICES, FLOATS, INTEGERS, Given, take
from onetrip.estimators.class_sums import count_dense, count_sparse, where_sums_are
from onetrip.estimators.labels import check_labels, classes_and_codes
from onetrip.ops.multinomial_nb.checked import kernels_see_all
from onetrip.ops.multinomial_nb.predict import joint_log_likelihood, likeliest_class
from onetrip.tile.side_by_side import on_one_thread

_LEAST_ALPHA = 1e-10
# Elements of the samples from which threads save more than they cost.
_WORTH_THREADS = 1 << 20


class MultinomialNB(ClassifierMixin, BaseEstimator):
    """Naive Bayes for counts or weights of terms: text, k-mers, any bag of words.

    The interface is that of ``sklearn.naive_bayes.MultinomialNB``. Samples are read once to fit
    and once to predict: neither the one-hot classes nor a copy of the samples in another dtype is
    stored. Integers and half precision are taken as they are.

    Parameters
    ----------
    alpha : float or array-like of shape (n_features,), default 1.0
        Additive smoothing; 0 for none.
    force_alpha : bool, default True
        False raises an `alpha` below 1e-10 to that value.
    fit_prior : bool, default True
        Learn the probabilities of classes; False takes them as equal.
    class_prior : array-like of shape (n_classes,), optional
        Probabilities of the classes, in place of learnt ones.
    precision : {"certified", "fast"}, default "certified"
        "certified" predicts the class that float64 would, from float32 products whose margin
        exceeds their rounding error; samples that are too close are evaluated in float64. "fast"
        leaves that out: a sample between two classes may get the other one.
    device : "auto" or a torch device, default "auto"
        "auto" computes where the samples are.

    Attributes
    ----------
    classes_ : of shape (n_classes,)
    class_count_, class_log_prior_ : float64 of shape (n_classes,)
    feature_count_, feature_log_prob_ : float64 of shape (n_classes, n_features)
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names

    References
    ----------
    scikit-learn, ``sklearn.naive_bayes.MultinomialNB``. Manning, Raghavan, Schütze, Introduction
    to Information Retrieval, chapter 13.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.naive_bayes import MultinomialNB
    >>> X = np.array([[2, 1, 0], [3, 0, 0], [0, 1, 4], [0, 2, 3]])
    >>> MultinomialNB().fit(X, ["a", "a", "b", "b"]).predict([[1, 0, 0], [0, 0, 2]])
    array(['a', 'b'], dtype='<U1')
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's convention)
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "force_alpha": ["boolean"],
        "fit_prior": ["boolean"],
        "class_prior": ["array-like", None],
        "precision": [StrOptions({"certified", "fast"})],
        "device": DEVICES,
    }

    def __init__(
        self,
        *,
        alpha: Any = 1.0,
        force_alpha: bool = True,
        fit_prior: bool = True,
        class_prior: Any = None,
        precision: str = "certified",
        device: str | torch.device = "auto",
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.precision = precision
        self.device = device

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples of shape (n_samples, n_features), none of them negative.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
        y : array-like or Tensor of shape (n_samples,)
            Any labels.
        sample_weight : array-like or Tensor of shape (n_samples,), optional

        Raises
        ------
        ValueError
            A negative value, wrong shapes, NaN or infinity.
        """
        on_device = self._is_narrow_on_device(X)
        if not on_device:
            self._validate_params()
        given = self._take(X, reset=True, finite=not on_device)
        with _quietly(given):
            return self._fit(given, y, sample_weight, validated=not on_device)

    def _fit(self, given: Given, y: Any, sample_weight: Any, *, validated: bool) -> Self:
        labels = _labels(self, y, given)
        if isinstance(labels, Tensor):
            classes, codes = classes_and_codes(labels)
        else:
            classes, codes = np.unique(labels, return_inverse=True)
        self.classes_ = classes
        earlier = self._none_yet(given)
        return self._add(given, codes, sample_weight, earlier, validated=validated)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one batch of many; the same sums as if all came at once.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`
        classes : array-like of shape (n_classes,), optional
            All labels that will ever come; needed in the first call, and the same later.
        """
        self._validate_params()
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise ArgumentError(
                "classes must be passed on the first call to partial_fit: all labels that will "
                "ever come, since a batch need not hold all of them."
            )
        given = self._take(X, reset=first, finite=not self._is_narrow_on_device(X))
        labels = _labels(self, y, given)
        if first:
            kept = isinstance(labels, Tensor)
            self.classes_ = torch.unique(torch.as_tensor(classes)) if kept else np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), _numpy(self.classes_)):
            raise ArgumentError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        earlier = self._none_yet(given) if first else self._so_far(given)
        return self._add(given, _codes(labels, self.classes_), sample_weight, earlier)

    def predict(self, X: Any) -> Any:
        """The likeliest label of each sample, in the kind in which the labels came."""
        given = self._given_to_predict(X, to_decide=True)
        with _quietly(given):
            codes, _ = self._decide(given)
        if isinstance(self.classes_, Tensor):
            return self.classes_.to(codes.device)[codes].to(given.device)
        return self.classes_[codes.cpu().numpy()]

    def reevaluated_share(self, X: Any) -> float:
        """Share of the samples whose class `predict` evaluates anew in float64."""
        return self._decide(self._given_to_predict(X, to_decide=True))[1]

    def predict_joint_log_proba(self, X: Any) -> Any:
        """Log P(class) + log P(sample | class), float64 of shape (n_samples, n_classes)."""
        given = self._given_to_predict(X)
        return given.answer(self._joint(given))

    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of the probabilities, float64 of shape (n_samples, n_classes)."""
        given = self._given_to_predict(X)
        return given.answer(torch.log_softmax(self._joint(given), dim=1))

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, float64 of shape (n_samples, n_classes)."""
        given = self._given_to_predict(X)
        return given.answer(torch.softmax(self._joint(given), dim=1))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks about an estimator: sparse input, nothing negative."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.classifier_tags.poor_score = True
        return tags

    def _take(self, X: Any, *, reset: bool, finite: bool = True) -> Given:
        return take(
            self,
            X,
            reset=reset,
            device=self.device,
            dtypes=(*FLOATS, *INTEGERS),
            accept_sparse=True,
            finite=finite,
        )

    def _given_to_predict(self, X: Any, *, to_decide: bool = False) -> Given:
        check_is_fitted(self)
        met = to_decide and self.precision == "certified" and len(self.classes_) > 1
        return self._take(X, reset=False, finite=not (met and self._is_narrow_on_device(X)))

    def _is_narrow_on_device(self, X: Any) -> bool:
        return isinstance(X, Tensor) and self.device == "auto" and kernels_see_all(X)

    def _none_yet(self, given: Given) -> tuple[Tensor, Tensor]:
        empty = partial(torch.zeros, dtype=torch.float64, device=where_sums_are(given))
        classes = len(self.classes_)
        return empty(classes, given.shape[1]), empty(classes)

    def _so_far(self, given: Given) -> tuple[Tensor, Tensor]:
        as_tensor = partial(torch.as_tensor, device=where_sums_are(given))
        return as_tensor(self.feature_count_), as_tensor(self.class_count_)

    def _add(
        self,
        given: Given,
        codes: Any,
        sample_weight: Any,
        earlier: tuple[Tensor, Tensor],
        *,
        validated: bool = True,
    ) -> Self:
        where = where_sums_are(given)
        y = torch.as_tensor(codes, device=where).to(torch.int64).reshape(-1)
        weight = _weights(sample_weight, given, where)
        if given.csr is not None:
            features, classes = count_sparse(given.csr, y, *earlier, weight)
            refuse = None
        else:
            features, classes, refuse = count_dense(given.samples, y, *earlier, weight)
        if not validated:
            self._validate_params()  # while a device counts
        smoothed = features + self._smoothing(given.shape[1], where)
        total = smoothed.sum(1, True).log_()
        log_prob = smoothed.log_().sub_(total)
        log_prior = self._log_prior(classes)
        if refuse is not None:
            refuse()  # a device has all of the above to do before anybody waits for it
        self.feature_count_, self.class_count_ = given.answer(features), given.answer(classes)
        self.feature_log_prob_ = given.answer(log_prob)
        self.class_log_prior_ = given.answer(log_prior)
        return self

    def _smoothing(self, features: int, where: torch.device) -> float | Tensor:
        if isinstance(self.alpha, Real):
            alpha = np.float64(self.alpha)
        else:
            alpha = np.asarray(self.alpha, dtype=np.float64)
            if alpha.shape != (features,):
                expected = f"a number, or one for each of {features} features"
                raise ArgumentError(complaint("alpha", expected=expected, got=alpha.shape))
            if alpha.min() < 0:
                raise ArgumentError(complaint("alpha", expected=">= 0", got=alpha.min()))
        if alpha.min() < _LEAST_ALPHA and not self.force_alpha:
            warnings.warn(
                f"alpha too small will result in numeric errors, setting alpha = "
                f"{_LEAST_ALPHA:.1e}. Use `force_alpha=True` to keep alpha unchanged.",
                stacklevel=3,
            )
            alpha = np.maximum(alpha, _LEAST_ALPHA)
        # A copy of one number to a device would wait for the counts.
        return torch.as_tensor(alpha, device=where) if alpha.ndim else float(alpha)

    def _log_prior(self, class_count: Tensor) -> Tensor:
        classes = len(class_count)
        if self.class_prior is not None:
            prior = torch.as_tensor(self.class_prior).to(class_count)
            if len(prior) != classes:
                raise ArgumentError("Number of priors must match number of classes.")
            return prior.log()
        if self.fit_prior:
            return class_count.log() - class_count.sum().log()
        return torch.full_like(class_count, -float(np.log(classes)))

    def _decide(self, given: Given) -> tuple[Tensor, float]:
        if given.csr is not None:
            return self._joint(given).argmax(1), 1.0
        certified = self.precision == "certified"
        return likeliest_class(given.samples, *self._learnt(given), certified=certified)

    def _learnt(self, given: Given) -> tuple[Tensor, Tensor]:
        where = given.device if given.csr is not None else given.samples.device
        return (
            torch.as_tensor(self.feature_log_prob_, device=where),
            torch.as_tensor(self.class_log_prior_, device=where),
        )

    def _joint(self, given: Given) -> Tensor:
        log_prob, log_prior = self._learnt(given)
        if given.csr is None:
            return joint_log_likelihood(given.samples, log_prob, log_prior)
        return torch.from_numpy(given.csr @ log_prob.cpu().numpy().T).to(log_prior) + log_prior


def _quietly(given: Given) -> AbstractContextManager[None]:
    """One thread for few samples: torch's threads would wait for each other longer than work."""
    rows, features = given.shape
    on_cpu = given.csr is None and given.samples.is_cpu
    return on_one_thread(where=on_cpu and rows * features < _WORTH_THREADS)


def _labels(estimator: MultinomialNB, y: Any, given: Given) -> Any:
    """The checked labels: a tensor where a tensor came, else an array."""
    if isinstance(y, Tensor):
        if tuple(y.shape) != (given.shape[0],):
            expected = f"one label for each of {given.shape[0]} samples"
            raise ArgumentError(complaint("y", expected=expected, got=list(y.shape)))
        check_labels(y)
        return y
    if y is None:
        raise ArgumentError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None"
        )
    labels = column_or_1d(y, warn=True)
    check_consistent_length(np.empty(given.shape[0]), labels)
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def _codes(labels: Any, classes: Any) -> Any:
    """Place of each label in `classes`, which are sorted."""
    if isinstance(labels, Tensor):
        codes = torch.searchsorted(torch.as_tensor(classes).to(labels), labels)
        known = torch.as_tensor(classes).to(labels)[codes.clamp(max=len(classes) - 1)] == labels
    else:
        classes = _numpy(classes)
        codes = np.searchsorted(classes, labels)
        known = classes[np.minimum(codes, len(classes) - 1)] == labels
    if not known.all():
        got = sorted({str(label) for label in _numpy(labels[~known])})[:5]
        expected = f"among the classes {_numpy(classes).tolist()}"
        way_out = "Name all labels in the first call of partial_fit."
        raise ArgumentError(complaint("y", expected=expected, got=got, way_out=way_out))
    return codes


def _numpy(values: Any) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _weights(sample_weight: Any, given: Given, where: torch.device) -> Tensor | None:
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Tensor):
        sample_weight = sample_weight.detach().cpu().numpy()
    rows = np.empty((given.shape[0], 1))
    return torch.from_numpy(_check_sample_weight(sample_weight, rows, dtype=np.float64)).to(where)
