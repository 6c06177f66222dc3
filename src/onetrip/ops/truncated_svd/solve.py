"""From a Gram matrix to singular values and vectors, corrected where it lost their digits."""

import math

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.truncated_svd.moments import Moments
from onetrip.ops.truncated_svd.torch_impl import back_through, square_through

_FLOAT64_UNIT = 2.0**-53
_FLOAT32_UNIT = 2.0**-24


def decompose(
    x: Tensor, moments: Moments, kept: int, center: bool, correct: str, config: Config
) -> tuple[Tensor, Tensor]:
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
    """
    values, vectors = torch.linalg.eigh(moments.gram)
    values, vectors = values.flip(0)[:kept], vectors.flip(1)[:, :kept].contiguous()
    singular_values = values.clamp_min(0.0).sqrt()
    shift = moments.mean if center else None
    if x.shape[0] < x.shape[1]:
        return _right_vectors(back_through(x, shift, vectors, config))
    if correct != "never" and _is_uncertain(singular_values, x.shape[1], correct):
        return _corrected(x, shift, vectors, singular_values, config)
    return singular_values, vectors.T


def with_fixed_signs(components: Tensor) -> Tensor:
    """`components` [K, D], the entry of largest modulus of each made positive."""
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    return torch.where(largest < 0, -components, components)


def _is_uncertain(singular_values: Tensor, D: int, correct: str) -> bool:
    """Whether rounding of the Gram matrix may show in the smallest of the singular values.

    An eigenvalue is off by at most about √D·u·σ₁², so σ by the half of that over σ.
    """
    largest, smallest = float(singular_values[0]), float(singular_values[-1])
    allowed = _FLOAT32_UNIT if correct == "float32" else 32.0 * _FLOAT64_UNIT
    return 0.5 * math.sqrt(D) * _FLOAT64_UNIT * largest**2 > allowed * smallest**2


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
    lengths, directions = torch.linalg.eigh(square)
    root = lengths.clamp_min(0.0).sqrt()[:, None] * directions.T  # [K, K]
    _, corrected, rotation = torch.linalg.svd(root * scale)
    return corrected, rotation @ vectors.T


def _right_vectors(product: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values and right vectors from ``xᵀ @ left vectors`` [D, K], K at most D."""
    orthonormal, triangle = torch.linalg.qr(product)
    rotation, singular_values, _ = torch.linalg.svd(triangle)
    return singular_values, (orthonormal @ rotation).T
