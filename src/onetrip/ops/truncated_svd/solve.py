"""From a Gram matrix to singular values and vectors, corrected where it lost their digits."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.truncated_svd.krylov import few_eigenvectors
from onetrip.ops.truncated_svd.moments import Moments
from onetrip.ops.truncated_svd.torch_impl import back_through, gram_moments, square_through
from onetrip.tile.side_by_side import on_one_thread

_FLOAT64_UNIT = 2.0**-53
_FLOAT32_UNIT = 2.0**-24
# What eigenvectors may be off by that become float32: neighbours that are apart by a hundredth of
# their value are then off by 2^-25.
_NO_MORE = 2.0**-32
# Relative error of a singular value that an inexact Gram matrix may cause: four units of float32.
_ALLOWED = 2.0**-22
# Up to here threads that share a decomposition wait longer than they work: on two busy cores 64
# columns took 0.4 ms on one thread and 40 on two, 256 took 6 and 61. On quiet cores 256 take 8 and
# 10, 800 take 116 and 65.
_ONE_THREAD = 512
# Up to here the thin products of a few eigenvectors take less than to wake a thread.
_FEW_ON_ONE_THREAD = 1024
# Least share of the trace beside the components: 2^-23 of the trace is then a thousandth of it.
_LEFT = 2.0**-13


def decompose(
    x: Tensor, moments: Moments, kept: int, center: bool, correct: str, config: Config
) -> tuple[Tensor, Tensor, Moments]:
    """Singular values [K] and right vectors [K, D] of x [N, D], or of the centred x.

    Parameters
    ----------
    x : Tensor [N, D]
    moments : of `x`, with the same centring
    kept : K
    center : whether the mean is taken out
    correct : {"never", "float32", "float64"}
        Up to which precision small singular values must be right. The Gram matrix squares them,
        so that rounding, relative to the largest, is relative to a square.
    config : tile size

    Returns
    -------
    singular_values, right vectors, and the moments that they are from: `moments`, or new ones
    summed in float64 where those were not exact enough.
    """
    gram, errors = moments.gram, moments.errors
    # Where a half overflowed there is no decomposition; what comes out instead is not accepted.
    whole = gram if errors is None else gram.nan_to_num(0.0, 0.0, 0.0)
    values, vectors = leading_eigenvectors(whole, kept, _NO_MORE if correct != "float64" else 0.0)
    if errors is not None:
        looked = torch.cat([gram.trace()[None], values, errors @ vectors.square()])
        trace, *found = looked.tolist()
        if not is_exact_enough(trace, found[:kept], found[kept:], len(gram), correct):
            return decompose(x, gram_moments(x, center, config), kept, center, correct, config)
    # A root of a hundred numbers wakes MKL's threads, which then look for work for 5 ms.
    with on_one_thread(where=values.is_cpu):
        singular_values = values.clamp_min(0.0).sqrt()
    shift = moments.mean if center else None
    if x.shape[0] < x.shape[1]:
        return *_right_vectors(back_through(x, shift, vectors, config)), moments
    if correct != "never" and _is_uncertain(singular_values, moments, correct):
        return *_corrected(x, shift, vectors, singular_values, config), moments
    return singular_values, vectors.T, moments


def leading_eigenvectors(matrix: Tensor, kept: int, unit: float = 0.0) -> tuple[Tensor, Tensor]:
    """Largest eigenvalues [K], falling, and eigenvectors [S, K] of a symmetric `matrix` [S, S].

    `unit` is what they may be off by, as `few_eigenvectors` says.

    >>> values, vectors = leading_eigenvectors(torch.tensor([[1.0, 0.0], [0.0, 3.0]]), 1)
    >>> values, vectors.abs()
    (tensor([3.]), tensor([[0.],
            [1.]]))
    """
    if matrix.is_cpu and len(matrix) > _ONE_THREAD and matrix.dtype == torch.float64:
        with on_one_thread(where=len(matrix) <= _FEW_ON_ONE_THREAD):
            found = few_eigenvectors(matrix, kept, unit)
        if found is not None:
            return found
    with on_one_thread(where=len(matrix) <= _ONE_THREAD):
        values, vectors = torch.linalg.eigh(matrix)
        return values.flip(0)[:kept], vectors[:, -kept:].flip(1)


def with_fixed_signs(components: Tensor) -> Tensor:
    """`components` [K, D], the entry of largest modulus of each made positive."""
    size = components.abs()
    # NumPy's search along rows uses vector instructions; torch's does not.
    place = torch.from_numpy(size.numpy().argmax(1)) if size.is_cpu else size.argmax(1)
    largest = components.gather(1, place[:, None])
    return torch.where(largest < 0, -components, components)


def is_exact_enough(
    trace: float, values: Sequence[float], errors: Sequence[float], smaller: int, correct: str
) -> bool:
    """Whether errors of the entries of a Gram matrix from halves stay out of sight.

    To first order an eigenvalue is off by ``vᵀ E v``, where v is its vector and E the errors:
    about the sum of ``v² errors`` over the entries of v, and a singular value by the half of that.
    What the components leave of the trace is a difference, so it must not be too small.

    Parameters
    ----------
    trace : of the Gram matrix; not finite where a number overflowed
    values : the K largest eigenvalues, falling
    errors : the sum for each of them
    smaller : number of all eigenvalues
    correct : as in `decompose`
    """
    if correct == "never" or not math.isfinite(trace):
        return math.isfinite(trace)
    if not all(
        0.5 * error <= _ALLOWED * value for error, value in zip(errors, values, strict=True)
    ):
        return False
    if 0.5 * math.sqrt(smaller) * _FLOAT64_UNIT * values[0] > _FLOAT32_UNIT * values[-1]:
        return False
    return len(values) == smaller or trace - math.fsum(values) > _LEFT * trace


def _is_uncertain(singular_values: Tensor, moments: Moments, correct: str) -> bool:
    """Whether rounding of the Gram matrix may show in the smallest of the singular values.

    An eigenvalue is off by at most about √D·u·(σ₁² + what the mean took), so σ by the half of that
    over σ.
    """
    ends = [singular_values[0].square(), singular_values[-1].square()]
    if moments.cancelled is not None:
        ends[0] = ends[0] + moments.cancelled
    largest, smallest = torch.stack(ends).tolist()
    allowed = _FLOAT32_UNIT if correct == "float32" else 32.0 * _FLOAT64_UNIT
    return 0.5 * math.sqrt(len(moments.gram)) * _FLOAT64_UNIT * largest > allowed * smallest


def _corrected(
    x: Tensor, shift: Tensor | None, vectors: Tensor, singular_values: Tensor, config: Config
) -> tuple[Tensor, Tensor]:
    """A second trip, with every direction brought to the same length first.

    ``y = x @ vectors / singular_values`` has nearly orthonormal columns, so that its own Gram
    matrix loses nothing; with ``yᵀ y = rᵀ r``, the small ``r · diag(singular_values)`` has the
    singular values of ``x @ vectors``.
    """
    floor = float(singular_values[0]) * math.sqrt(_FLOAT64_UNIT * x.shape[1])
    if floor == 0.0:
        return singular_values, vectors.T
    scale = singular_values.clamp_min(floor)
    square = square_through(x, shift, vectors / scale, config)
    lengths, directions = leading_eigenvectors(square, len(square))
    root = lengths.clamp_min(0.0).sqrt()[:, None] * directions.T  # [K, K]
    with on_one_thread(where=len(root) <= _ONE_THREAD):
        _, corrected, rotation = torch.linalg.svd(root * scale)
    return corrected, rotation @ vectors.T


def _right_vectors(product: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values and right vectors from ``xᵀ @ left vectors`` [D, K], K at most D."""
    orthonormal, triangle = torch.linalg.qr(product)
    rotation, singular_values, _ = torch.linalg.svd(triangle)
    return singular_values, (orthonormal @ rotation).T
