"""Triton kernels of hdbscan: merges of a tree's edges without a loop, a few launches a pass.

`chains.py` says what is computed. Here nothing is renumbered or taken out between passes: a vertex
is named by one of its points, and an edge is gone once both its ends lie in one vertex. So a pass
is four launches, and chains are numbered by the pass and the vertex. An edge that merges the end
of a chain and the side that it merges it from are one number, twice the edge plus the side.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.tile.compile_case import CompileCase

BLOCK = 256
_HOPS = 64
_BLOCK: dict[str, Any] = {"BLOCK": BLOCK}
_LAST = torch.iinfo(torch.int32).max


@triton.jit
def _joins(edge, source_ptr, target_ptr, vertex_ptr, mask):
    """Vertices that hold the ends of edges."""
    a = tl.load(vertex_ptr + tl.load(source_ptr + edge, mask=mask, other=0))
    b = tl.load(vertex_ptr + tl.load(target_ptr + edge, mask=mask, other=0))
    return a, b


@triton.jit(do_not_specialize=["E"])
def _hdbscan_first_kernel(source_ptr, target_ptr, vertex_ptr, first_ptr, E, BLOCK: tl.constexpr):
    """Offer every edge that is left to both its vertices."""
    edge = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = edge < E
    a, b = _joins(edge, source_ptr, target_ptr, vertex_ptr, mask)
    apart = mask & (a != b)
    # A number that was read before others lowered it costs an atomic, not the result.
    known = tl.load(first_ptr + a, mask=apart, other=0, cache_modifier=".cg")
    tl.atomic_min(first_ptr + a, edge, mask=apart & (edge < known), sem="relaxed")
    known = tl.load(first_ptr + b, mask=apart, other=0, cache_modifier=".cg")
    tl.atomic_min(first_ptr + b, edge, mask=apart & (edge < known), sem="relaxed")


@triton.jit(do_not_specialize=["offset", "E"])
def _hdbscan_contract_kernel(
    source_ptr,
    target_ptr,
    vertex_ptr,
    first_ptr,
    chain_ptr,
    parent_ptr,
    merging_ptr,
    gone_ptr,
    offset,
    E,
    BLOCK: tl.constexpr,
):
    """Hang every vertex below the other one of its first edge; put edges into chains."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    root = tl.load(vertex_ptr + offs, mask=offs <= E, other=-1) == offs
    edge = tl.load(first_ptr + offs, mask=root, other=E)
    leads = edge < E
    a, b = _joins(edge, source_ptr, target_ptr, vertex_ptr, leads)
    at_source = leads & (a == offs)
    tl.store(merging_ptr + offs, 2 * edge + at_source.to(tl.int32), mask=root)
    other = tl.where(at_source, b, a)
    # Edges stand in one order, so a circle is two vertices with the same first edge.
    mutual = tl.load(first_ptr + other, mask=leads, other=-1) == edge
    hangs = leads & ((mutual == 0) | (other < offs))
    tl.store(parent_ptr + offs, tl.where(hangs, other, offs), mask=root)
    gone = tl.sum(hangs.to(tl.int32), axis=0)
    tl.atomic_add(gone_ptr, gone, mask=gone > 0, sem="relaxed")
    # What lies inside a vertex and comes before all that leaves it is of the vertex's chain.
    mask = offs < E
    a, b = _joins(offs, source_ptr, target_ptr, vertex_ptr, mask)
    free = mask & (a == b) & (tl.load(chain_ptr + offs, mask=mask, other=0) < 0)
    free &= offs < tl.load(first_ptr + a, mask=free, other=0)
    tl.store(chain_ptr + offs, (offset + a).to(chain_ptr.dtype.element_ty), mask=free)


@triton.jit(do_not_specialize=["N", "hops"])
def _hdbscan_highest_kernel(above_ptr, found_ptr, N, hops, BLOCK: tl.constexpr):
    """Where nodes arrive that go up until they stay, or `hops` times further than is known."""
    # What is above has the larger number as a rule: it is looked at first.
    offs = (tl.num_programs(0) - 1 - tl.program_id(0)) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < N
    above = tl.load(above_ptr + offs, mask=mask, other=0, cache_modifier=".cg")
    moving = 1
    while (moving > 0) & (hops > 0):
        # Others shorten their ways at the same time: what is read is higher in any case.
        higher = tl.load(above_ptr + above, mask=mask, other=0, cache_modifier=".cg")
        moving = tl.sum((mask & (higher != above)).to(tl.int32), axis=0)
        above = higher
        tl.store(above_ptr + offs, above, mask=mask)
        hops -= 1
    tl.store(found_ptr + offs, above, mask=mask)


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


@triton.jit(do_not_specialize=["E"])
def _hdbscan_skip_kernel(tour_ptr, E, BLOCK: tl.constexpr):
    """Go twice as far along a tour: what follows in 32 bits, how far it is in those above."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < E
    tour = tl.load(tour_ptr + offs, mask=mask, other=0)
    following = tour & 0xFFFFFFFF
    # Others go on at the same time: what is read is as far from there as it says in any case.
    further = tl.load(tour_ptr + following, mask=mask, other=0, cache_modifier=".cg")
    tl.store(tour_ptr + offs, tour - following + further, mask=mask)


def walk_tour(tour: Tensor, steps: int) -> Tensor:
    """The tour [2E] after that many steps, each twice as far; it is changed."""
    with torch.cuda.device_of(tour):
        for _ in range(steps):
            _hdbscan_skip_kernel[(triton.cdiv(tour.shape[0], BLOCK),)](
                tour, tour.shape[0], **_BLOCK
            )
    return tour


def highest_of(above: Tensor) -> Tensor:
    """Where every node arrives that goes up until it stays, of `above` [N], which is changed."""
    found = torch.empty_like(above)
    grid = (triton.cdiv(above.shape[0], BLOCK),)
    with torch.cuda.device_of(above):
        # The way to a node that no program has looked at is long: not for more than a few hops.
        for hops in (_HOPS, _LAST):
            _hdbscan_highest_kernel[grid](above, found, above.shape[0], hops, **_BLOCK)
    return found


_SMALL = ("vertex_ptr", "first_ptr", "chain_ptr", "parent_ptr", "merging_ptr", "gone_ptr")
_COUNTS = ("E", "N", "offset", "hops")


def _case(name: str, kernel: Any, small: tuple[str, ...] = _SMALL) -> CompileCase:
    pointers = (name for name in kernel.arg_names if name.endswith("_ptr"))
    types = {name: "*i32" if name in small else "*i64" for name in pointers}
    counts = {name: "i32" for name in kernel.arg_names if name in _COUNTS}
    return CompileCase(name, kernel, types | counts, {"BLOCK": BLOCK})


COMPILE_CASES = (
    _case("first", _hdbscan_first_kernel),
    _case("contract", _hdbscan_contract_kernel),
    _case("highest", _hdbscan_highest_kernel),
    _case("highest-small", _hdbscan_highest_kernel, ("above_ptr", "found_ptr")),
    _case("hang", _hdbscan_hang_kernel),
    _case("along", _hdbscan_along_kernel),
    _case("skip", _hdbscan_skip_kernel),
)
