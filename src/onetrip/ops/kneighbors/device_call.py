# pyright: reportArgumentType=false, reportCallIssue=false
"""One search on a GPU, and the two steps that all of its ways share: select tiles, settle order."""

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kneighbors.device_plan import list_width, room_for, tiles_at_a_time
from onetrip.ops.kneighbors.kernel_select_triton import _kneighbors_select_kernel
from onetrip.ops.kneighbors.kernel_settle_triton import _kneighbors_settle_kernel

# Queries that a program selects for.
_BLOCK_Q = 16
_SELECT_WARPS = 4


@dataclass(frozen=True, slots=True)
class Call:
    """The data as they came, what is asked, and where the answers go.

    `numbers` are the rows of the corpus that the queries are, `left` marks queries with more
    candidates than there is room for, `totals` counts queries with more candidates than
    neighbours, and those left.
    """

    x: Tensor
    y: Tensor
    k: int
    metric: str
    exclude_self: bool
    certified: bool
    config: Config
    numbers: Tensor
    values: Tensor
    indices: Tensor
    left: Tensor
    totals: Tensor

    @property
    def is_euclidean(self) -> bool:
        """Whether differences make the distance."""
        return self.metric in ("euclidean", "sqeuclidean")


def make_call(
    x: Tensor,
    y: Tensor,
    k: int,
    metric: str,
    *,
    exclude_self: bool,
    certified: bool,
    config: Config,
    numbers: Tensor | None = None,
) -> Call:
    """A call with room for its answers."""
    Q, device = x.shape[0], x.device
    if numbers is None:
        numbers = torch.arange(Q if exclude_self else 0, device=device)
    return Call(
        x,
        y,
        k,
        metric,
        exclude_self,
        certified,
        config,
        numbers,
        torch.empty(Q, k, dtype=torch.float64, device=device),
        torch.empty(Q, k, dtype=torch.int64, device=device),
        torch.empty(Q, dtype=torch.int8, device=device),
        torch.zeros(2, dtype=torch.int32, device=device),
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """For each query, tiles [Q, room] that may hold neighbours, their count, its limit."""

    tiles: Tensor
    counts: Tensor
    limits: Tensor


def select_tiles(
    call: Call,
    least: Tensor,
    Q: int,
    *,
    norms: tuple[Tensor, ...] = (),
    bounds: tuple[float, ...],
) -> Chosen:
    """Choose among tiles by their least scores [tiles, Q].

    With norms and lost norms of queries and of tiles, `bounds` say what they count in an error;
    without them, how far a score is off relative to itself, and absolutely.
    """
    device, products = least.device, bool(norms)
    chosen = Chosen(
        torch.empty(Q, room_for(call.k), dtype=torch.int32, device=device),
        torch.empty(Q, dtype=torch.int32, device=device),
        torch.empty(Q, dtype=torch.float32, device=device),
    )
    block = _BLOCK_Q if products else 1
    _kneighbors_select_kernel[(triton.cdiv(Q, block),)](
        least,
        *(norms or (least,) * 4),
        chosen.tiles,
        chosen.counts,
        chosen.limits,
        Q,
        least.shape[0],
        least.stride(0),
        *(bounds if products else (0.0, 0.0, 0.0, *bounds)),
        *((0.0, 0.0) if products else ()),
        PRODUCTS=products,
        K=call.k,
        ROOM=chosen.tiles.shape[1],
        BLOCK_Q=block,
        BLOCK_T=tiles_at_a_time(call.k, block),
        num_warps=_SELECT_WARPS,
    )
    return chosen


def settle(call: Call, candidates: Tensor, found: Tensor, begin: int) -> None:
    """Write the answers of queries from `begin` on, of `found` [Q] candidates [Q, room]."""
    Q, room = candidates.shape
    width = list_width(call.k, call.y.shape[0])
    x, y = call.x[begin : begin + Q], call.y
    _kneighbors_settle_kernel[(Q,)](
        x,
        y,
        candidates,
        found,
        torch.empty(Q, room, dtype=torch.float64, device=x.device),
        call.values[begin:],
        call.indices[begin:],
        call.left[begin:],
        call.totals,
        y.shape[1],
        *x.stride(),
        *y.stride(),
        METRIC="differences" if call.is_euclidean else call.metric,
        K=call.k,
        ROOM=room,
        WIDTH=width,
        BLOCK_C=8,
        BLOCK_D=64,
        num_warps=max(1, width // 32),
        enable_fp_fusion=False,
    )
