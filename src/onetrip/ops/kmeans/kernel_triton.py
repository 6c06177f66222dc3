"""Triton kernel of kmeans: the nearest centre of every row by half precision, and who is in doubt.

Idea: a program owns BLOCK_N rows and walks over all centres, BLOCK_K at a time. The scores
``|c|²/2 - x·c`` of a tile live in registers. Rows and centres are rounded to float16 after a
scaling by powers of two; how much each row and each centre lost is known (`residue`), which bounds
the error of every score. A row whose two least scores are closer than twice the bound is in doubt:
`kernel_resolve_triton.py` decides it, from the one other candidate, or from the limit that its
nearest centre's score keeps in any case.

Tiling: up to MOST_HELD features the rows are rounded once and held while the centres stream past;
with more features both stream in steps of BLOCK_D. The rows are read as they are, in float32: no
copy in half precision is stored.

The two least: per score one addition and two and a half minima. A tensor core leaves columns 8g + s
of a tile, for each s, to one thread: a slot. The thread keeps the least of each place (g, s) over
all tiles, and of each slot the two least tiles. The least place and the least tile are the column
of the slot's least, and any other score is in another place or in another tile, so the second of
either is not beyond it. Places are compared once, when all tiles have passed, with g in the last
bits. Most rows in doubt have two candidates in two slots, known by number: no second search.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import TARGETS, CompileCase

# Features of a row that are held: 128 rows of them take 64 KiB in half precision.
MOST_HELD = 256
# The score of a centre that is none: beyond all others, and finite with any last bits.
BEYOND = 1e38
# Instead of the one other candidate of a row: there is none, or it takes another search.
CERTAIN = tl.constexpr(-1)
OPEN = tl.constexpr(-2)


@triton.jit
def _two_least(best, second, other_best, other_second):
    """The least two of two pairs, each in order."""
    larger = tl.maximum(best, other_best)
    return tl.minimum(best, other_best), tl.minimum(larger, tl.minimum(second, other_second))


@triton.jit
def _halves(tile):
    """[N, G, 8] as two [N, G / 2, 8]: within threads, where G is."""
    pairs = tl.reshape(tile, [tile.shape[0], 2, tile.shape[1] // 2, 8])
    return tl.split(tl.permute(pairs, [0, 2, 3, 1]))


@triton.constexpr_function
def halvings(groups):
    """How often so many groups, a power of two, are halved until there is one."""
    return groups.bit_length() - 1


@triton.jit
def _least_of_slots(score):
    """The least of every eighth column [N, 8] of scores [N, K]."""
    HALVINGS: tl.constexpr = halvings(score.shape[1] // 8)
    least = tl.reshape(score, [score.shape[0], score.shape[1] // 8, 8])
    for _ in tl.static_range(HALVINGS):
        least, other = _halves(least)
        least = tl.minimum(least, other)
    return tl.reshape(least, [score.shape[0], 8])


@triton.jit
def _two_of_slots(score, number):
    """The least two of every eighth column [N, 8] of scores [N, K], numbers in their last bits."""
    GROUPS: tl.constexpr = score.shape[1] // 8
    HALVINGS: tl.constexpr = halvings(GROUPS) - 1
    bits = score.to(tl.int32, bitcast=True) & -GROUPS | number[None, :]
    score = bits.to(tl.float32, bitcast=True)
    less, more = _halves(tl.reshape(score, [score.shape[0], GROUPS, 8]))
    less, more = tl.minimum(less, more), tl.maximum(less, more)
    for _ in tl.static_range(HALVINGS):
        less, other_less = _halves(less)
        more, other_more = _halves(more)
        less, more = _two_least(less, more, other_less, other_more)
    return tl.reshape(less, [score.shape[0], 8]), tl.reshape(more, [score.shape[0], 8])


@triton.jit
def _kmeans_nearest_kernel(
    x_ptr,
    norm_ptr,
    residue_ptr,
    half_ptr,
    level_ptr,
    reach_ptr,
    label_ptr,
    limit_ptr,
    other_ptr,
    scale,
    N,
    D,
    tiles,
    WIDTH,
    HOLD_X: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    offs_d = tl.arange(0, BLOCK_D)
    offs_k = tl.arange(0, BLOCK_K)
    x_ptrs = x_ptr + offs_n.to(tl.int64)[:, None] * D + offs_d[None, :]
    c_ptrs = half_ptr + offs_k[None, :].to(tl.int64) * WIDTH + offs_d[:, None]
    of_place = tl.full([BLOCK_N, BLOCK_K], float("inf"), tl.float32)
    best = tl.full([BLOCK_N, 8], float("inf"), tl.float32)
    second = tl.full([BLOCK_N, 8], float("inf"), tl.float32)
    at = tl.zeros([BLOCK_N, 8], tl.int32)
    if HOLD_X:
        held = tl.load(x_ptrs, mask=mask_n[:, None] & (offs_d < D)[None, :], other=0.0)
        held = (held * scale).to(tl.float16)  # [BLOCK_N, BLOCK_D]
    for tile in range(0, tiles):
        level = tl.load(level_ptr + tile * BLOCK_K + offs_k)
        if HOLD_X:
            product = tl.dot(held, tl.load(c_ptrs))
        else:
            product = tl.zeros([BLOCK_N, BLOCK_K], tl.float32)
            for start_d in range(0, WIDTH, BLOCK_D):
                mask_d = start_d + offs_d < D
                x = tl.load(x_ptrs + start_d, mask=mask_n[:, None] & mask_d[None, :], other=0.0)
                x = (x * scale).to(tl.float16)
                product = tl.dot(x, tl.load(c_ptrs + start_d), product)
        c_ptrs += BLOCK_K * tl.cast(WIDTH, tl.int64)
        score = level[None, :] - product  # [BLOCK_N, BLOCK_K]
        of_place = tl.minimum(of_place, score)
        of_tile = _least_of_slots(score)
        at = tl.where(of_tile < best, tile, at)
        second = tl.minimum(second, tl.maximum(best, of_tile))
        best = tl.minimum(best, of_tile)
    best, of_others = _two_of_slots(of_place, offs_k // 8)
    second = tl.minimum(second, of_others)
    least = tl.min(best, 1)
    number = best.to(tl.int32, bitcast=True) & (BLOCK_K // 8 - 1)
    column = at * BLOCK_K + number * 8 + tl.arange(0, 8)[None, :]
    label = tl.min(tl.where(best == least[:, None], column, 2147483647), 1)
    tl.store(label_ptr + offs_n, label, mask=mask_n)
    norm = tl.load(norm_ptr + offs_n, mask=mask_n, other=0.0) * scale
    residue = tl.load(residue_ptr + offs_n, mask=mask_n, other=0.0)
    reach = tl.load(reach_ptr) * residue + tl.load(reach_ptr + 1) * norm
    reach += tl.load(reach_ptr + 2)
    # Last bits that hold a number are at most so much of a score; 1 % covers the rest.
    BLUR: tl.constexpr = 1.01 * (BLOCK_K // 8) * 2.0**-23
    limit = least + BLUR * tl.abs(least) + reach
    # Not "is within": a bound that is not a number certifies nothing.
    beyond = best - BLUR * tl.abs(best) > limit[:, None]
    hidden = (second - BLUR * tl.abs(second) > limit[:, None]) == 0
    candidates = tl.sum((beyond == 0).to(tl.int32), 1)
    other = tl.min(tl.where(beyond | (column == label[:, None]), 2147483647, column), 1)
    other = tl.where(candidates == 1, CERTAIN, tl.where(candidates == 2, other, OPEN))
    other = tl.where(tl.max(hidden.to(tl.int32), 1) > 0, OPEN, other)
    tl.store(other_ptr + offs_n, other, mask=mask_n)
    tl.store(limit_ptr + offs_n, limit, mask=mask_n)


_SIGNATURE = {
    **dict.fromkeys(("x_ptr", "norm_ptr", "residue_ptr", "level_ptr", "reach_ptr"), "*fp32"),
    **dict.fromkeys(("label_ptr", "other_ptr"), "*i32"),
    **dict.fromkeys(("N", "D", "tiles", "WIDTH"), "i32"),
    "half_ptr": "*fp16",
    "limit_ptr": "*fp32",
    "scale": "fp32",
}

COMPILE_CASES = tuple(
    CompileCase(
        name,
        _kmeans_nearest_kernel,
        _SIGNATURE,
        {
            "HOLD_X": block_d != 64,
            "BLOCK_N": 64,
            "BLOCK_K": 64,
            "BLOCK_D": block_d,
        },
        num_warps=4,
        num_stages=stages,
        targets=targets,
        multiples_of_16=("D", "WIDTH"),
    )
    for name, block_d, stages, targets in (
        ("held-32", 32, 3, TARGETS),
        ("held-128", 128, 3, ("sm_80", "sm_90", "sm_100", "gfx950")),
        ("streamed", 64, 3, ("sm_80", "sm_90", "sm_100", "gfx950")),
    )
)
