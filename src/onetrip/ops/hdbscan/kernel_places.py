"""Triton kernels of hdbscan: what lies under the nodes of merges, where, and how high a way leads.

Chains are what `kernel_chains.py` leaves: runs of edges, those of early passes first, and what
hangs at an edge is a chain of an earlier pass. Sizes are summed from early passes to late ones,
places handed down from late ones to early ones, a sum along all chains and a launch a pass.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase

BLOCK = 256


@triton.jit(do_not_specialize=["low", "high", "E"])
def _hdbscan_grow_kernel(
    edge_ptr,
    begin_ptr,
    end_ptr,
    place_ptr,
    above_ptr,
    along_ptr,
    under_ptr,
    size_ptr,
    low,
    high,
    E,
    BLOCK: tl.constexpr,
):
    """Points under the nodes of one pass's chains; a whole chain hangs at a later place."""
    offs = low + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < high
    edge = tl.load(edge_ptr + offs, mask=mask, other=0)
    begin = tl.load(begin_ptr + offs, mask=mask, other=0)
    held = tl.load(along_ptr + offs - low, mask=mask, other=0)
    held -= tl.load(along_ptr + begin - 1 - low, mask=mask & (begin > low), other=0)
    tl.store(size_ptr + edge, held, mask=mask)
    ends = mask & (tl.load(end_ptr + offs, mask=mask, other=-1) == offs)
    up = tl.load(above_ptr + E + 1 + edge, mask=ends, other=E)
    ends &= up < E
    place = tl.load(place_ptr + up, mask=ends, other=0)
    tl.atomic_add(under_ptr + place, held, mask=ends, sem="relaxed")


@triton.jit
def _pushed(node, edge, left_ptr, size_ptr, E, mask):
    """Points that stand before a child of an edge: those of the left one before the right one."""
    left = tl.load(left_ptr + edge, mask=mask, other=0)
    size = tl.load(size_ptr + left - E - 1, mask=mask & (left > E), other=1)
    return tl.where(mask & (left != node), size, 0)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_pushed_kernel(edge_ptr, left_ptr, size_ptr, pushed_ptr, E, BLOCK: tl.constexpr):
    """Points that stand before what comes before in a chain, place by place."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < E
    edge = tl.load(edge_ptr + offs, mask=mask, other=0)
    before = E + 1 + tl.load(edge_ptr + offs - 1, mask=mask & (offs > 0), other=0)
    pushed = _pushed(before, edge, left_ptr, size_ptr, E, mask & (offs > 0))
    tl.store(pushed_ptr + offs, pushed, mask=mask)


@triton.jit
def _start(node, start_ptr, above_ptr, left_ptr, size_ptr, E, mask):
    """First place of nodes, from that of what merges them; of the last node 0."""
    up = tl.load(above_ptr + node, mask=mask, other=E)
    mask &= up < E
    start = tl.load(start_ptr + up, mask=mask, other=0)
    return start + _pushed(node, up, left_ptr, size_ptr, E, mask)


@triton.jit(do_not_specialize=["low", "high", "E"])
def _hdbscan_start_kernel(
    edge_ptr,
    end_ptr,
    along_ptr,
    start_ptr,
    above_ptr,
    left_ptr,
    size_ptr,
    low,
    high,
    E,
    BLOCK: tl.constexpr,
):
    """First place of what every edge of one pass's chains holds, from the ends of the chains."""
    offs = low + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < high
    edge = tl.load(edge_ptr + offs, mask=mask, other=0)
    end = tl.load(end_ptr + offs, mask=mask, other=0)
    last = E + 1 + tl.load(edge_ptr + end, mask=mask, other=0)
    start = _start(last, start_ptr, above_ptr, left_ptr, size_ptr, E, mask)
    start += tl.load(along_ptr + end, mask=mask, other=0)
    start -= tl.load(along_ptr + offs, mask=mask, other=0)
    tl.store(start_ptr + edge, start, mask=mask)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_place_kernel(
    start_ptr, above_ptr, left_ptr, size_ptr, found_ptr, E, BLOCK: tl.constexpr
):
    """Place of every point."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs <= E
    found = _start(offs, start_ptr, above_ptr, left_ptr, size_ptr, E, mask)
    tl.store(found_ptr + offs, found, mask=mask)


@triton.jit(do_not_specialize=["count", "E"])
def _hdbscan_climb_kernel(
    point_ptr,
    limit_ptr,
    edge_ptr,
    end_ptr,
    place_ptr,
    above_ptr,
    found_ptr,
    count,
    E,
    BLOCK: tl.constexpr,
):
    """Highest node above points that edges before a limit make, chain by chain."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < count
    node = tl.load(point_ptr + offs, mask=mask, other=0)
    limit = tl.load(limit_ptr + offs, mask=mask, other=0)
    up = tl.load(above_ptr + node, mask=mask, other=E)
    moving = mask & (up < limit)
    while tl.max(moving.to(tl.int32), axis=0) > 0:
        low = tl.load(place_ptr + up, mask=moving, other=0)
        high = tl.load(end_ptr + low, mask=moving, other=0)
        # Edges ascend along a chain: its last one before the limit, by halves.
        while tl.max(tl.where(moving, high - low, 0), axis=0) > 0:
            middle = low + (high - low + 1) // 2
            before = tl.load(edge_ptr + middle, mask=moving & (low < high), other=0) < limit
            low = tl.where(moving & before, middle, low)
            high = tl.where(moving & (before == 0), middle - 1, high)
        node = tl.where(moving, E + 1 + tl.load(edge_ptr + low, mask=moving, other=0), node)
        up = tl.load(above_ptr + node, mask=mask, other=E)
        moving = mask & (up < limit)
    tl.store(found_ptr + offs, node, mask=mask)


_COUNTS = ("E", "low", "high", "count")

COMPILE_CASES = tuple(
    CompileCase(
        kernel.__name__.removeprefix("_hdbscan_").removesuffix("_kernel"),
        kernel,
        {name: "*i64" for name in kernel.arg_names if "_ptr" in name}
        | {name: "i32" for name in kernel.arg_names if name in _COUNTS},
        {"BLOCK": BLOCK},
        max_spills=2,  # of `climb` on sm_80; elsewhere none
    )
    for kernel in (
        _hdbscan_grow_kernel,
        _hdbscan_pushed_kernel,
        _hdbscan_start_kernel,
        _hdbscan_place_kernel,
        _hdbscan_climb_kernel,
    )
)
