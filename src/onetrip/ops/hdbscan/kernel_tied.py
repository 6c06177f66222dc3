"""Triton kernels of hdbscan: which of several edges as heavy Prim's algorithm takes.

`tied.py` says what is computed. A candidate is an edge of the tree whose weight others have too, or
a pair beside the tree that is as heavy; a group, named by the node that its edges make, is all that
lie between the same parts. The first kernel finds parts and counts groups, the second lays groups
out, the third walks one group a program, in registers.

Which part comes first hangs on the tree outside the group alone. So all groups are walked at once;
where one enters a part elsewhere, the tree is turned anew, and groups that another part comes first
in are walked again, until there is none.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.ops.hdbscan.device_chains import DeviceChains
from onetrip.ops.hdbscan.kernel_places import climb
from onetrip.ops.hdbscan.rooted import rooted
from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch

_BLOCK = 128
# Candidates of a group that a program holds.
_LANES = 64
# Programs that walk groups, a warp each.
_WALKERS = 2048
_NONE = tl.constexpr(2147483647)


@triton.jit
def _rank(weight_ptr, wanted, E, INCLUSIVE: tl.constexpr):
    """How many weights, which ascend, are less than wanted, or not greater."""
    low = tl.zeros(wanted.shape, dtype=tl.int32)
    high = low + E
    while tl.max(high - low, axis=0) > 0:
        open_ = low < high
        middle = (low + high) // 2
        value = tl.load(weight_ptr + middle, mask=open_, other=0.0)
        before = (value <= wanted) if INCLUSIVE else (value < wanted)
        low = tl.where(open_ & before, middle + 1, low)
        high = tl.where(open_ & (before == 0), middle, high)
    return low


@triton.jit(do_not_specialize=["E", "pairs"])
def _hdbscan_parts_kernel(
    source_ptr,
    target_ptr,
    weight_ptr,
    tied_ptr,
    tied_weight_ptr,
    edge_ptr,
    end_ptr,
    place_ptr,
    above_ptr,
    ends_ptr,
    whole_ptr,
    rank_ptr,
    count_ptr,
    group_ptr,
    flag_ptr,
    E,
    pairs,
    BLOCK: tl.constexpr,
):
    """Ends of candidates, parts that hold them, the group; its number among those of the group."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    of_tree = offs < E
    every = E + pairs
    pair = offs - E
    beside = (of_tree == 0) & (pair < pairs)
    a = tl.load(source_ptr + offs, mask=of_tree, other=0)
    b = tl.load(target_ptr + offs, mask=of_tree, other=0)
    weight = tl.load(weight_ptr + offs, mask=of_tree, other=0.0)
    before = tl.load(weight_ptr + offs - 1, mask=of_tree & (offs > 0), other=-1.0)
    after = tl.load(weight_ptr + offs + 1, mask=offs + 1 < E, other=-1.0)
    a += tl.load(tied_ptr + pair, mask=beside, other=0)
    b += tl.load(tied_ptr + pairs + pair, mask=beside, other=0)
    weight += tl.load(tied_weight_ptr + pair, mask=beside, other=0.0)
    mask = beside | (of_tree & ((weight == before) | (weight == after)))
    lighter = _rank(weight_ptr, weight, E, False).to(tl.int64)
    up_to = _rank(weight_ptr, weight, E, True).to(tl.int64)
    part_a = climb(a, lighter, mask, edge_ptr, end_ptr, place_ptr, above_ptr, E)
    part_b = climb(b, lighter, mask, edge_ptr, end_ptr, place_ptr, above_ptr, E)
    mask &= part_a != part_b
    whole = climb(part_a, up_to, mask, edge_ptr, end_ptr, place_ptr, above_ptr, E)
    whole = whole.to(tl.int32) - E - 1
    tl.store(ends_ptr + offs, a.to(tl.int32), mask=mask)
    tl.store(ends_ptr + every + offs, b.to(tl.int32), mask=mask)
    tl.store(ends_ptr + 2 * every + offs, part_a.to(tl.int32), mask=mask)
    tl.store(ends_ptr + 3 * every + offs, part_b.to(tl.int32), mask=mask)
    tl.store(whole_ptr + offs, tl.where(mask, whole, -1), mask=offs < every)
    rank = tl.atomic_add(count_ptr + whole, 1, mask=mask, sem="relaxed")
    tl.store(rank_ptr + offs, rank, mask=mask)
    # The first that comes tells of the group.
    new = mask & (rank == 0)
    at = tl.atomic_add(flag_ptr + tl.zeros_like(offs), 1, mask=new, sem="relaxed")
    tl.store(group_ptr + at, whole, mask=new)


