"""Exact t-SNE with scikit-learn's interface, in memory that grows with the samples alone."""

from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from onetrip.core.errors import ArgumentError, ShapeError, UnsupportedError, complaint
from onetrip.estimators.arrays import DEVICES, as_tensor, take
from onetrip.ops.truncated_svd.api import truncated_svd
from onetrip.ops.truncated_svd.project import project
from onetrip.ops.tsne.api import tsne
from onetrip.ops.tsne.reference import default_rate
from onetrip.tile.side_by_side import on_threads

# Standard deviation of the first coordinate at the start.
_START_SPREAD = 1e-4


class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Exact t-distributed stochastic neighbour embedding, in a plane or in space.

    The interface is that of ``sklearn.manifold.TSNE``. Every pair of samples counts in every
    iteration; a tile of pairs stays in cache, or on chip, from distances to forces. Affinities are
    kept within `memory_budget` and recomputed beyond it: no matrix (n_samples, n_samples) is
    needed.

    Parameters
    ----------
    n_components : int, default 2
    perplexity : float, default 30.0
        Effective number of neighbours, less than the number of samples.
    early_exaggeration : float, default 12.0
    learning_rate : float or "auto", default "auto"
        "auto" is n_samples / early_exaggeration / 4, at least 50.
    max_iter : int, default 1000
        At least 250, those with exaggeration.
    n_iter_without_progress : int, default 300
    min_grad_norm : float, default 1e-7
    metric : "euclidean"
        Others, and precomputed distances, are refused.
    metric_params : None
    init : {"pca", "random"}, array or Tensor of shape (n_samples, n_components), default "pca"
    verbose : int, default 0
        Print the divergence after each phase; from 2 on, every 50 iterations.
    random_state : int, RandomState instance or None, default None
        Of ``init="random"``.
    method : {"exact", "barnes_hut"}, default "exact"
        Both give the exact forces: those that Barnes and Hut's method approximates.
    angle : float in [0, 1], default 0.5
        How far that approximation would go; exact forces have no angle.
    n_jobs : int or None, default None
        Threads, of those that torch may use: None or -1 all of them.
    memory_budget : int, optional
        Bytes that kept affinities may take, by default 256 MiB on a CPU and 8 GiB on a GPU.
    device : "auto" or a torch device, default "auto"
        "auto" computes where the samples are.

    Attributes
    ----------
    embedding_ : of shape (n_samples, n_components), float32, or float64 if the samples are
    kl_divergence_, learning_rate_ : float
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names

    References
    ----------
    scikit-learn, ``sklearn.manifold.TSNE``. van der Maaten and Hinton, JMLR 9 (2008).

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.manifold import TSNE
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]])
    >>> TSNE(perplexity=2.0, max_iter=250).fit_transform(X).shape
    (4, 2)
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's convention)
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "perplexity": [Interval(Real, 0, None, closed="neither")],
        "early_exaggeration": [Interval(Real, 1, None, closed="left")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 250, None, closed="left")],
        "n_iter_without_progress": [Interval(Integral, -1, None, closed="left")],
        "min_grad_norm": [Interval(Real, 0, None, closed="left")],
        "metric": [str, callable],
        "metric_params": [dict, None],
        "init": [StrOptions({"pca", "random"}), np.ndarray, Tensor],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "method": [StrOptions({"barnes_hut", "exact"})],
        "angle": [Interval(Real, 0, 1, closed="both")],
        "n_jobs": [None, Integral],
        "memory_budget": [None, Interval(Integral, 0, None, closed="left")],
        "device": DEVICES,
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        perplexity: float = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: Any = "auto",
        max_iter: int = 1000,
        n_iter_without_progress: int = 300,
        min_grad_norm: float = 1e-7,
        metric: Any = "euclidean",
        metric_params: dict[str, Any] | None = None,
        init: Any = "pca",
        verbose: int = 0,
        random_state: Any = None,
        method: str = "exact",
        angle: float = 0.5,
        n_jobs: int | None = None,
        memory_budget: int | None = None,
        device: str | torch.device = "auto",
    ) -> None:
        self.n_components = n_components
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.n_iter_without_progress = n_iter_without_progress
        self.min_grad_norm = min_grad_norm
        self.metric = metric
        self.metric_params = metric_params
        self.init = init
        self.verbose = verbose
        self.random_state = random_state
        self.method = method
        self.angle = angle
        self.n_jobs = n_jobs
        self.memory_budget = memory_budget
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Embed samples of shape (n_samples, n_features); `y` is ignored."""
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Embed samples, and answer the embedding of shape (n_samples, n_components).

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
            A sparse one is made dense.
        """
        self._validate_params()
        if self.metric != "euclidean" or self.metric_params:
            way_out = "Transform the samples so that their Euclidean distances are what you want."
            raise UnsupportedError(
                complaint("metric", expected='"euclidean"', got=repr(self.metric), way_out=way_out)
            )
        given = take(self, X, reset=True, device=self.device, accept_sparse=True, min_samples=2)
        samples = given.samples if given.csr is None else as_tensor(given.csr.toarray())
        if given.csr is not None:
            samples = samples.to(given.device)
        if self.perplexity >= len(samples):
            raise ArgumentError(
                f"perplexity ({self.perplexity}) must be less than n_samples ({len(samples)})"
            )
        rate = self.learning_rate
        if rate == "auto":
            rate = default_rate(len(samples), self.early_exaggeration)
        self.learning_rate_ = rate
        with on_threads(self.n_jobs):
            embedding, values = tsne(
                samples,
                n_components=self.n_components,
                perplexity=self.perplexity,
                early_exaggeration=self.early_exaggeration,
                learning_rate=rate,
                max_iter=self.max_iter,
                n_iter_without_progress=self.n_iter_without_progress,
                min_grad_norm=self.min_grad_norm,
                init=self._start(samples),
                memory_budget=self.memory_budget,
                progress=_print if self.verbose >= 2 else None,
            )
        self.kl_divergence_ = float(values["kl_divergence"])
        self.n_iter_ = int(values["n_iter"])
        if self.verbose:
            print(
                f"[t-SNE] KL divergence after {self.n_iter_ + 1} iterations: "
                f"{self.kl_divergence_:.6f}"
            )
        self.embedding_ = given.answer(embedding)
        return self.embedding_

    def _start(self, samples: Tensor) -> Tensor:
        """Where the samples begin, [n_samples, n_components]."""
        wanted = (len(samples), self.n_components)
        if isinstance(self.init, Tensor | np.ndarray):
            start = torch.as_tensor(self.init)
            if tuple(start.shape) != wanted:
                expected = f"of shape (n_samples, n_components) = {wanted}"
                raise ShapeError(complaint("init", expected=expected, got=list(start.shape)))
            return start
        if self.init == "random":
            random_state = check_random_state(self.random_state)
            normal = random_state.standard_normal(size=wanted).astype(np.float32)
            return torch.from_numpy(_START_SPREAD * normal)
        return _principal_start(samples, self.n_components)

    @property
    def _n_features_out(self) -> int:
        """Number of columns of the embedding."""
        return self.embedding_.shape[1]

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks about an estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _principal_start(samples: Tensor, n_components: int) -> Tensor:
    """Principal components, so scaled that the first has a standard deviation of 1e-4."""
    if n_components > min(samples.shape):
        expected = f"at most min(n_samples, n_features) = {min(samples.shape)} with init='pca'"
        way_out = 'Use init="random".'
        raise ArgumentError(
            complaint("n_components", expected=expected, got=n_components, way_out=way_out)
        )
    _, found = truncated_svd(samples, n_components=n_components, center=True)
    start = project(samples, found["mean"], found["components"])
    spread = start[:, 0].std(correction=0)
    return start * (_START_SPREAD / spread.clamp_min(torch.finfo(start.dtype).tiny))


def _print(iteration: int, divergence: float, norm: float) -> None:
    print(f"[t-SNE] Iteration {iteration}: error = {divergence:.7f}, gradient norm = {norm:.7f}")
