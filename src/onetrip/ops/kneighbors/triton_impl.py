# pyright: reportCallIssue=false
"""Launches the Triton kernels: minima of scores, limits, candidates, exact order."""

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kneighbors import kernel_few_triton as few_kernels
from onetrip.ops.kneighbors import kernel_select_triton as select_kernels
from onetrip.ops.kneighbors import torch_impl
from onetrip.ops.kneighbors.device_plan import (
    Blocks,
    capacity,
    few_tile,
    make_blocks,
    parts_of_corpus,
    queries_of_a_round,
)
from onetrip.ops.kneighbors.halves import (
    Halves,
    largest_of_tiles,
    offset_and_scales,
    round_rows,
)
from onetrip.ops.kneighbors.kernel_settle_triton import _kneighbors_settle_kernel
from onetrip.ops.kneighbors.kernel_triton import _kneighbors_minima_kernel
from onetrip.ops.kneighbors.plan import FEW_QUERIES
from onetrip.ops.kneighbors.torch_impl import Found

# A bound is computed in float32 itself.
_SAFETY = 1.01
# Tiles whose minima a program of queries compares at a time.
_BLOCK_T = 1024
# What decides queries that candidates had no room for.
_TORCH_TILE = {"rows": 512, "columns": 2048, "group": 16}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the data as they came, what is asked, and where the answers go."""

    x: Tensor
    y: Tensor
    k: int
    metric: str
    exclude_self: bool
    certified: bool
    config: Config
    values: Tensor
    indices: Tensor
    left: Tensor
    totals: Tensor

    @property
    def is_euclidean(self) -> bool:
        """Whether differences make the distance."""
        return self.metric in ("euclidean", "sqeuclidean")


@torch.no_grad()
def search(
    x: Tensor,
    y: Tensor,
    k: int,
    metric: str,
    *,
    exclude_self: bool = False,
    certified: bool = True,
    config: Config,
) -> Found:
    """Find the `k` nearest rows of `y` [N, D] for every row of `x` [Q, D]; as `torch_impl`'s."""
    Q, device = x.shape[0], x.device
    values = torch.empty(Q, k, dtype=torch.float64, device=device)
    indices = torch.empty(Q, k, dtype=torch.int64, device=device)
    left = torch.empty(Q, dtype=torch.int8, device=device)
    totals = torch.zeros(2, dtype=torch.int32, device=device)
    call = Call(x, y, k, metric, exclude_self, certified, config, values, indices, left, totals)
    with torch.cuda.device_of(x):
        if call.is_euclidean and Q <= FEW_QUERIES:
            _search_few(call)
        else:
            _search_products(call)
        reevaluated, undecided = totals.tolist()
        if undecided:
            _decide(call, left.nonzero().flatten())
    return Found(values, indices, reevaluated if certified else 0)


