"""Rows in float16, centred and scaled, and the norms that bound what rounding took away."""

# pyright: reportCallIssue=false
from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.ops.kneighbors import kernel_prepare_triton as kernels
from onetrip.ops.kneighbors.device_plan import ROWS_OF_A_PROGRAM

# Any offset is right; one close to the mean makes the bounds small.
_SAMPLED_ROWS = 4096
# Rows of length 1 are scaled as if their largest number were this.
_TOP_OF_LENGTHS = 2.0**-5


@dataclass(frozen=True, slots=True)
class Halves:
    """Float16 rows [R, D], and for each: what is added to its products, its norm, its lost norm."""

    rows: Tensor
    bias: Tensor
    norm: Tensor
    lost: Tensor


def offset_and_tops(x: Tensor, y: Tensor, metric: str) -> tuple[Tensor, Tensor, Tensor]:
    """Common offset [D], and the largest numbers of queries and corpus that scales allow for.

    They come from a sample: what is larger is put at the end of float16, and counted as lost.
    """
    if metric == "cosine" or x.shape[1] == 0:
        top = x.new_full((), _TOP_OF_LENGTHS, dtype=torch.float32)
        return x.new_zeros(x.shape[1], dtype=torch.float32), top, top
    x, y = _sample(x), _sample(y)
    offset = y.mean(0)
    if metric == "inner_product":
        return offset, _top(x), _top(y - offset)
    top = _top(torch.cat([x, y]) - offset)
    return offset, top, top


def round_rows(
    x: Tensor, offset: Tensor, top: Tensor, *, rows: int, depth: int, metric: str
) -> Halves:
    """Round `x` [R, D] to float16 [rows, depth], with zeros where it has nothing."""
    R = -(-rows // ROWS_OF_A_PROGRAM) * ROWS_OF_A_PROGRAM
    halves = torch.empty(R, depth, dtype=torch.float16, device=x.device)
    bias, norm, lost = torch.empty(3, R, dtype=torch.float32, device=x.device)
    kernels._kneighbors_prepare_kernel[(R // ROWS_OF_A_PROGRAM,)](
        x,
        offset,
        top,
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


def _top(sample: Tensor) -> Tensor:
    return torch.linalg.vector_norm(sample, torch.inf)
