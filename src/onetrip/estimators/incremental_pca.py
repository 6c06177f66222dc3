"""Principal components of batches, kept as few directions, with scikit-learn's interface."""

from numbers import Integral
from typing import Any, Self

import torch
from scipy import sparse
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval
from torch import Tensor

from onetrip.core.errors import ArgumentError
from onetrip.estimators.arrays import DEVICES, Given, take
from onetrip.estimators.gaussian_model import GaussianModel
from onetrip.ops.truncated_svd.api import truncated_svd
from onetrip.tile.side_by_side import on_one_thread

# Elements of a batch below which threads wait for each other longer than they work.
_WORTH_THREADS = 1 << 19


class IncrementalPCA(GaussianModel):
    """Principal component analysis batch by batch, in the memory of one batch.

    The interface and the results are those of ``sklearn.decomposition.IncrementalPCA``. Of what
    came before, `n_components` directions with their lengths are kept: a batch is decomposed
    together with them. What lies beyond them is lost, so that components approximate those of all
    samples; `PCA.partial_fit` keeps all, in `n_features` squared.

    Parameters
    ----------
    n_components : int or None, default None
        How many are kept; as many as the first batch has samples or features by default.
    whiten : bool, default False
        Divide coordinates by their standard deviation.
    copy : bool, default True
        The samples are never written to, whatever it says.
    batch_size : int or None, default None
        Of `fit`; five times the number of features by default.
    device : "auto" or a torch device, default "auto"
        "auto" computes where the samples are.

    Attributes
    ----------
    components_ : of shape (n_components, n_features)
    explained_variance_, explained_variance_ratio_, singular_values_ : of shape (n_components,)
    mean_, var_ : float64 of shape (n_features,)
        Of all samples so far.
    noise_variance_ : float
    n_components_, n_samples_seen_, batch_size_ : int
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names

    References
    ----------
    scikit-learn, ``sklearn.decomposition.IncrementalPCA``. Ross, Lim, Lin and Yang, Incremental
    Learning for Robust Visual Tracking, IJCV 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.decomposition import IncrementalPCA
    >>> X = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [2.0, 0.0]])
    >>> pca = IncrementalPCA(n_components=1)
    >>> for batch in (X[:2], X[2:]):
    ...     _ = pca.partial_fit(batch)
    >>> pca.components_, pca.mean_, pca.n_samples_seen_
    (array([[1., 0.]]), array([2., 0.]), 4)
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's convention)
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "whiten": ["boolean"],
        "copy": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "device": DEVICES,
    }

    def __init__(
        self,
        n_components: int | None = None,
        *,
        whiten: bool = False,
        copy: bool = True,
        batch_size: int | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.copy = copy
        self.batch_size = batch_size
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the components, `batch_size` samples at a time; `y` is ignored.

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
            A sparse matrix is made dense a batch at a time.
        """
        self._validate_params()
        self._forget()
        given = take(self, X, reset=True, device=self.device, accept_sparse=True)
        samples, features = given.shape
        self.batch_size_ = 5 * features if self.batch_size is None else self.batch_size
        with on_one_thread(where=self.batch_size_ * features < _WORTH_THREADS):
            least = self.n_components or 0
            for rows in gen_batches(samples, self.batch_size_, min_batch_size=least):
                if given.csr is None:
                    self._add(given, given.samples[rows])
                else:
                    dense = torch.from_numpy(given.csr[rows].toarray())
                    self._add(given, dense.to(given.device))
        return self

    def partial_fit(self, X: Any, y: Any = None, check_input: bool = True) -> Self:
        """Learn from one more batch, whole; `y` is ignored.

        Parameters
        ----------
        X : array-like or Tensor of shape (n_samples, n_features)
            A sparse matrix is refused.
        check_input : taken for compatibility: the batch is always checked.
        """
        self._validate_params()
        if sparse.issparse(X):
            raise TypeError(
                "IncrementalPCA.partial_fit does not support sparse input. Either convert data to "
                "dense or use IncrementalPCA.fit to do so in batches."
            )
        given = take(self, X, reset=not hasattr(self, "components_"), device=self.device)
        with on_one_thread(where=given.samples.numel() < _WORTH_THREADS):
            self._add(given, given.samples)
        return self

    def _forget(self) -> None:
        if hasattr(self, "components_"):
            del self.components_

    def _add(self, given: Given, batch: Tensor) -> None:
        """Decompose `batch` [B, D] together with the directions that stand for what came before."""
        samples, features = batch.shape
        kept = self._kept(samples, features)
        narrow = torch.promote_types(batch.dtype, torch.float32)
        batch_mean = batch.mean(0, dtype=torch.float64)
        deviations = batch - batch_mean
        square = deviations.square().sum(0)
        rows = deviations.to(narrow)
        seen, mean = samples, batch_mean
        if hasattr(self, "components_"):
            before = self.n_samples_seen_
            seen = before + samples
            old_mean = torch.as_tensor(self.mean_).to(batch_mean)
            apart = batch_mean - old_mean
            mean = old_mean + apart * (samples / seen)
            square += torch.as_tensor(self.var_).to(square) * before
            square += apart.square() * (before * samples / seen)
            lengths = torch.as_tensor(self.singular_values_).to(rows)[:, None]
            directions = torch.as_tensor(self.components_).to(rows)
            correction = (before * samples / seen) ** 0.5 * apart
            rows = torch.cat((lengths * directions, rows, correction.to(rows)[None]))
        values, extra = truncated_svd(rows, n_components=kept, solver="full")
        others = min(rows.shape) - kept
        beyond = float(extra["residual"]) * rows.shape[0] / max(seen - 1, 1)
        spared = kept in (samples, features) or others == 0
        self.noise_variance_ = 0.0 if spared else beyond / others
        variance = values.square() / max(seen - 1, 1)
        total = square.sum()
        self.n_samples_seen_, self.n_components_ = seen, kept
        self.mean_, self.var_ = given.answer(mean), given.answer(square / seen)
        self.components_ = given.answer(extra["components"].to(narrow))
        self.singular_values_ = given.answer(values.to(narrow))
        self.explained_variance_ = given.answer(variance.to(narrow))
        self.explained_variance_ratio_ = given.answer((values.square() / total).to(narrow))

    def _kept(self, samples: int, features: int) -> int:
        """How many directions are kept, by scikit-learn's rules."""
        first = not hasattr(self, "components_")
        asked = self.n_components
        if asked is None:
            return min(samples, features) if first else self.components_.shape[0]
        if asked > features:
            raise ArgumentError(
                f"n_components={asked} invalid for n_features={features}, need more rows than "
                "columns for IncrementalPCA processing"
            )
        if first and asked > samples:
            raise ArgumentError(
                f"n_components={asked} must be less or equal to the batch number of samples "
                f"{samples} for the first partial_fit call."
            )
        if not first and self.components_.shape[0] != asked:
            raise ArgumentError(
                f"n_components has changed from {self.components_.shape[0]} to {asked} between "
                "calls to partial_fit. Set it to a fixed value."
            )
        return asked

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks about an estimator."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = True
        return tags