def _search_products(call: Call) -> None:
    x, y, config = call.x, call.y, call.config
    Q, N, D = x.shape[0], *y.shape
    blocks = make_blocks(Q, N, D, call.k, config)
    tiles = blocks.tiles(N)
    offset, x_scale, y_scale = offset_and_scales(x, y, call.metric)
    zero = offset if call.is_euclidean else torch.zeros_like(offset)
    shape = {"depth": blocks.padded, "metric": call.metric}
    padded = -(-Q // blocks.queries) * blocks.queries
    queries = round_rows(x, zero, x_scale, rows=padded, **shape)
    corpus = round_rows(y, offset, y_scale, rows=tiles * blocks.columns, **shape)
    tops = largest_of_tiles(corpus, tiles, blocks.columns)
    step = queries_of_a_round(Q, N, D, blocks)
    groups = torch.empty(tiles * 4, step, dtype=torch.float32, device=x.device)
    least = torch.empty(tiles, step, dtype=torch.float32, device=x.device)
    for begin in range(0, Q, step):
        rows = min(step, padded - begin)
        _round(call, blocks, queries, corpus, tops, groups, least, begin, rows)


def _round(
    call: Call,
    blocks: Blocks,
    queries: Halves,
    corpus: Halves,
    tops: tuple[Tensor, Tensor],
    groups: Tensor,
    least: Tensor,
    begin: int,
    rows: int,
) -> None:
    """Queries from `begin` on, [rows] with padding, through all of the corpus."""
    N, tiles, stride = call.y.shape[0], least.shape[0], least.stride(0)
    Q = min(rows, call.x.shape[0] - begin)
    factor = -2.0 if call.is_euclidean else -1.0
    parts = parts_of_corpus(rows, N, blocks)
    x = queries.rows[begin:]
    _kneighbors_minima_kernel[(rows // blocks.queries, parts)](
        x,
        corpus.rows,
        corpus.bias,
        groups,
        least,
        tiles,
        -(-tiles // parts),
        begin,
        stride,
        blocks.padded,
        FACTOR=factor,
        EXCLUDE_SELF=call.exclude_self,
        WHOLE=blocks.depth == blocks.padded,
        BLOCK_Q=blocks.queries,
        BLOCK_N=blocks.columns,
        BLOCK_D=blocks.depth,
        num_warps=call.config["num_warps"],
        num_stages=call.config["num_stages"],
    )
    bounds = _bounds(call, blocks.padded)
    norms = queries.norm[begin:], queries.lost[begin:], *tops
    chosen, counts, limits = _select(call, least, norms, bounds, Q)
    candidates, found = torch.empty_like(chosen), torch.empty_like(counts)
    select_kernels._kneighbors_gather_kernel[(Q,)](
        x,
        corpus.rows,
        corpus.bias,
        groups,
        *norms,
        chosen,
        counts,
        limits,
        candidates,
        found,
        N,
        blocks.padded,
        begin,
        stride,
        *bounds,
        FACTOR=factor,
        EXCLUDE_SELF=call.exclude_self,
        CAPACITY=chosen.shape[1],
        BLOCK_N=blocks.columns,
        BLOCK_D=blocks.depth,
        num_warps=1,
    )
    _settle(call, candidates, found, begin)


def _search_few(call: Call) -> None:
    x, y = call.x, call.y
    Q, N, D = x.shape[0], *y.shape
    tile = few_tile(N, call.k)
    tiles = -(-N // tile)
    scores = torch.empty(Q, tiles * tile, dtype=torch.float32, device=x.device)
    least = torch.empty(tiles, Q, dtype=torch.float32, device=x.device)
    few_kernels._kneighbors_few_kernel[(tiles,)](
        x,
        y,
        scores,
        least,
        N,
        D,
        *x.stride(),
        *y.stride(),
        scores.stride(0),
        Q,
        EXCLUDE_SELF=call.exclude_self,
        QUERIES=Q,
        TILE=tile,
        BLOCK_N=32,
        BLOCK_D=min(128, max(16, triton.next_power_of_2(D))),
    )
    # Differences, squares and their sum are each off by a unit; below the least normal number
    # errors are absolute.
    relative = 1.1 * (D + 8) * 2.0**-24
    absolute = 4.0 * (D + 8) * torch.finfo(torch.float32).tiny
    chosen, counts, limits = _select(call, least, None, (relative, absolute), Q)
    candidates, found = torch.empty_like(chosen), torch.zeros_like(counts)
    few_kernels._kneighbors_scan_kernel[chosen.shape](
        scores,
        chosen,
        counts,
        limits,
        candidates,
        found,
        scores.stride(0),
        relative,
        absolute,
        TILE=tile,
        CAPACITY=chosen.shape[1],
    )
    _settle(call, candidates, found, 0)


def _select(
    call: Call,
    least: Tensor,
    norms: tuple[Tensor, ...] | None,
    bounds: tuple[float, ...],
    Q: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Chosen tiles [Q, capacity], their counts, and the limits of scores [Q]."""
    device, room = least.device, capacity(call.k)
    chosen = torch.empty(Q, room, dtype=torch.int32, device=device)
    counts = torch.empty(Q, dtype=torch.int32, device=device)
    limits = torch.empty(Q, dtype=torch.float32, device=device)
    products = norms is not None
    block = 8 if products else 1
    select_kernels._kneighbors_select_kernel[(triton.cdiv(Q, block),)](
        least,
        *(norms if norms is not None else (least,) * 4),
        chosen,
        counts,
        limits,
        Q,
        least.shape[0],
        least.stride(0),
        *(bounds if products else (0.0, 0.0, 0.0)),
        *((0.0, 0.0) if products else bounds),
        PRODUCTS=products,
        K=call.k,
        CAPACITY=room,
        BLOCK_Q=block,
        BLOCK_T=_BLOCK_T,
        num_warps=8,
    )
    return chosen, counts, limits


def _settle(call: Call, candidates: Tensor, found: Tensor, begin: int) -> None:
    Q, room = candidates.shape
    scratch = torch.empty(Q, room, dtype=torch.float64, device=call.x.device)
    x, y = call.x[begin : begin + Q], call.y
    _kneighbors_settle_kernel[(Q,)](
        x,
        y,
        candidates,
        found,
        scratch,
        call.values[begin:],
        call.indices[begin:],
        call.left[begin:],
        call.totals,
        y.shape[1],
        *x.stride(),
        *y.stride(),
        METRIC="differences" if call.is_euclidean else call.metric,
        K=call.k,
        CAPACITY=room,
        BLOCK_C=8,
        BLOCK_D=64,
        num_warps=1 if room == 32 else 4,
    )


def _bounds(call: Call, D: int) -> tuple[float, float, float]:
    """What lost norms, summed norms and squared norms count in the error of a score.

    Products of float16 are exact in float32. A tensor core may truncate where it adds, which makes
    a sum of D products wrong by 2 (D + 4) units; rows that were scaled to length 1 add as much.
    """
    unit = 2.0**-24
    factor = _SAFETY * (2.0 if call.is_euclidean else 1.0)
    return factor * call.certified, factor * 4.0 * (D + 8) * unit, _SAFETY * (D + 8) * unit


def _decide(call: Call, rows: Tensor) -> None:
    """Search anew, in plain torch, for queries with more candidates than there is room for."""
    x, y, k = call.x[rows], call.y, call.k
    extra = int(call.exclude_self)
    found = torch_impl.search(x, y, k + extra, call.metric, config=_TORCH_TILE)
    values, indices = found.values, found.indices
    if call.exclude_self:
        # Without the query itself; where equals crowded it out, the last one is too many.
        others = indices != rows[:, None]
        others[:, -1] &= ~others.all(1)
        values = values[others].view(-1, k)
        indices = indices[others].view(-1, k)
    call.values[rows], call.indices[rows] = values, indices
