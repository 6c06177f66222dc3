"""Rows in float16, centred and scaled, and the norms that bound what rounding took away."""

# pyright: reportCallIssue=false
from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.ops.kneighbors import kernel_prepare_triton as kernels
from onetrip.ops.kneighbors.device_plan import ROWS_OF_A_PROGRAM

# Any offset is right; one close to the mean makes the bounds small.
_SAMPLED_ROWS = 4096
# The largest number of the sample lies here: 2^8 below what float16 holds, 2^22 above its least.
_EXPONENT = 8
# Rows of length 1 have smaller numbers.
_EXPONENT_OF_LENGTHS = 12
_LARGEST_EXPONENT = 100


@dataclass(frozen=True, slots=True)
class Halves:
    """Float16 rows [R, D], and for each: what is added to its products, its norm, its lost norm."""

    rows: Tensor
    bias: Tensor
    norm: Tensor
    lost: Tensor


def offset_and_scales(x: Tensor, y: Tensor, metric: str) -> tuple[Tensor, Tensor, Tensor]:
    """Common offset [D], and the powers of two that queries and corpus are multiplied by."""
    if metric == "cosine":
        scale = x.new_full((), 2.0**_EXPONENT_OF_LENGTHS, dtype=torch.float32)
        return x.new_zeros(x.shape[1], dtype=torch.float32), scale, scale
    y, x = _sample(y), _sample(x)
    offset = y.mean(0, dtype=torch.float64).float()
    if metric == "inner_product":
        return offset, _scale(x), _scale(y - offset)
    scale = _scale(torch.cat([x, y]) - offset)
    return offset, scale, scale


def round_rows(
    x: Tensor, offset: Tensor, scale: Tensor, *, rows: int, depth: int, metric: str
) -> Halves:
    """Round `x` [R, D] to float16 [rows, depth], with zeros where it has nothing."""
    R = -(-rows // ROWS_OF_A_PROGRAM) * ROWS_OF_A_PROGRAM
    halves = torch.empty(R, depth, dtype=torch.float16, device=x.device)
    bias, norm, lost = torch.empty(3, R, dtype=torch.float32, device=x.device)
    kernels._kneighbors_prepare_kernel[(R // ROWS_OF_A_PROGRAM,)](
        x,
        offset,
        scale,
        halves,
        bias,
        norm,
        lost,
        *x.shape,
        depth,
        *x.stride(),
        COSINE=metric == "cosine",
        SQUARES=metric in ("euclidean", "sqeuclidean"),
        BLOCK_R=ROWS_OF_A_PROGRAM,
        BLOCK_D=min(depth & -depth, 128),
    )
    return Halves(halves, bias, norm, lost)


def largest_of_tiles(halves: Halves, tiles: int, columns: int) -> tuple[Tensor, Tensor]:
    """Largest norm and largest lost norm of every tile of `columns` rows."""
    rows = tiles * columns
    norm, lost = halves.norm[:rows], halves.lost[:rows]
    return norm.view(tiles, columns).amax(1), lost.view(tiles, columns).amax(1)


def _sample(x: Tensor) -> Tensor:
    return x[:: -(-x.shape[0] // _SAMPLED_ROWS)].float()


def _scale(sample: Tensor) -> Tensor:
    if sample.numel() == 0:
        return sample.new_ones(())
    exponent = torch.frexp(sample.abs().amax()).exponent
    exponent = exponent.clamp(-_LARGEST_EXPONENT, _LARGEST_EXPONENT)
    return torch.ldexp(sample.new_ones(()), _EXPONENT - exponent)
