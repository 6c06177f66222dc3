"""Triton kernels of hdbscan: what lies under the nodes of merges, where, and how high a way leads.

Chains are what `kernel_chains.py` leaves: runs of edges, those of early passes first, and what
hangs at an edge is a chain of an earlier pass. Sizes are summed from early passes to late ones,
places handed down from late ones to early ones. The first pass, a level of chains, holds nearly
all edges; one program goes through all other levels. `level` says where each begins, and E for
those that are none.
"""

from typing import Any

import triton
import triton.language as tl

from onetrip.ops.hdbscan.kernel_chains import ALONE, ALONE_WARPS, BLOCK
from onetrip.tile.compile_case import CompileCase


@triton.jit
def _grow(
    offs, mask, low, edge_ptr, begin_ptr, end_ptr, place_ptr, above_ptr, along_ptr, under_ptr,
    size_ptr, E,
):  # fmt: skip
    """Points under the nodes of places; a whole chain hangs at a later place."""
    edge = tl.load(edge_ptr + offs, mask=mask, other=0)
    begin = tl.load(begin_ptr + offs, mask=mask, other=0)
    held = tl.load(along_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
    held -= tl.load(along_ptr + begin - 1, mask=mask & (begin > low), other=0, cache_modifier=".cg")
    tl.store(size_ptr + edge, held, mask=mask)
    ends = mask & (tl.load(end_ptr + offs, mask=mask, other=-1) == offs)
    up = tl.load(above_ptr + E + 1 + edge, mask=ends, other=E)
    ends &= up < E
    place = tl.load(place_ptr + up, mask=ends, other=0)
    tl.atomic_add(under_ptr + place, held, mask=ends, sem="relaxed")


@triton.jit(do_not_specialize=["E"])
def _hdbscan_grow_kernel(
    level_ptr,
    edge_ptr,
    begin_ptr,
    end_ptr,
    place_ptr,
    above_ptr,
    along_ptr,
    under_ptr,
    size_ptr,
    E,
    BLOCK: tl.constexpr,
):
    """Sizes of the first level, at which points hang and nothing else."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < tl.load(level_ptr + 1)
    _grow(
        offs, mask, 0, edge_ptr, begin_ptr, end_ptr, place_ptr, above_ptr, along_ptr, under_ptr,
        size_ptr, E,
    )  # fmt: skip


@triton.jit(do_not_specialize=["E"])
def _hdbscan_grow_rest_kernel(
    level_ptr,
    edge_ptr,
    begin_ptr,
    end_ptr,
    place_ptr,
    above_ptr,
    along_ptr,
    under_ptr,
    size_ptr,
    E,
    BLOCK: tl.constexpr,
):
    """Sizes of all other levels, one after the other, by one program."""
    lanes = tl.arange(0, BLOCK)
    level = 1
    low = tl.load(level_ptr + level)
    while low < E:
        level += 1
        high = tl.load(level_ptr + level)
        sum_before = tl.zeros([], dtype=tl.int64)
        for start in range(low, high, BLOCK):
            offs = start + lanes
            under = tl.load(under_ptr + offs, mask=offs < high, other=0, cache_modifier=".cg")
            tl.store(along_ptr + offs, sum_before + tl.cumsum(under, axis=0), mask=offs < high)
            sum_before += tl.sum(under, axis=0)
        tl.debug_barrier()
        for start in range(low, high, BLOCK):
            offs = start + lanes
            _grow(
                offs, offs < high, low, edge_ptr, begin_ptr, end_ptr, place_ptr, above_ptr,
                along_ptr, under_ptr, size_ptr, E,
            )  # fmt: skip
        tl.debug_barrier()
        low = high


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
    start = tl.load(start_ptr + up, mask=mask, other=0, cache_modifier=".cg")
    return start + _pushed(node, up, left_ptr, size_ptr, E, mask)


@triton.jit
def _start_along(
    offs, mask, edge_ptr, end_ptr, along_ptr, start_ptr, above_ptr, left_ptr, size_ptr, E
):
    """First place of what the edges at places hold, from the ends of their chains."""
    edge = tl.load(edge_ptr + offs, mask=mask, other=0)
    end = tl.load(end_ptr + offs, mask=mask, other=0)
    last = E + 1 + tl.load(edge_ptr + end, mask=mask, other=0)
    start = _start(last, start_ptr, above_ptr, left_ptr, size_ptr, E, mask)
    start += tl.load(along_ptr + end, mask=mask, other=0)
    start -= tl.load(along_ptr + offs, mask=mask, other=0)
    tl.store(start_ptr + edge, start, mask=mask)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_start_rest_kernel(
    level_ptr,
    edge_ptr,
    end_ptr,
    along_ptr,
    start_ptr,
    above_ptr,
    left_ptr,
    size_ptr,
    E,
    BLOCK: tl.constexpr,
):
    """First places of all levels but the first, from the last one down, by one program."""
    lanes = tl.arange(0, BLOCK)
    level = 1
    while tl.load(level_ptr + level) < E:
        level += 1
    high = E
    while level > 1:
        level -= 1
        low = tl.load(level_ptr + level)
        for first in range(low, high, BLOCK):
            offs = first + lanes
            _start_along(
                offs, offs < high, edge_ptr, end_ptr, along_ptr, start_ptr, above_ptr, left_ptr,
                size_ptr, E,
            )  # fmt: skip
        tl.debug_barrier()
        high = low


@triton.jit(do_not_specialize=["E"])
def _hdbscan_start_kernel(
    level_ptr,
    edge_ptr,
    end_ptr,
    along_ptr,
    start_ptr,
    above_ptr,
    left_ptr,
    size_ptr,
    E,
    BLOCK: tl.constexpr,
):
    """First places of the first level."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < tl.load(level_ptr + 1)
    _start_along(
        offs, mask, edge_ptr, end_ptr, along_ptr, start_ptr, above_ptr, left_ptr, size_ptr, E
    )


@triton.jit(do_not_specialize=["E"])
def _hdbscan_place_kernel(
    start_ptr, above_ptr, left_ptr, size_ptr, found_ptr, E, BLOCK: tl.constexpr
):
    """Place of every point."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs <= E
    found = _start(offs, start_ptr, above_ptr, left_ptr, size_ptr, E, mask)
    tl.store(found_ptr + offs, found, mask=mask)


@triton.jit
def climb(node, limit, mask, edge_ptr, end_ptr, place_ptr, above_ptr, E):
    """Highest nodes above nodes that edges before a limit make, chain by chain."""
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
    return node


def _case(kernel: Any) -> CompileCase:
    pointers = (name for name in kernel.arg_names if name.endswith("_ptr"))
    types = {name: "*i32" if name == "level_ptr" else "*i64" for name in pointers}
    name = kernel.__name__.removeprefix("_hdbscan_").removesuffix("_kernel")
    alone = name.endswith("rest")
    block, num_warps = (ALONE, ALONE_WARPS) if alone else (BLOCK, 4)
    return CompileCase(name, kernel, types | {"E": "i32"}, {"BLOCK": block}, num_warps)


COMPILE_CASES = tuple(
    _case(kernel)
    for kernel in (
        _hdbscan_grow_kernel,
        _hdbscan_grow_rest_kernel,
        _hdbscan_pushed_kernel,
        _hdbscan_start_kernel,
        _hdbscan_start_rest_kernel,
        _hdbscan_place_kernel,
    )
)
