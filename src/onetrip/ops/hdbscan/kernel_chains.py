"""Triton kernels of hdbscan: merges of a tree's edges without a loop, and without the host.

`chains.py` says what is computed. A vertex of a pass is a number: of the first pass the point, of
the following ones whatever comes next; `up` says which vertex of the next pass holds it. So chains
are numbered by the vertex whose edges they are, those of early passes first.

The first pass is over all points, by all programs. It leaves few vertices, as a rule less than a
hundredth: all other passes are one program, which asks nobody how many there are.

An edge that merges the end of a chain and the side that it merges it from are one number, twice
the edge plus the side.
"""

from typing import Any

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase

BLOCK = 256
# Edges or vertices that the one program of the later passes looks at together.
ALONE = 2048
ALONE_WARPS = 16
# Passes at most: each halves the vertices at least.
LEVELS = 34


@triton.jit
def _offer(first_ptr, vertex, edge, mask):
    """Lower the first edge at vertices."""
    # A number that was read before others lowered it costs an atomic, not the result.
    known = tl.load(first_ptr + vertex, mask=mask, other=0, cache_modifier=".cg")
    tl.atomic_min(first_ptr + vertex, edge, mask=mask & (edge < known), sem="relaxed")


@triton.jit
def _hang(first_ptr, parent_ptr, merging_ptr, a, b, edge, mask):
    """Hang vertices below the other end of their first edge; which edges are taken, make a root.

    Edges stand in one order, so a circle is two vertices with the same first edge.
    """
    of_a = mask & (tl.load(first_ptr + a, mask=mask, other=-1, cache_modifier=".cg") == edge)
    of_b = mask & (tl.load(first_ptr + b, mask=mask, other=-1, cache_modifier=".cg") == edge)
    both = of_a & of_b
    root = tl.minimum(a, b)
    tl.store(merging_ptr + a, 2 * edge + 1, mask=of_a)
    tl.store(merging_ptr + b, 2 * edge, mask=of_b)
    tl.store(parent_ptr + a, tl.where(both, root, b), mask=of_a)
    tl.store(parent_ptr + b, tl.where(both, root, a), mask=of_b)
    return of_a | of_b, both, root


@triton.jit(do_not_specialize=["E"])
def _hdbscan_first_kernel(source_ptr, target_ptr, first_ptr, E, BLOCK: tl.constexpr):
    """Offer every edge to both its points."""
    edge = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = edge < E
    _offer(first_ptr, tl.load(source_ptr + edge, mask=mask, other=0), edge, mask)
    _offer(first_ptr, tl.load(target_ptr + edge, mask=mask, other=0), edge, mask)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_contract_kernel(
    source_ptr,
    target_ptr,
    first_ptr,
    parent_ptr,
    merging_ptr,
    made_ptr,
    home_ptr,
    left_ptr,
    count_ptr,
    E,
    BLOCK: tl.constexpr,
):
    """The first pass: number vertices of the next one, list the edges that are left."""
    edge = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = edge < E
    a = tl.load(source_ptr + edge, mask=mask, other=0).to(tl.int32)
    b = tl.load(target_ptr + edge, mask=mask, other=0).to(tl.int32)
    taken, makes, root = _hang(first_ptr, parent_ptr, merging_ptr, a, b, edge, mask)
    tl.store(home_ptr + edge, a, mask=mask)
    made = makes.to(tl.int32)
    number = tl.atomic_add(count_ptr + 1, tl.sum(made, axis=0), sem="relaxed")
    tl.store(made_ptr + root, E + number + tl.cumsum(made, axis=0), mask=makes)
    stays = (mask & (taken == 0)).to(tl.int32)
    at = tl.atomic_add(count_ptr, tl.sum(stays, axis=0), sem="relaxed")
    tl.store(left_ptr + at + tl.cumsum(stays, axis=0) - 1, edge, mask=stays > 0)


