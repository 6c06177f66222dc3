# pyright: reportArgumentType=false, reportCallIssue=false
"""Many queries: scores from products of float16 rows, in rounds whose minima fit into memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.ops.kneighbors.device_call import Call, select_tiles, settle
from onetrip.ops.kneighbors.device_plan import (
    Blocks,
    make_blocks,
    parts_of_corpus,
    queries_of_a_round,
)
from onetrip.ops.kneighbors.halves import (
    Halves,
    largest_of_tiles,
    offset_and_tops,
    round_rows,
)
from onetrip.ops.kneighbors.kernel_select_triton import _kneighbors_gather_kernel
from onetrip.ops.kneighbors.kernel_triton import _kneighbors_minima_kernel

# A bound is computed in float32 itself.
_SAFETY = 1.01
_UNIT = 2.0**-24
# Groups looked at together, and rows that are scored again together.
_GATHER_BLOCKS = {"BLOCK_L": 64, "num_warps": 1}
_GATHER_ROWS, _GATHER_ROWS_OF_SHORT = 16, 64


@dataclass(frozen=True, slots=True)
class _Rounded:
    """Queries and corpus in float16, the largest norms of the corpus' tiles, room for minima."""

    blocks: Blocks
    queries: Halves
    corpus: Halves
    tops: tuple[Tensor, Tensor]
    groups: Tensor
    least: Tensor


def search_products(call: Call) -> None:
    """Answer all queries of the call, or mark them as left."""
    x, y = call.x, call.y
    Q, N, D = x.shape[0], *y.shape
    blocks = make_blocks(Q, N, D, call.k, call.config)
    tiles, step = blocks.tiles(N), queries_of_a_round(Q, N, D, call.k, blocks)
    padded = -(-Q // blocks.queries) * blocks.queries
    offset, x_top, y_top = offset_and_tops(x, y, call.metric)
    # A product with a moved query would not be the product that is asked for.
    x_offset = offset if call.is_euclidean else torch.zeros_like(offset)
    form = {"depth": blocks.padded, "metric": call.metric}
    corpus = round_rows(y, offset, y_top, rows=tiles * blocks.columns, **form)
    rounded = _Rounded(
        blocks,
        round_rows(x, x_offset, x_top, rows=padded, **form),
        corpus,
        largest_of_tiles(corpus, tiles, blocks.columns),
        torch.empty(tiles * blocks.groups, step, dtype=torch.float32, device=x.device),
        torch.empty(tiles, step, dtype=torch.float32, device=x.device),
    )
    for begin in range(0, Q, step):
        _round(call, rounded, begin, min(step, padded - begin))


def _round(call: Call, rounded: _Rounded, begin: int, rows: int) -> None:
    """Take queries from `begin` on, [rows] with padding, through all of the corpus."""
    blocks, queries, corpus = rounded.blocks, rounded.queries, rounded.corpus
    groups, least = rounded.groups, rounded.least
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
        GROUPS=blocks.groups,
        BLOCK_Q=blocks.queries,
        BLOCK_N=blocks.columns,
        BLOCK_D=blocks.depth,
        num_warps=call.config["num_warps"],
        num_stages=call.config["num_stages"] if blocks.depth <= 128 else 2,
    )
    norms = queries.norm[begin:], queries.lost[begin:], *rounded.tops
    bounds = _bounds(call, blocks.padded)
    chosen = select_tiles(call, least, Q, norms=norms, bounds=bounds)
    candidates, found = torch.empty_like(chosen.tiles), torch.empty_like(chosen.counts)
    _kneighbors_gather_kernel[(Q,)](
        x,
        corpus.rows,
        corpus.bias,
        groups,
        *norms,
        chosen.tiles,
        chosen.counts,
        chosen.limits,
        torch.empty_like(candidates),
        candidates,
        found,
        N,
        blocks.padded,
        begin,
        stride,
        *bounds,
        FACTOR=factor,
        EXCLUDE_SELF=call.exclude_self,
        ROOM=candidates.shape[1],
        GROUPS=blocks.groups,
        BLOCK_N=blocks.columns,
        BLOCK_D=min(blocks.depth, 128),
        BLOCK_R=_GATHER_ROWS if blocks.columns // blocks.groups >= 8 else _GATHER_ROWS_OF_SHORT,
        **_GATHER_BLOCKS,
    )
    settle(call, candidates, found, begin)


def _bounds(call: Call, D: int) -> tuple[float, float, float]:
    """What lost norms, summed norms and squared norms count in the error of a score.

    Products of float16 are exact in float32. A tensor core may truncate where it adds, which makes
    a sum of D products wrong by 2 (D + 4) units; rows that were scaled to length 1 add as much.
    Without a certificate, what rounding lost counts nothing.
    """
    factor = _SAFETY * (2.0 if call.is_euclidean else 1.0)
    sums = 4.0 * (D + 8) * _UNIT
    return factor * call.certified, factor * sums, _SAFETY * (D + 8) * _UNIT
