"""Triton kernels of hdbscan: the steps of a round of Borůvka's algorithm on a device.

A component is named by one of its places, its root. Arrays of N hold, at a root, what is known of
its component: `best`, the weight of the lightest listed edge at it, as the bits of a float, whose
order is that of integers where nothing is negative (int32 of float32, int64 of float64); `beyond`,
everything that is not listed is heavier; `key`, the least pair of points of an edge as light as
`best`. Minima are taken by integer atomics, whose result does not depend on their order.
"""

from typing import Any

import torch
import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase

BLOCK = 256
ROWS = 32
# The bits of infinity, and the integers that bits are.
NO_WEIGHT = {torch.float32: 0x7F800000, torch.float64: 0x7FF0000000000000}
BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


@triton.jit
def bits_of(weight):
    """The bits of weights, as integers in the same order."""
    if weight.dtype == tl.float64:
        return weight.to(tl.int64, bitcast=True)
    else:
        return weight.to(tl.int32, bitcast=True)


@triton.jit(do_not_specialize=["N"])
def _hdbscan_reset_kernel(
    best_ptr,
    beyond_ptr,
    key_ptr,
    count_ptr,
    N,
    NO_WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """What is known of components before a round: nothing. None of them counts as settled."""
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < N
    tl.store(best_ptr + offs, NO_WEIGHT, mask=mask)
    tl.store(beyond_ptr + offs, NO_WEIGHT, mask=mask)
    tl.store(key_ptr + offs, 0x7FFFFFFFFFFFFFFF, mask=mask)
    tl.store(count_ptr + 1 + 0 * offs, 0, mask=offs == 0)


@triton.jit
def _listed_edges(near_ptr, square_ptr, core_ptr, component_ptr, rows, N, SLOTS: tl.constexpr):
    """Listed edges out of the rows' components: other end, component there, bits of the weight."""
    at = tl.cast(rows, tl.int64)[:, None] * SLOTS + tl.arange(0, SLOTS)[None, :]
    inside = (rows < N)[:, None] & (at >= 0)
    place = tl.load(near_ptr + at, mask=inside, other=0)
    square = tl.load(square_ptr + at, mask=inside, other=float("inf"))
    own = tl.load(component_ptr + rows, mask=rows < N, other=-1)
    other = tl.load(component_ptr + place)
    core = tl.load(core_ptr + rows, mask=rows < N, other=0.0)
    weight = tl.maximum(square, tl.maximum(core[:, None], tl.load(core_ptr + place)))
    away = (own[:, None] != other) & (square < float("inf")) & inside
    weight = tl.where(away, weight, float("inf"))
    return place, own, other, away, bits_of(weight)


@triton.jit(do_not_specialize=["N"])
def _hdbscan_lightest_kernel(
    near_ptr,
    square_ptr,
    core_ptr,
    component_ptr,
    reach_ptr,
    best_ptr,
    beyond_ptr,
    N,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    mask = rows < N
    _, own, other, away, weight = _listed_edges(
        near_ptr, square_ptr, core_ptr, component_ptr, rows, N, SLOTS
    )
    least = tl.min(weight, axis=1)
    # A number that was read before others lowered it costs an atomic, not the result.
    known = tl.load(best_ptr + own, mask=mask, other=0, cache_modifier=".cg")
    tl.atomic_min(best_ptr + own, least, mask=mask & (least < known), sem="relaxed")
    # An edge is a way out of both its ends' components.
    known = tl.load(best_ptr + other, mask=away, other=0, cache_modifier=".cg")
    tl.atomic_min(best_ptr + other, weight, mask=away & (weight < known), sem="relaxed")
    reach = tl.load(reach_ptr + rows, mask=mask, other=0)
    known = tl.load(beyond_ptr + own, mask=mask, other=0, cache_modifier=".cg")
    tl.atomic_min(beyond_ptr + own, reach, mask=mask & (reach < known), sem="relaxed")


@triton.jit
def _is_settled(best_ptr, beyond_ptr, component, mask, NO_WEIGHT: tl.constexpr):
    """Whether the lightest edge of components is known: nothing that is not listed is lighter."""
    best = tl.load(best_ptr + component, mask=mask, other=NO_WEIGHT)
    beyond = tl.load(beyond_ptr + component, mask=mask, other=0)
    return mask & (best <= beyond) & (best < NO_WEIGHT)


@triton.jit(do_not_specialize=["N"])
def _hdbscan_settled_kernel(
    component_ptr,
    best_ptr,
    beyond_ptr,
    count_ptr,
    N,
    NO_WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    root = tl.load(component_ptr + offs, mask=offs < N, other=-1) == offs
    settled = _is_settled(best_ptr, beyond_ptr, offs, root, NO_WEIGHT)
    count = tl.sum(settled.to(tl.int32), axis=0)
    tl.atomic_add(count_ptr + 1, count, mask=count > 0, sem="relaxed")


@triton.jit
def _least_key(key_ptr, number_ptr, row, column, component, mask, N):
    """Offer the pair of points at `row` and `column` as the edge of a component."""
    first = tl.load(number_ptr + row, mask=mask, other=0).to(tl.int64)
    second = tl.load(number_ptr + column, mask=mask, other=0).to(tl.int64)
    key = tl.minimum(first, second) * N + tl.maximum(first, second)
    tl.atomic_min(key_ptr + component, key, mask=mask, sem="relaxed")


@triton.jit(do_not_specialize=["N"])
def _hdbscan_key_kernel(
    near_ptr,
    square_ptr,
    core_ptr,
    component_ptr,
    best_ptr,
    number_ptr,
    key_ptr,
    N,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    place, own, other, away, weight = _listed_edges(
        near_ptr, square_ptr, core_ptr, component_ptr, rows, N, SLOTS
    )
    row = rows[:, None] + tl.zeros_like(place)
    own = own[:, None] + tl.zeros_like(place)
    chosen = away & (weight == tl.load(best_ptr + own, mask=away, other=-1))
    _least_key(key_ptr, number_ptr, row, place, own, chosen, N)
    chosen = away & (weight == tl.load(best_ptr + other, mask=away, other=-1))
    _least_key(key_ptr, number_ptr, row, place, other, chosen, N)


@triton.jit(do_not_specialize=["N", "pairs"])
def _hdbscan_pair_key_kernel(
    pair_ptr,
    weight_ptr,
    component_ptr,
    best_ptr,
    number_ptr,
    key_ptr,
    pairs,
    N,
    BLOCK: tl.constexpr,
):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < pairs
    row = tl.load(pair_ptr + 2 * offs, mask=mask, other=0)
    column = tl.load(pair_ptr + 2 * offs + 1, mask=mask, other=0)
    weight = tl.load(weight_ptr + offs, mask=mask, other=-1)
    own = tl.load(component_ptr + row)
    other = tl.load(component_ptr + column)
    chosen = mask & (weight == tl.load(best_ptr + own))
    _least_key(key_ptr, number_ptr, row, column, own, chosen, N)
    chosen = mask & (weight == tl.load(best_ptr + other))
    _least_key(key_ptr, number_ptr, row, column, other, chosen, N)


@triton.jit(do_not_specialize=["N"])
def _hdbscan_join_kernel(
    component_ptr,
    best_ptr,
    beyond_ptr,
    key_ptr,
    place_ptr,
    parent_ptr,
    edges_ptr,
    out_key_ptr,
    out_weight_ptr,
    N,
    NO_WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    root = tl.load(component_ptr + offs, mask=offs < N, other=-1) == offs
    settled = _is_settled(best_ptr, beyond_ptr, offs, root, NO_WEIGHT)
    key = tl.load(key_ptr + offs, mask=settled, other=0)
    first = tl.load(place_ptr + key // N, mask=settled, other=0)
    second = tl.load(place_ptr + key % N, mask=settled, other=0)
    first = tl.load(component_ptr + first)
    target = tl.where(first == offs, tl.load(component_ptr + second), first)
    # Edges have one order, so a circle is two components that chose the same edge.
    mutual = _is_settled(best_ptr, beyond_ptr, target, settled, NO_WEIGHT)
    mutual &= tl.load(key_ptr + target, mask=settled, other=-1) == key
    leads = mutual & (offs < target)
    tl.store(parent_ptr + offs, tl.where(settled & (leads == 0), target, offs), mask=root)
    kept = settled & (leads == 0)
    count = tl.sum(kept.to(tl.int32), axis=0)
    start = tl.atomic_add(edges_ptr, count, sem="relaxed")
    at = start + tl.cumsum(kept.to(tl.int32), axis=0) - 1
    tl.store(out_key_ptr + at, key, mask=kept)
    weight = tl.load(best_ptr + offs, mask=kept, other=0)
    tl.store(
        out_weight_ptr + at, weight.to(out_weight_ptr.dtype.element_ty, bitcast=True), mask=kept
    )


@triton.jit(do_not_specialize=["N"])
def _hdbscan_root_kernel(component_ptr, parent_ptr, size_ptr, N, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    root = tl.load(component_ptr + offs, mask=offs < N, other=-1) == offs
    above = tl.load(parent_ptr + offs, mask=root, other=0, cache_modifier=".cg")
    above = tl.where(root, above, offs)
    moving = tl.sum((above != offs).to(tl.int32), axis=0)
    while moving > 0:
        # Others shorten their ways at the same time: what is read is an ancestor in any case.
        higher = tl.load(parent_ptr + above, mask=root, other=0, cache_modifier=".cg")
        higher = tl.where(root, higher, above)
        moving = tl.sum((higher != above).to(tl.int32), axis=0)
        above = higher
        tl.store(parent_ptr + offs, above, mask=root)
    joined = root & (above != offs)
    size = tl.load(size_ptr + offs, mask=joined, other=0)
    tl.atomic_add(size_ptr + above, size, mask=joined, sem="relaxed")


@triton.jit(do_not_specialize=["N"])
def _hdbscan_rename_kernel(
    component_ptr,
    best_ptr,
    beyond_ptr,
    parent_ptr,
    reach_ptr,
    N,
    NO_WEIGHT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < N
    own = tl.load(component_ptr + offs, mask=mask, other=0)
    settled = _is_settled(best_ptr, beyond_ptr, own, mask, NO_WEIGHT)
    reach = tl.load(reach_ptr + offs, mask=mask, other=0)
    # No way out of a settled component is lighter than its lightest: heavier than a bit less.
    least = tl.load(best_ptr + own, mask=settled, other=0) - 1
    tl.store(reach_ptr + offs, tl.maximum(reach, least), mask=settled)
    tl.store(component_ptr + offs, tl.load(parent_ptr + own, mask=mask, other=0), mask=mask)


_INTS = (
    *("near_ptr", "component_ptr", "count_ptr", "number_ptr", "pair_ptr", "place_ptr"),
    *("parent_ptr", "edges_ptr", "size_ptr"),
)
_TYPES = (
    dict.fromkeys(_INTS, "*i32")
    | dict.fromkeys(("key_ptr", "out_key_ptr"), "*i64")
    | dict.fromkeys(("N", "pairs"), "i32")
)
# What has the dtype of weights, or of their bits.
_WEIGHTS = ("square_ptr", "core_ptr", "out_weight_ptr")
_BITS = ("reach_ptr", "best_ptr", "beyond_ptr", "weight_ptr")
_VALUES = {"SLOTS": 32, "ROWS": ROWS, "BLOCK": BLOCK}


def _case(kernel: Any, dtype: torch.dtype) -> CompileCase:
    name = kernel.__name__.removeprefix("_hdbscan_").removesuffix("_kernel")
    wide = dtype == torch.float64
    types = _TYPES | dict.fromkeys(_WEIGHTS, "*fp64" if wide else "*fp32")
    types |= dict.fromkeys(_BITS, "*i64" if wide else "*i32")
    values = _VALUES | {"NO_WEIGHT": NO_WEIGHT[dtype]}
    return CompileCase(
        f"{name}-{'fp64' if wide else 'fp32'}",
        kernel,
        {name: types[name] for name in kernel.arg_names if name in types},
        {name: values[name] for name in kernel.arg_names if name in values},
    )


COMPILE_CASES = tuple(
    _case(kernel, dtype)
    for kernel in (
        _hdbscan_reset_kernel,
        _hdbscan_lightest_kernel,
        _hdbscan_settled_kernel,
        _hdbscan_key_kernel,
        _hdbscan_pair_key_kernel,
        _hdbscan_join_kernel,
        _hdbscan_root_kernel,
        _hdbscan_rename_kernel,
    )
    for dtype in (torch.float32, torch.float64)
)
