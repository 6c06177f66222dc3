# pyright: reportArgumentType=false, reportCallIssue=false
"""A handful of queries: scores are squared differences, and the corpus is read where it lies."""

import torch
import triton

from onetrip.ops.kneighbors.device_call import Call, select_tiles, settle
from onetrip.ops.kneighbors.device_plan import (
    QUERIES_AT_ONCE,
    few_tile,
    queries_of_scores,
)
from onetrip.ops.kneighbors.kernel_few_triton import (
    _kneighbors_few_kernel,
    _kneighbors_scan_kernel,
)

# Rows of the corpus that a program holds at a time.
_BLOCK_N, _WARPS = 64, 8


def search_differences(call: Call) -> None:
    """Answer all queries of the call, or mark them as left."""
    Q = call.x.shape[0]
    step = queries_of_scores(Q, call.y.shape[0])
    for begin in range(0, Q, step):
        _round(call, begin, min(step, Q - begin))


def _round(call: Call, begin: int, Q: int) -> None:
    x, y = call.x[begin : begin + Q], call.y
    N, D = y.shape
    tile = few_tile(N, call.k)
    tiles, together = -(-N // tile), min(Q, QUERIES_AT_ONCE)
    scores = torch.empty(Q, tiles * tile, dtype=torch.float32, device=x.device)
    least = torch.empty(tiles, Q, dtype=torch.float32, device=x.device)
    _kneighbors_few_kernel[(tiles, triton.cdiv(Q, together))](
        x,
        y,
        scores,
        least,
        call.numbers[begin:],
        Q,
        N,
        D,
        *x.stride(),
        *y.stride(),
        scores.stride(0),
        least.stride(0),
        EXCLUDE_SELF=call.exclude_self,
        QUERIES=together,
        TILE=tile,
        BLOCK_D=min(128, max(16, triton.next_power_of_2(D))),
        BLOCK_N=min(_BLOCK_N, tile),
        num_warps=_WARPS,
    )
    # Differences, squares and their sum are each off by a unit; below the least normal number
    # errors are absolute.
    relative = 1.1 * (D + 8) * 2.0**-24
    absolute = 4.0 * (D + 8) * torch.finfo(torch.float32).tiny
    chosen = select_tiles(call, least, Q, bounds=(relative, absolute))
    candidates, found = torch.empty_like(chosen.tiles), torch.zeros_like(chosen.counts)
    _kneighbors_scan_kernel[(Q, min(tiles, candidates.shape[1]))](
        scores,
        chosen.tiles,
        chosen.counts,
        chosen.limits,
        candidates,
        found,
        scores.stride(0),
        relative,
        absolute,
        TILE=tile,
        ROOM=candidates.shape[1],
    )
    settle(call, candidates, found, begin)
