"""`onetrip.truncated_svd`: contract, checks, dispatch."""

import importlib
from typing import Literal

import torch
from torch import Tensor

from onetrip.core import recording
from onetrip.core.errors import (
    ArgumentError,
    DtypeError,
    ShapeError,
    complaint,
)
from onetrip.core.selection import Config, resolve
from onetrip.ops.truncated_svd import plan, select, torch_impl
from onetrip.ops.truncated_svd.project import has_kernels
from onetrip.ops.truncated_svd.randomized import normal_draw, randomized_decomposition
from onetrip.ops.truncated_svd.reference import truncated_svd_reference
from onetrip.ops.truncated_svd.solve import decompose, with_fixed_signs
from onetrip.tile.problem import problem_on
from onetrip.tile.side_by_side import on_one_thread

Impl = Literal["auto", "reference", "torch", "triton"]
Solver = Literal["auto", "full", "covariance_eigh", "randomized"]
Precision = Literal["certified", "fast"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
# A difference of sums in float64 below this share of them is rounding.
_NOTHING = 2.0**-46
# Elements of components that threads take longer to share than one to finish. Those that were woken
# look for more work for milliseconds, in the way of what comes next.
_WORTH_THREADS = 1 << 19
_SOLVERS = ("auto", "full", "covariance_eigh", "randomized")


def truncated_svd(
    x: Tensor,
    *,
    n_components: int | None = None,
    center: bool = False,
    solver: Solver = "auto",
    n_iter: int | None = None,
    n_oversamples: int = plan.OVERSAMPLES,
    seed: int = 0,
    precision: Precision = "certified",
    impl: Impl = "auto",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Largest singular values and right singular vectors of a matrix, or of it less its mean.

    Computes these lines, which copy x once to centre it and again to decompose it::

        x = x - x.mean(0) if center else x
        _, singular_values, components = torch.linalg.svd(x, full_matrices=False)
        singular_values, components = singular_values[:n_components], components[:n_components]

    What is stored is the Gram matrix of the smaller side, float64, summed tile by tile in one
    trip over x. The mean is taken out within a tile; there is no centred copy. Where small
    singular values would suffer from the square, or from products of halves on a device, a second
    trip corrects them.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float16 | bfloat16 | float64
        Any strides.
    n_components : int, optional
        K, at most min(N, D) are returned; all of these by default.
    center : bool, default False
        Take out the mean of each column, as principal component analysis does.
    solver : {"auto", "full", "covariance_eigh", "randomized"}, default "auto"
        "covariance_eigh" decomposes the Gram matrix, corrected to float32; "full" corrects it to
        the precision of `x`; "randomized" approximates, for few components of a matrix with two
        long sides; "auto" takes the Gram matrix unless random trips need fewer operations.
    n_iter : int, optional
        Power iterations of the randomized solver; 7, or 4 for many components, by default.
    n_oversamples : int, default 10
        Directions that the randomized solver follows beyond K.
    seed : int, default 0
        Of the randomized solver's directions.
    precision : {"certified", "fast"}, default "certified"
        "fast" never takes the second trip: singular values below 1e-6 of the largest lose digits,
        those below 1e-7 are noise; with "triton" those below 1e-2 and 1e-3.
    impl : {"auto", "reference", "torch", "triton"}, default "auto"
        "auto" follows `select.py`. A named implementation never falls back.

    Returns
    -------
    singular_values : Tensor [K], float32, or float64 if `x` is
        Falling.
    values : dict of str to Tensor
        "components" [K, D], orthonormal rows, the entry of largest modulus of each positive;
        "mean" [D]; "total_variance" [], the sum over columns of the mean squared deviation from
        the mean; "residual" [], the mean squared distance of the rows, centred or not, from the
        span of the components. Dtype as `singular_values`.

    Raises
    ------
    ShapeError, DtypeError, ArgumentError
        An argument that does not fit: which, what was expected, what came.
    UnsupportedError
        `impl` cannot run this problem here; the message says why.

    Notes
    -----
    Not differentiable. Deterministic. Error budget: `spec.py`. Cost: `cost.py`. `x` is never
    written to.

    References
    ----------
    scikit-learn's PCA and TruncatedSVD. Halko, Martinsson, Tropp, arXiv 0909.4061.

    Examples
    --------
    >>> import onetrip, torch
    >>> x = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> singular_values, values = onetrip.truncated_svd(x, n_components=1)
    >>> singular_values, values["components"]
    (tensor([3.]), tensor([[1., 0.]]))
    """
    _check(x, n_components, solver, n_iter, n_oversamples, precision)
    N, D = x.shape
    kept = min(n_components or D, N, D)
    options = {
        "n_components": n_components,
        "center": center,
        "solver": solver,
        "n_iter": n_iter,
        "n_oversamples": n_oversamples,
        "seed": seed,
        "precision": precision,
    }
    if recording.active():
        recording.note("truncated_svd", {"x": x}, options)
    problem = problem_on(x.device, {"N": N, "D": D, "K": kept}, x.dtype, options)
    chosen, config = resolve(select.OPERATOR, select, impl, problem)
    x = x.detach()
    if chosen == "reference":
        return truncated_svd_reference(x, n_components=n_components, center=center)
    iterations = plan.power_iterations(kept, min(N, D)) if n_iter is None else n_iter
    sizes = N, D, kept, iterations, n_oversamples
    solver = plan.chosen_solver(solver, *sizes, in_halves=chosen == "triton")  # type: ignore[assignment]
    if solver == "randomized":
        columns = min(kept + n_oversamples, D)
        singular_values, components, mean, total = _randomly(
            x, center, kept, iterations, columns, seed, config
        )
    else:
        correct = "never"
        if precision == "certified":
            exact = solver == "full" and x.dtype == torch.float64
            correct = "float64" if exact else "float32"
        if chosen == "triton" and D <= min(N, plan.MOST_FEATURES):
            from onetrip.ops.truncated_svd.one_trip import decompose_in_one_trip

            found = decompose_in_one_trip(x, kept, center, correct, config)
            if found is not None:
                return found
            chosen = "torch"
        moments = _implementation(chosen).gram_moments(x, center, config)
        singular_values, components, moments = decompose(x, moments, kept, center, correct, config)
        mean, total = moments.mean, moments.total
    # Not the trace of the Gram matrix, from which much is taken: that of a wide x is made of halves
    # on a device, while its mean, its variance and its singular values are of float64.
    square = total if center else total + N * mean.square().sum()
    with on_one_thread(where=x.is_cpu and components.numel() < _WORTH_THREADS):
        residual = square - singular_values.square().sum()
        if kept == min(N, D) or bool(residual < _NOTHING * square):
            residual = torch.zeros_like(residual)
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        return singular_values.to(dtype), {
            "components": with_fixed_signs(components).to(dtype).contiguous(),
            "mean": mean.to(dtype),
            "total_variance": (total / N).to(dtype),
            "residual": (residual / N).to(dtype),
        }


def _randomly(
    x: Tensor, center: bool, kept: int, n_iter: int, columns: int, seed: int, config: Config
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if has_kernels(x):
        mean, total = _implementation("triton").mean_and_variance(x)
    else:
        mean, total = torch_impl.mean_and_variance(x, config)
    shift = mean if center else None
    narrow = torch.float64 if x.dtype == torch.float64 else torch.float32

    def trip(basis: Tensor, wide: bool) -> Tensor:
        dtype = torch.float64 if wide else narrow
        return torch_impl.there_and_back(x, shift, basis, dtype, config)

    draw = normal_draw(x.shape[1], columns, seed, x.device)
    singular_values, components = randomized_decomposition(trip, kept, n_iter, draw)
    return singular_values, components, mean, total


def _check(
    x: Tensor,
    n_components: int | None,
    solver: str,
    n_iter: int | None,
    n_oversamples: int,
    precision: str,
) -> None:
    if x.dim() != 2 or 0 in x.shape:
        expected = "a matrix [N, D] with at least one row and one column"
        raise ShapeError(complaint("x", expected=expected, got=list(x.shape)))
    if x.dtype not in _DTYPES:
        expected = "float32, float16, bfloat16 or float64"
        raise DtypeError(complaint("x", expected=expected, got=x.dtype, way_out="Cast it."))
    for name, value, least in (
        ("n_components", n_components, 1),
        ("n_iter", n_iter, 0),
        ("n_oversamples", n_oversamples, 1),
    ):
        if value is not None and value < least:
            raise ArgumentError(complaint(name, expected=f"an integer >= {least}", got=value))
    for name, value, allowed in (
        ("solver", solver, _SOLVERS),
        ("precision", precision, ("certified", "fast")),
    ):
        if value not in allowed:
            raise ArgumentError(complaint(name, expected=f"one of {allowed}", got=repr(value)))


def _implementation(impl: str):
    """The module that makes the Gram matrix; Triton is imported when it is wanted."""
    file = "kernel_triton" if impl == "triton" else "torch_impl"
    return importlib.import_module(f"onetrip.ops.truncated_svd.{file}")
