"""Triton kernel of kmeans: the rows that half precision left in doubt, decided in float64.

Idea: a doubtful row came with a limit that the score of its nearest centre keeps in any case
(`kernel_triton.py`). Where it came with one other candidate, the program that looks for such rows
measures the two by differences in float64. Of the other rows a program takes BLOCK_R, finds their
scores again, and keeps a bit for each place of a tile and each tile, or group of tiles, that has a
centre within the limit there. These centres are measured; ties go to the first. How many rows there
are is read on the device; a fixed number of programs shares them.
"""

import triton
import triton.language as tl

from onetrip.ops.kmeans.kernel_triton import CERTAIN, OPEN
from onetrip.tile.compile_case import CompileCase


@triton.jit
def _kmeans_doubts_kernel(
    raw_ptr, centers_ptr, other_ptr, pair_ptr, doubt_ptr, count_ptr, label_ptr, N, D,
    BLOCK_N: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Decide the rows with one other candidate, by differences in float64; list those with more.

    A program lists the pairs of its own rows, and works through them at once.
    """
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    other = tl.load(other_ptr + offs_n, mask=mask_n, other=CERTAIN)
    _append(other == OPEN, offs_n, doubt_ptr, count_ptr)
    paired = (other >= 0).to(tl.int32)
    pairs = tl.sum(paired, 0)
    if pairs > 0:
        tl.atomic_add(count_ptr + 1, pairs, sem="relaxed")
        pair_ptr += tl.program_id(0) * BLOCK_N
        tl.store(pair_ptr + tl.cumsum(paired, 0) - 1, offs_n, mask=paired > 0)
        # What other threads of the program have listed is read here.
        tl.debug_barrier()
        for start in range(0, pairs, BLOCK_R):
            offs_r = start + tl.arange(0, BLOCK_R)
            mask_r = offs_r < pairs
            rows = tl.load(pair_ptr + offs_r, mask=mask_r, other=0).to(tl.int64)
            _decide(raw_ptr, centers_ptr, other_ptr, label_ptr, rows, mask_r, D, BLOCK_R, BLOCK_D)


@triton.jit
def _decide(
    raw_ptr, centers_ptr, other_ptr, label_ptr, rows, mask_r, D,
    BLOCK_R: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The nearer of two centres of some rows; the first of equals."""
    other = tl.load(other_ptr + rows, mask=mask_r, other=0)
    label = tl.load(label_ptr + rows, mask=mask_r, other=0)
    own_square = tl.zeros([BLOCK_R], tl.float64)
    other_square = tl.zeros([BLOCK_R], tl.float64)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask = mask_r[:, None] & (offs_d < D)[None, :]
        x = tl.load(raw_ptr + rows[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
        own_square += _square(x, centers_ptr, label, offs_d, D, mask)
        other_square += _square(x, centers_ptr, other, offs_d, D, mask)
    nearer = (other_square < own_square) | ((other_square == own_square) & (other < label))
    tl.store(label_ptr + rows, other, mask=mask_r & nearer)


@triton.jit
def _append(wanted, rows, list_ptr, count_ptr):
    """Append the wanted of some rows to a list, in any order."""
    number = wanted.to(tl.int32)
    found = tl.sum(number, 0)
    if found > 0:
        place = tl.atomic_add(count_ptr, found, sem="relaxed") + tl.cumsum(number, 0) - 1
        tl.store(list_ptr + place, rows, mask=wanted)


@triton.jit
def _kmeans_resolve_kernel(
    x_ptr, raw_ptr, centers_ptr, half_ptr, level_ptr, doubt_ptr, limit_ptr, count_ptr, label_ptr,
    scale, K, D, tiles, WIDTH,
    HOLD_X: tl.constexpr, BLOCK_R: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
    BLOCK_M: tl.constexpr,
):  # fmt: skip
    """Search rows with more than two candidates again, and measure every centre within limits."""
    NONE: tl.constexpr = 2147483647
    offs_r = tl.arange(0, BLOCK_R)
    offs_k = tl.arange(0, BLOCK_K)
    offs_d = tl.arange(0, BLOCK_D)
    count = tl.load(count_ptr)
    # Tiles that share one of 32 bits.
    group = tl.cdiv(tiles, 32)
    for start in range(tl.program_id(0) * BLOCK_R, count, tl.num_programs(0) * BLOCK_R):
        mask_r = start + offs_r < count
        rows = tl.load(doubt_ptr + start + offs_r, mask=mask_r, other=0).to(tl.int64)
        limit = tl.load(limit_ptr + rows, mask=mask_r, other=float("-inf"))
        x_ptrs = rows[:, None] * D + offs_d[None, :]
        if HOLD_X:
            mask = mask_r[:, None] & (offs_d < D)[None, :]
            held = tl.load(x_ptr + x_ptrs, mask=mask, other=0.0)
            held = (held * scale).to(tl.float16)  # [BLOCK_R, BLOCK_D]
        # Of each place of a tile, the groups of tiles that have a centre within the limit there.
        groups = tl.zeros([BLOCK_R, BLOCK_K], tl.int32)
        for tile in range(0, tiles):
            columns = tile * BLOCK_K + offs_k
            c_ptrs = half_ptr + columns[None, :].to(tl.int64) * WIDTH + offs_d[:, None]
            if HOLD_X:
                product = tl.dot(held, tl.load(c_ptrs))
            else:
                product = tl.zeros([BLOCK_R, BLOCK_K], tl.float32)
                for start_d in range(0, WIDTH, BLOCK_D):
                    mask = mask_r[:, None] & (start_d + offs_d < D)[None, :]
                    x = tl.load(x_ptr + x_ptrs + start_d, mask=mask, other=0.0)
                    x = (x * scale).to(tl.float16)
                    product = tl.dot(x, tl.load(c_ptrs + start_d), product)
            level = tl.load(level_ptr + columns)
            # Not "is within": with a limit that is not a number every centre is measured.
            beyond = level[None, :] - product > limit[:, None]  # [BLOCK_R, BLOCK_K]
            groups |= tl.where(beyond, 0, 1 << (tile // group))
        least = tl.full([BLOCK_R], float("inf"), tl.float64)
        label = tl.zeros([BLOCK_R], tl.int32)
        number = _first_number(groups, offs_k, BLOCK_K)
        each = tl.min(number, 1)
        while tl.min(each, 0) < NONE:
            for member in range(0, group):
                column = (each // BLOCK_K * group + member) * BLOCK_K + each % BLOCK_K
                has = (each < NONE) & (column < K)
                square = tl.zeros([BLOCK_R], tl.float64)
                for start_d in range(0, D, BLOCK_M):
                    offs_m = start_d + tl.arange(0, BLOCK_M)
                    mask_m = has[:, None] & (offs_m < D)[None, :]
                    raw = tl.load(raw_ptr + rows[:, None] * D + offs_m[None, :], mask_m, other=0.0)
                    square += _square(raw, centers_ptr, column, offs_m, D, mask_m)
                nearer = has & ((square < least) | ((square == least) & (column < label)))
                least = tl.where(nearer, square, least)
                label = tl.where(nearer, column, label)
            groups = tl.where(number == each[:, None], groups & (groups - 1), groups)
            number = _first_number(groups, offs_k, BLOCK_K)
            each = tl.min(number, 1)
        tl.store(label_ptr + rows, label, mask=mask_r)


@triton.jit
def _first_number(groups, offs_k, BLOCK_K: tl.constexpr):
    """The first group of each place, times BLOCK_K, plus the place."""
    lowest = (groups & -groups).to(tl.uint32, bitcast=True).to(tl.float32)
    group = (lowest.to(tl.int32, bitcast=True) >> 23) - 127
    return tl.where(groups == 0, 2147483647, group * BLOCK_K + offs_k[None, :])


@triton.jit
def _square(x, centers_ptr, column, offs_d, D, mask):
    """Squared distances [BLOCK_R], over some features, of rows to their own columns."""
    place = column.to(tl.int64)[:, None] * D + offs_d[None, :]
    c = tl.load(centers_ptr + place, mask=mask, other=0.0)
    gap = x.to(tl.float64) - c.to(tl.float64)
    return tl.sum(gap * gap, 1)


_OF_PAIRS = ("raw_ptr", "centers_ptr", "doubt_ptr", "count_ptr", "label_ptr", "D")
_SIGNATURE = {
    "x_ptr": "*fp32",
    "raw_ptr": "*fp32",
    "centers_ptr": "*fp32",
    "half_ptr": "*fp16",
    "level_ptr": "*fp32",
    "doubt_ptr": "*i32",
    "limit_ptr": "*fp32",
    "count_ptr": "*i32",
    "label_ptr": "*i32",
    "scale": "fp32",
    "K": "i32",
    "D": "i32",
    "tiles": "i32",
    "WIDTH": "i32",
}

_NVIDIA, _AMD = ("sm_80", "sm_90", "sm_100"), ("gfx942", "gfx950")

COMPILE_CASES = tuple(
    CompileCase(
        f"open-features-{width}-rows-{rows}",
        _kmeans_resolve_kernel,
        _SIGNATURE,
        {
            "HOLD_X": holds,
            "BLOCK_R": rows,
            "BLOCK_K": 64,
            "BLOCK_D": width,
            "BLOCK_M": min(32, width),
        },
        num_warps=warps,
        num_stages=3,
        targets=targets,
        multiples_of_16=("D", "WIDTH"),
        max_spills=2,
    )
    for width, holds, rows, warps, targets in (
        (16, True, 64, 8, _NVIDIA),
        (128, True, 64, 8, _NVIDIA),
        (256, True, 32, 4, _NVIDIA),
        (128, False, 32, 4, _NVIDIA),
        (16, True, 16, 4, _AMD),
        (256, True, 16, 4, _AMD),
        (128, False, 16, 4, _AMD),
    )
) + (
    CompileCase(
        "doubts",
        _kmeans_doubts_kernel,
        {
            **{name: _SIGNATURE[name] for name in _OF_PAIRS},
            **dict.fromkeys(("other_ptr", "pair_ptr"), "*i32"),
            "N": "i32",
        },
        {"BLOCK_N": 1024, "BLOCK_R": 8, "BLOCK_D": 128},
        multiples_of_16=("D",),
    ),
)
