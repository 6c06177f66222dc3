"""Triton kernels of hdbscan: turn the edges of a tree away from its first vertex.

Idea: as in `rooted.py`, a tour along all edges, there and back. The edges that leave a vertex are
chained to each other as threads come to them: any order makes a tour, and whichever tour it is, an
edge leads away from the first vertex where the tour takes it first. So nothing is sorted.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch

_BLOCK = 256
# Steps of every edge in a launch: together with others that go on at the same time.
_HOPS = 8


@triton.jit(do_not_specialize=["E"])
def _hdbscan_leaving_kernel(source_ptr, target_ptr, last_ptr, before_ptr, E, BLOCK: tl.constexpr):
    """Chain the edges that leave each vertex, of all forwards, then of all backwards."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < 2 * E
    tail = tl.load(source_ptr + offs, mask=offs < E, other=0)
    tail += tl.load(target_ptr + offs - E, mask=mask & (offs >= E), other=0)
    before = tl.atomic_xchg(last_ptr + tail, offs, mask=mask, sem="relaxed")
    tl.store(before_ptr + offs, before, mask=mask)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_tour_kernel(
    source_ptr, target_ptr, last_ptr, before_ptr, tour_ptr, E, BLOCK: tl.constexpr
):
    """What follows in 32 bits, how far it is in those above; at the end itself, and nothing."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < 2 * E
    # Where an edge ends the way back begins, and what is chained to that follows.
    end = tl.load(target_ptr + offs, mask=offs < E, other=0)
    end += tl.load(source_ptr + offs - E, mask=mask & (offs >= E), other=0)
    back = tl.where(offs < E, offs + E, offs - E)
    following = tl.load(before_ptr + back, mask=mask, other=0)
    last = tl.load(last_ptr + end, mask=mask, other=0)
    following = tl.where(following < 0, last, following)
    ends = following == tl.load(last_ptr)
    one = tl.full([BLOCK], 1, tl.int64) << 32
    tl.store(tour_ptr + offs, tl.where(ends, offs.to(tl.int64), following + one), mask=mask)


@triton.jit(do_not_specialize=["E"])
def _hdbscan_skip_kernel(tour_ptr, E, HOPS: tl.constexpr, BLOCK: tl.constexpr):
    """Go on along the tour, at least `HOPS` times as far as all had come before."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < 2 * E
    tour = tl.load(tour_ptr + offs, mask=mask, other=0)
    hops = 0
    moving = 1
    while (moving > 0) & (hops < HOPS):
        following = tour & 0xFFFFFFFF
        # Others go on at the same time: what is read is as far from there as it says in any case.
        further = tl.load(tour_ptr + following, mask=mask, other=0, cache_modifier=".cg")
        moving = tl.max((mask & ((further >> 32) > 0)).to(tl.int32), axis=0)
        tour += further - following
        tl.store(tour_ptr + offs, tour, mask=mask)
        hops += 1


@triton.jit(do_not_specialize=["E"])
def _hdbscan_away_kernel(
    source_ptr, target_ptr, tour_ptr, nearer_ptr, farther_ptr, E, BLOCK: tl.constexpr
):
    """Of the two ways along every edge, the one that has more of the tour before it."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < E
    source = tl.load(source_ptr + offs, mask=mask, other=0)
    target = tl.load(target_ptr + offs, mask=mask, other=0)
    there = tl.load(tour_ptr + offs, mask=mask, other=0) >> 32
    away = there > (tl.load(tour_ptr + E + offs, mask=mask, other=0) >> 32)
    tl.store(nearer_ptr + offs, tl.where(away, source, target), mask=mask)
    tl.store(farther_ptr + offs, tl.where(away, target, source), mask=mask)


def turned_away(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Ends of the edges [E] of a tree, E > 0, of each the one nearer to vertex 0 first.

    >>> [ends.tolist() for ends in turned_away(torch.tensor([2, 1]), torch.tensor([0, 2]))]
    [[0, 2], [2, 1]]
    """
    E, device = source.shape[0], source.device
    last = torch.full((E + 1,), -1, dtype=torch.int32, device=device)
    before = torch.empty(2 * E, dtype=torch.int32, device=device)
    tour = torch.empty(2 * E, dtype=torch.int64, device=device)
    nearer, farther = torch.empty_like(source), torch.empty_like(target)
    both, ends = (blocks(2 * E, _BLOCK),), (source, target)
    with torch.cuda.device_of(source):
        launch(_hdbscan_leaving_kernel, both, *ends, last, before, E, BLOCK=_BLOCK)
        launch(_hdbscan_tour_kernel, both, *ends, last, before, tour, E, BLOCK=_BLOCK)
        reached = 1
        while reached < 2 * E:
            launch(_hdbscan_skip_kernel, both, tour, E, HOPS=_HOPS, BLOCK=_BLOCK)
            reached *= _HOPS + 1
        launch(_hdbscan_away_kernel, both, *ends, tour, nearer, farther, E, BLOCK=_BLOCK)
    return nearer, farther


def _case(kernel: Any, **constexprs: int) -> CompileCase:
    pointers = (name for name in kernel.arg_names if name.endswith("_ptr"))
    small = ("last_ptr", "before_ptr")
    types = {name: "*i32" if name in small else "*i64" for name in pointers}
    name = kernel.__name__.removeprefix("_hdbscan_").removesuffix("_kernel")
    return CompileCase(name, kernel, types | {"E": "i32"}, {"BLOCK": _BLOCK} | constexprs)


COMPILE_CASES = (
    _case(_hdbscan_leaving_kernel),
    _case(_hdbscan_tour_kernel),
    _case(_hdbscan_skip_kernel, HOPS=_HOPS),
    _case(_hdbscan_away_kernel),
)