@triton.jit(do_not_specialize=["N", "hops"])
def _hdbscan_lift_kernel(parent_ptr, made_ptr, up_ptr, N, hops, BLOCK: tl.constexpr):
    """The vertex of the next pass that holds each point; that of a root is known."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < N
    above = tl.load(parent_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
    moving = 1
    while (moving > 0) & (hops > 0):
        # Others shorten their ways at the same time: what is read is higher in any case.
        higher = tl.load(parent_ptr + above, mask=mask, other=0, cache_modifier=".cg")
        moving = tl.sum((mask & (higher != above)).to(tl.int32), axis=0)
        above = higher
        tl.store(parent_ptr + offs, above, mask=mask)
        hops -= 1
    tl.store(up_ptr + offs, tl.load(made_ptr + above, mask=mask, other=0), mask=mask)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_rest_kernel(
    source_ptr,
    target_ptr,
    first_ptr,
    parent_ptr,
    merging_ptr,
    made_ptr,
    up_ptr,
    home_ptr,
    left_ptr,
    ends_ptr,
    count_ptr,
    level_ptr,
    E,
    BLOCK: tl.constexpr,
    LEVELS: tl.constexpr,
):
    """All passes but the first, by one program; `level` is the first vertex of each pass."""
    lanes = tl.arange(0, BLOCK)
    a_ptr = ends_ptr
    b_ptr = ends_ptr + E
    count = tl.load(count_ptr)
    low = E + 1
    high = low + tl.load(count_ptr + 1)
    for start in range(0, count, BLOCK):
        offs = start + lanes
        mask = offs < count
        edge = tl.load(left_ptr + offs, mask=mask, other=0)
        a = tl.load(source_ptr + edge, mask=mask, other=0)
        b = tl.load(target_ptr + edge, mask=mask, other=0)
        tl.store(a_ptr + offs, tl.load(up_ptr + a, mask=mask, other=0), mask=mask)
        tl.store(b_ptr + offs, tl.load(up_ptr + b, mask=mask, other=0), mask=mask)
    tl.debug_barrier()
    passes = 0
    while count > 0:
        tl.store(level_ptr + passes, low)
        for start in range(0, count, BLOCK):
            offs = start + lanes
            mask = offs < count
            edge = tl.load(left_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            a = tl.load(a_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            b = tl.load(b_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            _offer(first_ptr, a, edge, mask)
            _offer(first_ptr, b, edge, mask)
        tl.debug_barrier()
        made = count * 0
        kept = count * 0
        for start in range(0, count, BLOCK):
            offs = start + lanes
            mask = offs < count
            edge = tl.load(left_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            a = tl.load(a_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            b = tl.load(b_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            taken, makes, root = _hang(first_ptr, parent_ptr, merging_ptr, a, b, edge, mask)
            tl.store(home_ptr + edge, a, mask=mask)
            new = makes.to(tl.int32)
            tl.store(made_ptr + root, high + made + tl.cumsum(new, axis=0) - 1, mask=makes)
            made += tl.sum(new, axis=0)
            # What is left moves forward, over what all threads have read.
            stays = mask & (taken == 0)
            at = kept + tl.cumsum(stays.to(tl.int32), axis=0) - 1
            tl.debug_barrier()
            tl.store(left_ptr + at, edge, mask=stays)
            tl.store(a_ptr + at, a, mask=stays)
            tl.store(b_ptr + at, b, mask=stays)
            kept += tl.sum(stays.to(tl.int32), axis=0)
        tl.debug_barrier()
        moving = count
        while moving > 0:
            moving = count * 0
            for start in range(low, high, BLOCK):
                offs = start + lanes
                mask = offs < high
                above = tl.load(parent_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
                higher = tl.load(parent_ptr + above, mask=mask, other=0, cache_modifier=".cg")
                moving += tl.sum((mask & (higher != above)).to(tl.int32), axis=0)
                tl.store(parent_ptr + offs, higher, mask=mask)
            tl.debug_barrier()
        for start in range(low, high, BLOCK):
            offs = start + lanes
            mask = offs < high
            root = tl.load(parent_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            up = tl.load(made_ptr + root, mask=mask, other=0, cache_modifier=".cg")
            tl.store(up_ptr + offs, up, mask=mask)
        tl.debug_barrier()
        for start in range(0, kept, BLOCK):
            offs = start + lanes
            mask = offs < kept
            a = tl.load(a_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            b = tl.load(b_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
            a = tl.load(up_ptr + a, mask=mask, other=0, cache_modifier=".cg")
            b = tl.load(up_ptr + b, mask=mask, other=0, cache_modifier=".cg")
            tl.store(a_ptr + offs, a, mask=mask)
            tl.store(b_ptr + offs, b, mask=mask)
        tl.debug_barrier()
        low = high
        high = low + made
        count = kept
        passes += 1
    # The last pass is one vertex.
    tl.store(level_ptr + passes, low)
    for level in range(passes + 1, LEVELS):
        tl.store(level_ptr + level, high)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_chain_kernel(home_ptr, up_ptr, first_ptr, chain_ptr, E, BLOCK: tl.constexpr):
    """The first vertex around every edge that nothing before it leaves."""
    edge = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = edge < E
    vertex = tl.load(up_ptr + tl.load(home_ptr + edge, mask=mask, other=0), mask=mask, other=0)
    moving = mask & (tl.load(first_ptr + vertex, mask=mask, other=0) < edge)
    while tl.max(moving.to(tl.int32), axis=0) > 0:
        vertex = tl.where(moving, tl.load(up_ptr + vertex, mask=moving, other=0), vertex)
        moving &= tl.load(first_ptr + vertex, mask=moving, other=0) < edge
    tl.store(chain_ptr + edge, vertex, mask=mask)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_hang_kernel(
    chain_ptr,
    edge_ptr,
    merging_ptr,
    begin_ptr,
    end_ptr,
    above_ptr,
    children_ptr,
    place_ptr,
    E,
    BLOCK: tl.constexpr,
):
    """Which edge merges every node; which chain begins and ends where; sides of what hangs."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    point = offs <= E
    merging = tl.load(merging_ptr + offs, mask=point, other=0)
    tl.store(above_ptr + offs, merging // 2, mask=point)
    side = tl.where(merging % 2 == 1, 0, E)
    tl.store(children_ptr + side + merging // 2, offs, mask=point)

    mask = offs < E
    edge = tl.load(edge_ptr + offs, mask=mask, other=0)
    chain = tl.load(chain_ptr + offs, mask=mask, other=0)
    begins = mask & (tl.load(chain_ptr + offs - 1, mask=mask & (offs > 0), other=-1) != chain)
    ends = mask & (tl.load(chain_ptr + offs + 1, mask=offs + 1 < E, other=-1) != chain)
    following = tl.load(edge_ptr + offs + 1, mask=mask & (ends == 0), other=0)
    merging = tl.load(merging_ptr + chain, mask=ends, other=0)
    up = tl.where(ends, merging // 2, following)
    node = E + 1 + edge
    tl.store(above_ptr + node, up, mask=mask)
    side = tl.where(merging % 2 == 1, 0, E)
    tl.store(children_ptr + side + up, node, mask=ends & (up < E))
    tl.store(begin_ptr + chain, offs, mask=begins)
    tl.store(end_ptr + chain, offs, mask=ends)
    tl.store(place_ptr + edge, offs, mask=mask)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_along_kernel(
    chain_ptr,
    edge_ptr,
    begin_of_ptr,
    end_of_ptr,
    place_ptr,
    above_ptr,
    begin_ptr,
    end_ptr,
    under_ptr,
    children_ptr,
    E,
    BLOCK: tl.constexpr,
):
    """Ends of chains place by place; what comes before in one stands on the side that is left."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < E
    chain = tl.load(chain_ptr + offs, mask=mask, other=0)
    edge = tl.load(edge_ptr + offs, mask=mask, other=0)
    begin = tl.load(begin_of_ptr + chain, mask=mask, other=0)
    tl.store(begin_ptr + offs, begin, mask=mask)
    tl.store(end_ptr + offs, tl.load(end_of_ptr + chain, mask=mask, other=0), mask=mask)
    inner = mask & (offs > begin)
    before = E + 1 + tl.load(edge_ptr + offs - 1, mask=inner, other=0)
    left = inner & (tl.load(children_ptr + edge, mask=inner, other=0) < 0)
    right = inner & (tl.load(children_ptr + E + edge, mask=inner, other=0) < 0)
    tl.store(children_ptr + edge, before, mask=left)
    tl.store(children_ptr + E + edge, before, mask=right)
    # Points that hang at every place.
    point = offs <= E
    place = tl.load(place_ptr + tl.load(above_ptr + offs, mask=point, other=0))
    tl.atomic_add(under_ptr + place, tl.full([BLOCK], 1, tl.int64), mask=point, sem="relaxed")


_SMALL = ("first_ptr", "chain_ptr", "parent_ptr", "merging_ptr", "made_ptr", "up_ptr", "home_ptr")
_SMALL += ("left_ptr", "ends_ptr", "count_ptr", "level_ptr")


def _case(name: str, kernel: Any, num_warps: int = 4, **constexprs: int) -> CompileCase:
    pointers = (name for name in kernel.arg_names if name.endswith("_ptr"))
    types = {name: "*i32" if name in _SMALL else "*i64" for name in pointers}
    counts = {name: "i32" for name in kernel.arg_names if name in ("E", "N", "hops")}
    return CompileCase(name, kernel, types | counts, {"BLOCK": BLOCK} | constexprs, num_warps)


COMPILE_CASES = (
    _case("first", _hdbscan_first_kernel),
    _case("contract", _hdbscan_contract_kernel),
    _case("lift", _hdbscan_lift_kernel),
    _case("rest", _hdbscan_rest_kernel, ALONE_WARPS, BLOCK=ALONE, LEVELS=LEVELS),
    _case("chain", _hdbscan_chain_kernel),
    _case("hang", _hdbscan_hang_kernel),
    _case("along", _hdbscan_along_kernel),
)