@triton.jit(do_not_specialize=["every"])
def _hdbscan_lay_out_kernel(
    whole_ptr, rank_ptr, last_ptr, count_ptr, order_ptr, every, BLOCK: tl.constexpr
):
    """Candidates group by group; `last` [E] is where each group ends."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    whole = tl.load(whole_ptr + offs, mask=offs < every, other=-1)
    mask = whole >= 0
    begin = tl.load(last_ptr + whole, mask=mask, other=0)
    begin -= tl.load(count_ptr + whole, mask=mask, other=0)
    tl.store(order_ptr + begin + tl.load(rank_ptr + offs, mask=mask, other=0), offs, mask=mask)


@triton.jit(do_not_specialize=["E", "every"])
def _hdbscan_walk_kernel(
    source_ptr,
    target_ptr,
    ends_ptr,
    last_ptr,
    count_ptr,
    order_ptr,
    group_ptr,
    choice_ptr,
    first_ptr,
    flag_ptr,
    E,
    every,
    LANES: tl.constexpr,
):
    """Change the edges of the tree between the parts of every group to those that are taken.

    `choice` [E] is the candidate that each edge is, `first` [E] the part that each group was
    walked from. Of `flag`: 0 how many groups there are, 1 those with too many candidates, 2 parts
    that are entered elsewhere than before.
    """
    groups = tl.load(flag_ptr)
    lane = tl.arange(0, LANES)
    for at in range(tl.program_id(0), groups, tl.num_programs(0)):
        group = tl.load(group_ptr + at)
        count = tl.load(count_ptr + group)
        if count > LANES:
            tl.atomic_add(flag_ptr + 1, 1, sem="relaxed")
        else:
            mask = lane < count
            candidate = tl.load(
                order_ptr + tl.load(last_ptr + group) - count + lane, mask=mask, other=0
            )
            a = tl.load(ends_ptr + candidate, mask=mask, other=-1)
            b = tl.load(ends_ptr + every + candidate, mask=mask, other=-1)
            part_a = tl.load(ends_ptr + 2 * every + candidate, mask=mask, other=-1)
            part_b = tl.load(ends_ptr + 3 * every + candidate, mask=mask, other=-1)
            # What the edges of the tree are by now, and where they lead.
            of_tree = mask & (candidate < E)
            choice = tl.load(choice_ptr + candidate, mask=of_tree, other=0)
            entered = tl.load(target_ptr + candidate, mask=of_tree, other=-1).to(tl.int32)
            into_a = entered == tl.load(ends_ptr + choice, mask=of_tree, other=-1)
            of_a = tl.load(ends_ptr + 2 * every + choice, mask=of_tree, other=-1)
            of_b = tl.load(ends_ptr + 3 * every + choice, mask=of_tree, other=-1)
            into = tl.where(of_tree, tl.where(into_a, of_a, of_b), -1)
            from_ = tl.where(of_tree, tl.where(into_a, of_b, of_a), -1)
            is_entered = tl.max((from_[:, None] == into[None, :]).to(tl.int32), axis=1)
            first = tl.max(tl.where(of_tree & (is_entered == 0), from_, -1), axis=0)
            if first != tl.load(first_ptr + group):
                tl.store(first_ptr + group, first)
                # When the part of each end was reached.
                met_a = tl.where(part_a == first, 0, _NONE)
                met_b = tl.where(part_b == first, 0, _NONE)
                origin = entered
                found = entered
                chosen = choice
                parts = tl.sum(of_tree.to(tl.int32), axis=0)
                for step in range(1, parts + 1):
                    inside = met_a < _NONE
                    leads = mask & (inside != (met_b < _NONE))
                    to = tl.where(inside, b, a)
                    least = tl.min(tl.where(leads, to, _NONE), axis=0)
                    leads &= to == least
                    # Of equal points the one that was met first: it is nearest from an earlier
                    # part, and in one part from the smallest point.
                    met = tl.minimum(met_a, met_b)
                    leads &= met == tl.min(tl.where(leads, met, _NONE), axis=0)
                    start = tl.where(inside, a, b)
                    nearest = tl.min(tl.where(leads, start, _NONE), axis=0)
                    leads &= start == nearest
                    part = tl.max(tl.where(leads, tl.where(inside, part_b, part_a), -1), axis=0)
                    taken = tl.max(tl.where(leads, candidate, -1), axis=0)
                    met_a = tl.where(part_a == part, step, met_a)
                    met_b = tl.where(part_b == part, step, met_b)
                    # The part that was first before is entered by what entered this one.
                    instead = into == part
                    origin = tl.where(instead, nearest, origin)
                    found = tl.where(instead, least, found)
                    chosen = tl.where(instead, taken, chosen)
                tl.store(source_ptr + candidate, origin.to(tl.int64), mask=of_tree)
                tl.store(target_ptr + candidate, found.to(tl.int64), mask=of_tree)
                tl.store(choice_ptr + candidate, chosen, mask=of_tree)
                elsewhere = tl.sum((of_tree & (found != entered)).to(tl.int32), axis=0)
                tl.atomic_add(flag_ptr + 2, elsewhere, mask=elsewhere > 0, sem="relaxed")


def taken(
    source: Tensor, target: Tensor, weight: Tensor, tied: Tensor, tied_weight: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Edges [E] that Prim's algorithm takes, away from point 0; None where a group is large.

    Parameters are those of `tied.as_met`; the edges have the weights that were given.
    """
    E, pairs, device = source.shape[0], tied.shape[1], source.device
    every, small = E + pairs, torch.int32
    # Taken edges replace what is here.
    source, target = source.clone(), target.clone()
    ends = torch.empty(4, every, dtype=small, device=device)
    whole, rank, order = torch.empty(3, every, dtype=small, device=device)
    group = torch.empty(E, dtype=small, device=device)
    count, flag = torch.zeros(E, dtype=small, device=device), source.new_zeros(3, dtype=small)
    choice = torch.arange(E, dtype=small, device=device)
    first = torch.full((E,), -1, dtype=small, device=device)
    grid = (blocks(every, _BLOCK),)
    with torch.cuda.device_of(source):
        launch(
            _hdbscan_parts_kernel, grid, source, target, weight, tied.contiguous(), tied_weight,
            *DeviceChains(source, target).ways, ends, whole, rank, count, group, flag, E, pairs,
            BLOCK=_BLOCK,
        )  # fmt: skip
        last = count.cumsum(0, dtype=small)
        launch(_hdbscan_lay_out_kernel, grid, whole, rank, last, count, order, every, BLOCK=_BLOCK)
        while True:
            flag[2].zero_()
            launch(
                _hdbscan_walk_kernel, (min(_WALKERS, blocks(every, 64)),), source, target,
                ends, last, count, order, group, choice, first, flag, E, every, LANES=_LANES,
                num_warps=1,
            )  # fmt: skip
            _, large, elsewhere = flag.tolist()
            if large:
                return None
            if not elsewhere:
                return source, target
            source, target = rooted(source, target)


def _case(kernel: Any, num_warps: int = 4, **constexprs: int) -> CompileCase:
    wide = ("source_ptr", "target_ptr", "tied_ptr", "edge_ptr", "end_ptr", "place_ptr", "above_ptr")
    types = dict.fromkeys((n for n in kernel.arg_names if n.endswith("_ptr")), "*i32")
    types |= {name: "*i64" for name in types if name in wide}
    types |= {name: "*fp64" for name in types if "weight" in name}
    types |= {name: "i32" for name in kernel.arg_names if name in ("E", "pairs", "every")}
    name = kernel.__name__.removeprefix("_hdbscan_").removesuffix("_kernel")
    return CompileCase(name, kernel, types, constexprs, num_warps)


COMPILE_CASES = (
    _case(_hdbscan_parts_kernel, BLOCK=_BLOCK),
    _case(_hdbscan_lay_out_kernel, BLOCK=_BLOCK),
    _case(_hdbscan_walk_kernel, 1, LANES=_LANES),
)
