"""Principal component analysis with scikit-learn's interface, in one trip over the samples."""

from numbers import Integral, Real
from typing import Any, Self

import torch
from scipy import sparse
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from torch import Tensor

from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.core.selection import Config
from onetrip.estimators.arrays import DEVICES, Given, take
from onetrip.estimators.gaussian_model import GaussianModel
from onetrip.estimators.pca_rank import likeliest_rank, rank_for_share
from onetrip.estimators.sparse_svd import sparse_truncated_svd
from onetrip.estimators.svd_options import random_solver, refuse_options, seed_of
from onetrip.ops.truncated_svd.api import truncated_svd
from onetrip.ops.truncated_svd.plan import power_iterations
from onetrip.ops.truncated_svd.running import RunningMoments
from onetrip.ops.truncated_svd.select import default_config
from onetrip.tile.problem import problem_on


class PCA(GaussianModel):
    """Principal component analysis without a centred copy of the samples.

    The interface is that of ``sklearn.decomposition.PCA``. Samples are read tile by tile, once,
    into the Gram matrix of their smaller side in float64; their mean is taken out of the matrix.
    Where small singular values would suffer from the square, a second trip corrects them.

    Parameters
    ----------
    n_components : int, float in (0, 1), "mle" or None, default None
        How many; or the least share of the variance that they must explain; or Minka's estimate;
        or all.
    copy : bool, default True
        The samples are never written to, whatever it says.
    whiten : bool, default False
        Divide coordinates by their standard deviation.
    svd_solver : {"auto", "full", "covariance_eigh", "arpack", "randomized"}, default "auto"
        "auto" decides as scikit-learn does, but takes the Gram matrix for "randomized" where that
        needs fewer operations. "covariance_eigh" is the Gram matrix, corrected to float32; "full"
        and "arpack" correct it to the precision of the samples. "randomized" follows random
        directions; on a GPU the Gram matrix, where it needs less time, and is exact then.
    tol : float, default 0.0
        Of "arpack" in scikit-learn; only 0 is taken.
    iterated_power : int or "auto", default "auto"
    n_oversamples : int, default 10
    power_iteration_normalizer : {"auto", "QR"}, default "auto"
        Both are QR here; "LU" and "none" are refused.
    random_state : int, RandomState instance or None, default None
        Of the randomized solver.
    precision : {"certified", "fast"}, default "certified"
        "fast" leaves out the correction: singular values below 1e-6 of the largest lose digits,
        those below 1e-7 are noise.
    device : "auto" or a torch device, default "auto"
        "auto" computes where the samples are.

    Attributes
    ----------
    components_ : of shape (n_components, n_features)
    explained_variance_, explained_variance_ratio_, singular_values_ : of shape (n_components,)
    mean_ : of shape (n_features,)
    n_components_, n_samples_ : int
    noise_variance_ : float
    n_features_in_ : int
    feature_names_in_ : of shape (n_features_in_,), where X has names

    References
    ----------
    scikit-learn, ``sklearn.decomposition.PCA``. Minka, NIPS 2000: "mle".

    Examples
    --------
    >>> import numpy as np
    >>> from onetrip.decomposition import PCA
    >>> X = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [2.0, 0.0]])
    >>> pca = PCA(n_components=1).fit(X)
    >>> pca.components_, pca.transform(X).ravel()
    (array([[1., 0.]]), array([-1.,  0.,  1.,  0.]))
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's convention)
        "n_components": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            StrOptions({"mle"}),
            None,
        ],
        "copy": ["boolean"],
        "whiten": ["boolean"],
        "svd_solver": [StrOptions({"auto", "full", "covariance_eigh", "arpack", "randomized"})],
        "tol": [Interval(Real, 0, None, closed="left")],
        "iterated_power": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "n_oversamples": [Interval(Integral, 1, None, closed="left")],
        "power_iteration_normalizer": [StrOptions({"auto", "QR", "LU", "none"})],
        "random_state": ["random_state"],
        "precision": [StrOptions({"certified", "fast"})],
        "device": DEVICES,
    }

    def __init__(
        self,
        n_components: Any = None,
        *,
        copy: bool = True,
        whiten: bool = False,
        svd_solver: str = "auto",
        tol: float = 0.0,
        iterated_power: Any = "auto",
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: Any = None,
        precision: str = "certified",
        device: str | torch.device = "auto",
    ) -> None:
        self.n_components = n_components
        self.copy = copy
        self.whiten = whiten
        self.svd_solver = svd_solver
        self.tol = tol
        self.iterated_power = iterated_power
        self.n_oversamples = n_oversamples
        self.power_iteration_normalizer = power_iteration_normalizer
        self.random_state = random_state
        self.precision = precision
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the components of samples of shape (n_samples, n_features); `y` is ignored."""
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Learn the components, and answer the samples' coordinates along them."""
        given = self._fit(X)
        return given.answer(self._coordinates(given))

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn the components of all samples so far, of which `X` are the next; `y` is ignored.

        Batches give what one `fit` of all of them gives, whatever their sizes: what is kept of
        them is their number, mean and Gram matrix, `n_features` squared in float64. `fit` forgets
        them. Where there are too many features for that, `IncrementalPCA` keeps as many directions
        as it returns, and approximates.

        Parameters
        ----------
        X : array-like or Tensor of shape (n_samples, n_features)
            As many features as in the batches before. A sparse matrix is refused.
        """
        self._check_options()
        if self.svd_solver not in ("auto", "full", "covariance_eigh"):
            expected = '"auto", "full" or "covariance_eigh" for partial_fit'
            raise UnsupportedError(complaint("svd_solver", expected=expected, got=self.svd_solver))
        if sparse.issparse(X):
            raise TypeError("PCA.partial_fit takes dense batches: pass X.toarray().")
        running = getattr(self, "_running", None)
        given = take(self, X, reset=running is None, device=self.device)
        batch, features = given.shape
        count = batch + (0 if running is None else running.count)
        smaller = min(count, features)
        asked = smaller if self.n_components is None else self.n_components
        _check_count(asked, "full", count, features)
        if running is None:
            running = RunningMoments(features, given.samples.device)
        running.add(given.samples, _tiling(given.samples))
        self._running = running
        # A share or an estimate is decided when all variances are known.
        wanted = int(asked) if isinstance(asked, Integral) else smaller
        dtype = torch.promote_types(given.samples.dtype, torch.float32)
        values, extra = running.components(max(1, wanted), dtype)
        self._learn(given, count, values, extra, asked)
        return self

    def _check_options(self) -> None:
        self._validate_params()
        refuse_options(self.power_iteration_normalizer, self.tol)

    def _fit(self, X: Any) -> Given:
        self._check_options()
        self._running = None
        given = take(self, X, reset=True, device=self.device, accept_sparse=True)
        solver, asked = self._negotiate(given)
        smaller = min(given.shape)
        # A share or an estimate is decided when all variances are known.
        wanted = asked if isinstance(asked, Integral) else smaller
        iterations = self.iterated_power
        if iterations == "auto":
            iterations = power_iterations(int(wanted), smaller)
        options: dict[str, Any] = {
            "n_components": max(1, int(wanted)),
            "center": True,
            "solver": solver,
            "n_iter": iterations,
            "n_oversamples": self.n_oversamples,
            "seed": seed_of(self.random_state),
        }
        if given.csr is not None:
            values, extra = sparse_truncated_svd(given.csr, **options)
        else:
            options["precision"] = self.precision
            values, extra = truncated_svd(given.samples, **options)
        self._learn(given, given.shape[0], values, extra, asked)
        return given

    def _negotiate(self, given: Given) -> tuple[str, Any]:
        """The operator's solver, and the number of components or what decides it."""
        samples, features = given.shape
        smaller = min(samples, features)
        solver, asked = self.svd_solver, self.n_components
        if given.csr is not None and solver not in ("auto", "arpack", "covariance_eigh"):
            raise TypeError(
                'PCA only support sparse inputs with the "arpack" and "covariance_eigh" solvers, '
                f'while "{solver}" was passed. See TruncatedSVD for a possible alternative.'
            )
        if given.csr is not None and solver == "auto":
            solver = "arpack"
        if asked is None:
            asked = smaller - 1 if solver == "arpack" else smaller
        if solver == "auto":
            few = isinstance(asked, Integral) and 1 <= int(asked) < 0.8 * smaller
            tall = features <= 1000 and samples >= 10 * features
            large = max(samples, features) > 500
            solver = "covariance_eigh" if tall else "auto" if few and large else "full"
        _check_count(asked, solver, samples, features)
        if solver == "randomized":
            solver = random_solver(given)
        return "full" if solver == "arpack" else solver, asked

    def _learn(
        self, given: Given, samples: int, values: Tensor, extra: dict[str, Tensor], asked: Any
    ) -> None:
        features = given.shape[1]
        freedom = max(samples - 1, 1)
        variance = values.double().square() / freedom
        total = float(extra["total_variance"]) * samples / freedom
        ratio = variance / total if total > 0 else torch.full_like(variance, torch.nan)
        if asked == "mle":
            kept = likeliest_rank(variance.cpu().numpy(), samples)
        elif not isinstance(asked, Integral):
            kept = rank_for_share(ratio.cpu().numpy(), float(asked))
        else:
            kept = int(asked)
        left = float(extra["residual"]) * samples / freedom + float(variance[kept:].sum())
        others = min(samples, features) - kept
        self.noise_variance_ = left / others if others > 0 else 0.0
        self.n_samples_, self.n_components_ = samples, kept
        dtype = values.dtype
        self.mean_ = given.answer(extra["mean"])
        self.components_ = given.answer(extra["components"][:kept].clone())
        self.explained_variance_ = given.answer(variance[:kept].to(dtype))
        self.explained_variance_ratio_ = given.answer(ratio[:kept].to(dtype))
        self.singular_values_ = given.answer(values[:kept].clone())

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks about an estimator."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = self.svd_solver in ("auto", "arpack", "covariance_eigh")
        return tags


def _tiling(samples: Tensor) -> Config:
    axes = {"N": samples.shape[0], "D": samples.shape[1], "K": samples.shape[1]}
    return default_config("torch", problem_on(samples.device, axes, samples.dtype, {}))


def _check_count(asked: Any, solver: str, samples: int, features: int) -> None:
    """scikit-learn's rules of `n_components` for each solver."""
    smaller = min(samples, features)
    if asked == "mle":
        if solver not in ("full", "covariance_eigh"):
            raise ArgumentError(
                f"n_components={asked!r} cannot be a string with svd_solver='{solver}'"
            )
        if samples < features:
            raise ArgumentError("n_components='mle' is only supported if n_samples >= n_features")
        return
    least = 0 if solver in ("full", "covariance_eigh") else 1
    if not least <= asked <= smaller:
        raise ArgumentError(
            f"n_components={asked!r} must be between {least} and min(n_samples, n_features)="
            f"{smaller} with svd_solver={solver!r}"
        )
    if solver == "arpack" and asked == smaller:
        raise ArgumentError(
            f"n_components={asked!r} must be strictly less than min(n_samples, n_features)="
            f"{smaller} with svd_solver='arpack'"
        )
