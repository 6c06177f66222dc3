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
from onetrip.ops.hdbscan.kernel_near import padded_features
from onetrip.ops.hdbscan.kernel_tiles import (
    CHUNK,
    COMPILED_TILE,
    COMPILED_TILES,
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
)
from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import launch

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
            D, blocks, DP, CHUNK,
        )  # fmt: skip
        near &= _other_blocks(first_ptr, last_ptr, chunk, first, last, blocks, CHUNK)
        bits = as_bits(near, CHUNK)
        if bits != 0:
            least = tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.float32) + float("inf")
            y = column_block(
                x_ptr, chunk * CHUNK + lowest_bit(bits), tl.where(bits != 0, N, 0), D, BLOCK_M, DP
            )
            while bits != 0:
                block = chunk * CHUNK + lowest_bit(bits)
                bits = bits & (bits - 1)
                # The next block is on its way while this one is looked at.
                following = column_block(
                    x_ptr,
                    chunk * CHUNK + lowest_bit(bits),
                    tl.where(bits != 0, N, 0),
                    D,
                    BLOCK_M,
                    DP,
                )
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
            found = tl.maximum(at_most(inner, norm, D), core)
            tl.atomic_min(
                limit_ptr + own, found.to(tl.int32, bitcast=True), mask=found < limit, sem="relaxed"
            )
    # What was not read is heavier than some edge of the component.
    floor = tl.maximum(at_least(nearest, norm, D), core)
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
    cut = computed_at_most(tl.maximum(limit, 0.0), norm, D) - square
    cut = tl.where(looks, cut, float("-inf"))
    counter = count_ptr + tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.int32)
    home = tl.min(place, axis=0) // (BLOCK_M * CHUNK)
    for step in range(tl.program_id(1), steps, tl.num_programs(1)):
        chunk = home ^ step
        near = near_blocks(
            low_ptr, high_ptr, radius_ptr, low, high, middle, tl.max(norm, axis=0), chunk, wanted,
            D, blocks, DP, CHUNK,
        )  # fmt: skip
        near &= _other_blocks(first_ptr, last_ptr, chunk, first, last, blocks, CHUNK)
        bits = as_bits(near, CHUNK)
        y = column_block(
            x_ptr, chunk * CHUNK + lowest_bit(bits), tl.where(bits != 0, N, 0), D, BLOCK_M, DP
        )
        while bits != 0:
            block = chunk * CHUNK + lowest_bit(bits)
            bits = bits & (bits - 1)
            # The next block is on its way while this one is looked at.
            following = column_block(
                x_ptr, chunk * CHUNK + lowest_bit(bits), tl.where(bits != 0, N, 0), D, BLOCK_M, DP
            )
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
    bits = tl.maximum(square, core).to(tl.int32, bitcast=True)
    tl.store(weight_ptr + offs, bits, mask=mask)
    tl.atomic_min(best_ptr + tl.load(component_ptr + row), bits, mask=mask, sem="relaxed")
    tl.atomic_min(best_ptr + tl.load(component_ptr + column), bits, mask=mask, sem="relaxed")


def pairs_outside(
    x: Tensor,
    boxes: tuple[Tensor, Tensor, Tensor],
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
    x : Tensor [N, D], float32, scaled as `kernel_tiles.py` says.
    boxes : least and greatest coordinates of blocks of columns [blocks, D], their balls' radii.
    span : least and greatest component of blocks of columns [blocks], int32.
    rows : Tensor [R], int32, the places that look, R > 0.
    component, core : Tensor [N], int32, float32.
    limit : Tensor [N], int32, bits of the weight of a known way out of each component; lowered.
    room : pairs that are listed at most.

    Returns
    -------
    Tensor [P, 2], int32, in no order; None where there are more than `room`.
    """
    N, D = x.shape
    blocks = boxes[0].shape[0]
    steps = triton.next_power_of_2(triton.cdiv(blocks, CHUNK))
    sizes = {"CHUNK": CHUNK, "DP": padded_features(D), **config}
    floor = torch.full((rows.numel(),), torch.inf, device=x.device).view(torch.int32)
    count = torch.zeros(1, dtype=torch.int32, device=x.device)
    pairs = torch.empty(room, 2, dtype=torch.int32, device=x.device)
    with torch.cuda.device_of(x):
        programs = triton.cdiv(rows.numel(), config["BLOCK_N"])
        launch(
            _hdbscan_bound_kernel, (programs, parts(programs, steps)), x, *boxes, *span, rows,
            component, core, limit, floor, rows.numel(), N, D, blocks, steps, **sizes,
        )  # fmt: skip
        # Of all places that look, a few may be an end of the lightest edge.
        rows = rows[floor <= limit[component[rows]]]
        if not rows.numel():
            return pairs[:0]
        programs = triton.cdiv(rows.numel(), config["BLOCK_N"])
        launch(
            _hdbscan_pairs_kernel, (programs, parts(programs, steps)), x, *boxes, *span, rows,
            component, core, limit, count, pairs, room, rows.numel(), N, D, blocks, steps, **sizes,
        )  # fmt: skip
    found = int(count)
    return pairs[:found] if 0 <= found <= room else None


def weigh(x: Tensor, pairs: Tensor, core: Tensor, component: Tensor, best: Tensor) -> Tensor:
    """Bits of the weights of pairs [P], int32, and in `best` the least of their components."""
    count = pairs.shape[0]
    weight = torch.empty(count, dtype=torch.int32, device=x.device)
    if count:
        with torch.cuda.device_of(x):
            launch(
                _hdbscan_weigh_kernel, (triton.cdiv(count, _PAIRS),), x, pairs, core, component,
                weight, best, count, x.shape[1], PAIRS=_PAIRS,
            )  # fmt: skip
    return weight


_POINTERS = {
    name: "*fp32" for name in ("x_ptr", "low_ptr", "high_ptr", "radius_ptr", "core_ptr")
} | {name: "*i32" for name in ("first_ptr", "last_ptr", "row_ptr", "component_ptr", "limit_ptr")}
_SIZES = {name: "i32" for name in ("rows", "N", "D", "blocks", "steps")}

COMPILE_CASES = (
    *(
        case
        for DP, BLOCK_M, num_warps in COMPILED_TILES
        for case in (
            CompileCase(
                f"bound-{DP}",
                _hdbscan_bound_kernel,
                _POINTERS | _SIZES | {"floor_ptr": "*i32"},
                COMPILED_TILE | {"BLOCK_M": BLOCK_M, "DP": DP},
                num_warps,
                # On sm_80, of 256 features on gfx942; on sm_90 ten of 64, 14 of 128, 64 of 256.
                max_spills={128: 72, 256: 219}.get(DP, 48),
            ),
            CompileCase(
                f"pairs-{DP}",
                _hdbscan_pairs_kernel,
                _POINTERS | _SIZES | {"count_ptr": "*i32", "pair_ptr": "*i32", "room": "i32"},
                COMPILED_TILE | {"BLOCK_M": BLOCK_M, "DP": DP},
                num_warps,
                # On sm_100, of 256 features on gfx950; on sm_90 twelve of these.
                max_spills=55 if DP == 256 else 4,
            ),
        )
    ),
    CompileCase(
        "weigh",
        _hdbscan_weigh_kernel,
        {name: "*fp32" for name in ("x_ptr", "core_ptr")}
        | {name: "*i32" for name in ("pair_ptr", "component_ptr", "weight_ptr", "best_ptr")}
        | {"pairs": "i32", "D": "i32"},
        {"PAIRS": _PAIRS},
    ),
)
