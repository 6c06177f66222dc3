"""Triton kernels of hdbscan: pairs of places that may be the lightest way out of their component.

Idea: as in `kernel_near.py` two passes over pairs with float16 products. The first lowers, for
each component, an upper bound of the weight of its lightest edge; the bound is shared by all
programs as it falls, and rules out blocks by their boxes. The second lists the pairs that may be
as light, and a third kernel evaluates these few in float32 differences.

Rows are the places that look, ordered by their component: a block that lies in the one component
of all rows of a program is not read.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.device_points import Points, no_less
from onetrip.ops.hdbscan.kernel_merge import bits_of
from onetrip.ops.hdbscan.kernel_tiles import (
    as_bits,
    at_least,
    at_most,
    column_block,
    computed_at_most,
    differences,
    lowest_bit,
    near_blocks,
    parts,
    row_block,
    scores,
    sizes_of_tiles,
    tile_cases,
)
from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch

_PAIRS = 256


@triton.jit
def _other_blocks(first_ptr, last_ptr, chunk, first, last, blocks, CHUNK: tl.constexpr):
    """Which blocks of a chunk hold a place outside the one component of all rows [CHUNK]."""
    block = chunk * CHUNK + tl.arange(0, CHUNK)
    mask = block < blocks
    below = tl.load(first_ptr + block, mask=mask, other=-1)
    above = tl.load(last_ptr + block, mask=mask, other=-1)
    return (first != last) | (below != first) | (above != last)


@triton.jit(do_not_specialize=["rows", "N", "blocks", "steps"])
def _hdbscan_bound_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    radius_ptr,
    first_ptr,
    last_ptr,
    row_ptr,
    component_ptr,
    core_ptr,
    limit_ptr,
    floor_ptr,
    off,
    rows,
    N,
    D,
    blocks,
    steps,
    CHUNK: tl.constexpr,
    DP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    offs_n = tl.minimum(tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N), rows - 1)
    place = tl.load(row_ptr + offs_n)
    own = tl.load(component_ptr + place)
    core = tl.load(core_ptr + place)
    first = tl.min(own, axis=0)
    last = tl.max(own, axis=0)
    low, high, middle, half, square, norm = row_block(x_ptr, place, D, DP)
    nearest = tl.zeros([BLOCK_N], dtype=tl.float32) + float("inf")
    home = tl.min(place, axis=0) // (BLOCK_M * CHUNK)
    for step in range(tl.program_id(1), steps, tl.num_programs(1)):
        chunk = home ^ step
        # Whatever another program has found by now is used, and may be used or not.
        limit = tl.load(limit_ptr + own, cache_modifier=".cg").to(tl.float32, bitcast=True)
        wanted = tl.max(limit, axis=0)
        near = near_blocks(
            low_ptr, high_ptr, radius_ptr, low, high, middle, tl.max(norm, axis=0), chunk, wanted,
            off, D, blocks, DP, CHUNK,
        )  # fmt: skip
        near &= _other_blocks(first_ptr, last_ptr, chunk, first, last, blocks, CHUNK)
        bits = as_bits(near, CHUNK)
        if bits != 0:
            least = tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.float32) + float("inf")
            y = column_block(x_ptr, chunk * CHUNK + lowest_bit(bits), N, D, BLOCK_M, DP)
            while bits != 0:
                block = chunk * CHUNK + lowest_bit(bits)
                bits = bits & (bits - 1)
                # The next block is on its way while this one is looked at.
                following = column_block(x_ptr, chunk * CHUNK + lowest_bit(bits), N, D, BLOCK_M, DP)
                offs_m = block * BLOCK_M + tl.arange(0, BLOCK_M)
                score = scores(y, half, middle, block, N, BLOCK_M)
                other = tl.load(component_ptr + offs_m, mask=offs_m < N, other=-1)
                core_m = tl.load(core_ptr + offs_m, mask=offs_m < N, other=0.0)
                reach = tl.maximum(score + square[:, None], core_m[None, :])
                least = tl.minimum(
                    least, tl.where(own[:, None] != other[None, :], reach, float("inf"))
                )
                y = following
            inner = tl.min(least, axis=1)
            nearest = tl.minimum(nearest, inner)
            found = tl.maximum(at_most(inner, norm, D, off), core)
            tl.atomic_min(
                limit_ptr + own, found.to(tl.int32, bitcast=True), mask=found < limit, sem="relaxed"
            )
    # What was not read is heavier than some edge of the component.
    floor = tl.maximum(at_least(nearest, norm, D, off), core)
    tl.atomic_min(floor_ptr + offs_n, floor.to(tl.int32, bitcast=True), sem="relaxed")


@triton.jit(do_not_specialize=["rows", "N", "blocks", "steps", "room"])
def _hdbscan_pairs_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    radius_ptr,
    first_ptr,
    last_ptr,
    row_ptr,
    component_ptr,
    core_ptr,
    limit_ptr,
    count_ptr,
    pair_ptr,
    off,
    room,
    rows,
    N,
    D,
    blocks,
    steps,
    CHUNK: tl.constexpr,
    DP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < rows
    place = tl.load(row_ptr + tl.minimum(offs_n, rows - 1))
    own = tl.load(component_ptr + place)
    first = tl.min(own, axis=0)
    last = tl.max(own, axis=0)
    low, high, middle, half, square, norm = row_block(x_ptr, place, D, DP)
    limit = tl.load(limit_ptr + own).to(tl.float32, bitcast=True)
    looks = mask_n & (tl.load(core_ptr + place) <= limit)
    limit = tl.where(looks, limit, float("-inf"))
    wanted = tl.max(limit, axis=0)
    cut = computed_at_most(tl.maximum(limit, 0.0), norm, D, off) - square
    cut = tl.where(looks, cut, float("-inf"))
    counter = count_ptr + tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.int32)
    home = tl.min(place, axis=0) // (BLOCK_M * CHUNK)
    for step in range(tl.program_id(1), steps, tl.num_programs(1)):
        chunk = home ^ step
        near = near_blocks(
            low_ptr, high_ptr, radius_ptr, low, high, middle, tl.max(norm, axis=0), chunk, wanted,
            off, D, blocks, DP, CHUNK,
        )  # fmt: skip
        near &= _other_blocks(first_ptr, last_ptr, chunk, first, last, blocks, CHUNK)
        bits = as_bits(near, CHUNK)
        y = column_block(x_ptr, chunk * CHUNK + lowest_bit(bits), N, D, BLOCK_M, DP)
        while bits != 0:
            block = chunk * CHUNK + lowest_bit(bits)
            bits = bits & (bits - 1)
            # The next block is on its way while this one is looked at.
            following = column_block(x_ptr, chunk * CHUNK + lowest_bit(bits), N, D, BLOCK_M, DP)
            offs_m = block * BLOCK_M + tl.arange(0, BLOCK_M)
            score = tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.float32) + float("inf")
            # Always so: for sm_100, Triton 3.6 fails on sums of a product where it is made.
            if block < blocks:
                score = scores(y, half, middle, block, N, BLOCK_M)
            hit = score <= cut[:, None]
            if tl.max(tl.max(hit.to(tl.int32), axis=1), axis=0) > 0:
                other = tl.load(component_ptr + offs_m, mask=offs_m < N, other=-1)
                core_m = tl.load(core_ptr + offs_m, mask=offs_m < N, other=float("inf"))
                hit &= (own[:, None] != other[None, :]) & (core_m[None, :] <= limit[:, None])
                slot = tl.atomic_add(counter, 1, mask=hit, sem="relaxed")
                pair = pair_ptr + tl.cast(slot, tl.int64) * 2
                kept = hit & (slot >= 0) & (slot < room)
                tl.store(pair, place[:, None] + tl.zeros_like(slot), mask=kept)
                tl.store(pair + 1, offs_m[None, :] + tl.zeros_like(slot), mask=kept)
            y = following


@triton.jit(do_not_specialize=["pairs"])
def _hdbscan_weigh_kernel(
    x_ptr, pair_ptr, core_ptr, component_ptr, weight_ptr, best_ptr, pairs, D, PAIRS: tl.constexpr
):
    offs = tl.program_id(0) * PAIRS + tl.arange(0, PAIRS)
    mask = offs < pairs
    row = tl.load(pair_ptr + 2 * offs, mask=mask, other=0)
    column = tl.load(pair_ptr + 2 * offs + 1, mask=mask, other=0)
    square = differences(x_ptr, row, column, mask, D)
    core = tl.maximum(tl.load(core_ptr + row), tl.load(core_ptr + column))
    bits = bits_of(tl.maximum(square, core))
    tl.store(weight_ptr + offs, bits, mask=mask)
    tl.atomic_min(best_ptr + tl.load(component_ptr + row), bits, mask=mask, sem="relaxed")
    tl.atomic_min(best_ptr + tl.load(component_ptr + column), bits, mask=mask, sem="relaxed")


def pairs_outside(
    points: Points,
    span: tuple[Tensor, Tensor],
    rows: Tensor,
    component: Tensor,
    core: Tensor,
    limit: Tensor,
    room: int,
    config: Config,
) -> Tensor | None:
    """Pairs of places that hold the lightest way out of every component that looks.

    Parameters
    ----------
    points : N places.
    span : least and greatest component of blocks of columns [blocks], int32.
    rows : Tensor [R], int32, the places that look, R > 0.
    component : Tensor [N], int32.
    core : Tensor [N], dtype of ``points.exact``.
    limit : Tensor [N], same dtype, weight of a known way out of each component, or infinity.
    room : pairs that are listed at most.

    Returns
    -------
    Tensor [P, 2], int32, in no order; None where there are more than `room`.
    """
    x, off = points.x, points.off
    boxes = points.boxes
    # Of rounded numbers those that are no less keep the order: what is as heavy is not ruled out.
    core, bound = no_less(core), no_less(limit).clone().view(torch.int32)
    N, D = x.shape
    columns, steps, options = sizes_of_tiles(N, D, config)
    floor = torch.full((rows.numel(),), torch.inf, device=x.device).view(torch.int32)
    count = torch.zeros(1, dtype=torch.int32, device=x.device)
    pairs = torch.empty(room, 2, dtype=torch.int32, device=x.device)
    with torch.cuda.device_of(x):
        programs = blocks(rows.numel(), config["BLOCK_N"])
        launch(
            _hdbscan_bound_kernel, (programs, parts(programs, steps)), x, *boxes, *span, rows,
            component, core, bound, floor, off, rows.numel(), N, D, columns, steps, **options,
        )  # fmt: skip
        # Of all places that look, a few may be an end of the lightest edge.
        rows = rows[floor <= bound[component[rows]]]
        if not rows.numel():
            return pairs[:0]
        programs = blocks(rows.numel(), config["BLOCK_N"])
        launch(
            _hdbscan_pairs_kernel, (programs, parts(programs, steps)), x, *boxes, *span, rows,
            component, core, bound, count, pairs, off, room, rows.numel(), N, D, columns, steps,
            **options,
        )  # fmt: skip
    found = int(count)
    return pairs[:found] if 0 <= found <= room else None


def weigh(x: Tensor, pairs: Tensor, core: Tensor, component: Tensor, best: Tensor) -> Tensor:
    """Bits of the weights of pairs [P], dtype of `best`, and in `best` the least of components."""
    count = pairs.shape[0]
    weight = torch.empty(count, dtype=best.dtype, device=x.device)
    if count:
        with torch.cuda.device_of(x):
            launch(
                _hdbscan_weigh_kernel, (blocks(count, _PAIRS),), x, pairs, core, component,
                weight, best, count, x.shape[1], PAIRS=_PAIRS,
            )  # fmt: skip
    return weight


COMPILE_CASES = (
    # On sm_80 56, 132 and 550 of 128, 256 and 1,024 features; on sm_90 14, 44 and 514, 166 of 512.
    *tile_cases("bound", _hdbscan_bound_kernel, 8, {128: 72, 256: 160, 512: 510, 1024: 620}),
    # Of 256 features 12 on sm_80; on sm_90 12 of 512, 172 of 1,024.
    *tile_cases("pairs", _hdbscan_pairs_kernel, 8, {256: 20, 512: 120, 1024: 420}),
    *(
        CompileCase(
            f"weigh-{dtype}",
            _hdbscan_weigh_kernel,
            {
                **dict.fromkeys(("x_ptr", "core_ptr"), f"*{dtype}"),
                **dict.fromkeys(("pair_ptr", "component_ptr"), "*i32"),
                **dict.fromkeys(("weight_ptr", "best_ptr"), bits),
                **dict.fromkeys(("pairs", "D"), "i32"),
            },
            {"PAIRS": _PAIRS},
        )
        for dtype, bits in (("fp32", "*i32"), ("fp64", "*i64"))
    ),
)
