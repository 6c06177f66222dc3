"""Triton kernels of hdbscan: a list of the nearest points of every point, and core distances.

Idea: two passes over pairs, with float16 products. The first keeps, in registers, the least score
of each column of the tiles that it reads: BLOCK_M distinct points, of which the KEEP-th least is
an upper bound of the KEEP-th nearest distance, one comparison a pair. The second lists every
point that may lie within that bound. What is listed, some twenty points, is evaluated in float32
differences: core distances are those of differences to the last bit.

A block of columns whose box is farther away than what every row looks for is not read. A list
that is too short says so; the caller then takes core distances from `kernel_triton.py`.
"""

import torch
import triton
import triton.language as tl

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.device_points import Points
from onetrip.ops.hdbscan.kernel_tiles import (
    CHUNK,
    COMPILED_TILE,
    COMPILED_TILES,
    as_bits,
    at_most,
    column_block,
    computed_at_most,
    differences,
    kth_least,
    lowest_bit,
    near_blocks,
    parts,
    row_block,
    scores,
)
from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import launch

# Tiles read before the bound is taken anew, which costs as much as some ten tiles.
_READ = 24
# How often lists that are too short are made anew, within a nearer bound.
_TRIES = 4
_ROWS = 32


@triton.jit(do_not_specialize=["N", "blocks", "steps", "KEEP"])
def _hdbscan_reach_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    radius_ptr,
    reach_ptr,
    N,
    D,
    blocks,
    steps,
    KEEP,
    READ: tl.constexpr,
    CHUNK: tl.constexpr,
    DP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    pid = tl.program_id(0)
    offs_n = pid * BLOCK_N + tl.arange(0, BLOCK_N)
    low, high, middle, half, square, norm = row_block(x_ptr, tl.minimum(offs_n, N - 1), D, DP)
    least = tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.float32) + float("inf")
    wanted = float("inf")
    read = 0
    own = pid * BLOCK_N // (BLOCK_M * CHUNK)
    for step in range(0, steps):
        # The chunks that share most of the tree with the rows' own come first.
        chunk = own ^ step
        near = near_blocks(
            low_ptr, high_ptr, radius_ptr, low, high, middle, tl.max(norm, axis=0), chunk, wanted,
            D, blocks, DP, CHUNK,
        )  # fmt: skip
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
            least = tl.minimum(least, scores(y, half, middle, block, N, BLOCK_M))
            y = following
            read += 1
        if read >= READ:
            kth = kth_least(least, KEEP, BLOCK_N)
            wanted = tl.max(at_most(kth + square, norm, D), axis=0)
            read = 0
    kth = kth_least(least, KEEP, BLOCK_N)
    tl.store(reach_ptr + offs_n, at_most(kth + square, norm, D), mask=offs_n < N)


@triton.jit(do_not_specialize=["rows", "N", "blocks", "steps"])
def _hdbscan_list_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    radius_ptr,
    row_ptr,
    reach_ptr,
    count_ptr,
    near_ptr,
    rows,
    N,
    D,
    blocks,
    steps,
    SLOTS: tl.constexpr,
    CHUNK: tl.constexpr,
    DP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < rows
    place = tl.load(row_ptr + tl.minimum(offs_n, rows - 1))
    low, high, middle, half, square, norm = row_block(x_ptr, place, D, DP)
    reach = tl.load(reach_ptr + place)
    wanted = tl.max(reach, axis=0)
    cut = tl.where(mask_n, computed_at_most(reach, norm, D) - square, float("-inf"))
    counter = count_ptr + place[:, None] + tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.int32)
    slots = near_ptr + tl.cast(place, tl.int64)[:, None] * SLOTS
    own = tl.min(place, axis=0) // (BLOCK_M * CHUNK)
    for step in range(tl.program_id(1), steps, tl.num_programs(1)):
        chunk = own ^ step
        near = near_blocks(
            low_ptr, high_ptr, radius_ptr, low, high, middle, tl.max(norm, axis=0), chunk, wanted,
            D, blocks, DP, CHUNK,
        )  # fmt: skip
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
            score = tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.float32) + float("inf")
            # Always so: for sm_100, Triton 3.6 fails on sums of a product where it is made.
            if block < blocks:
                score = scores(y, half, middle, block, N, BLOCK_M)
            hit = score <= cut[:, None]
            if tl.max(tl.max(hit.to(tl.int32), axis=1), axis=0) > 0:
                slot = tl.atomic_add(counter, 1, mask=hit, sem="relaxed")
                column = block * BLOCK_M + tl.arange(0, BLOCK_M)[None, :] + tl.zeros_like(slot)
                tl.store(slots + slot, column, mask=hit & (slot >= 0) & (slot < SLOTS))
            y = following


@triton.jit(do_not_specialize=["rows", "K", "KEEP"])
def _hdbscan_listed_kernel(
    x_ptr,
    row_ptr,
    count_ptr,
    near_ptr,
    square_ptr,
    core_ptr,
    reach_ptr,
    short_ptr,
    rows,
    D,
    K,
    KEEP,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    offs = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    mask = offs < rows
    place = tl.load(row_ptr + tl.minimum(offs, rows - 1))
    slots = tl.arange(0, SLOTS)
    count = tl.load(count_ptr + place)
    listed = slots[None, :] < count[:, None]
    at = tl.cast(place, tl.int64)[:, None] * SLOTS + slots[None, :]
    column = tl.load(near_ptr + at, mask=listed, other=0)
    row = place[:, None] + tl.zeros([ROWS, SLOTS], dtype=tl.int32)
    square = differences(x_ptr, row, column, listed, D)
    square = tl.where(listed, square, float("inf"))
    inside = mask[:, None] & (slots >= 0)[None, :]
    tl.store(square_ptr + at, square, mask=inside)
    tl.store(near_ptr + at, row, mask=inside & (listed == 0))
    tl.store(core_ptr + place, kth_least(square, K, ROWS), mask=mask)
    # Of what found room, the KEEP-th nearest is a nearer bound.
    short = mask & (count > SLOTS)
    shorts = tl.sum(short.to(tl.int32), axis=0)
    if shorts > 0:
        tl.store(reach_ptr + place, kth_least(square, KEEP, ROWS), mask=short)
        tl.atomic_add(short_ptr, shorts, sem="relaxed")


class Near:
    """Near points of every place: all within `reach`, unless a list is too short.

    `place` [N, SLOTS] int32 and `square` [N, SLOTS] float32, a row's own place and infinity where
    it has fewer; `core` [N]; `reach` [N], everything that is not listed is farther (squared).

    Where many points are as near, a list is too short: its reach is minus infinity, and `unsure`
    counts those whose core distance may be less than their list's.
    """

    def __init__(self, points: Points, K: int, extra: int, config: Config) -> None:
        x = points.x
        N, D = x.shape
        keep = min(K + extra, N)
        slots = triton.next_power_of_2(2 * keep)
        boxes = (points.low, points.high, points.radius)
        blocks = points.low.shape[0]
        steps = triton.next_power_of_2(triton.cdiv(blocks, CHUNK))
        sizes = {"CHUNK": CHUNK, "DP": padded_features(D), **config}
        self.reach = torch.empty(N, dtype=torch.float32, device=x.device)
        self.core = torch.empty_like(self.reach)
        self.place = torch.empty(N, slots, dtype=torch.int32, device=x.device)
        self.square = torch.empty(N, slots, dtype=torch.float32, device=x.device)
        count = torch.zeros(N, dtype=torch.int32, device=x.device)
        rows = torch.arange(N, dtype=torch.int32, device=x.device)
        with torch.cuda.device_of(x):
            launch(
                _hdbscan_reach_kernel, (triton.cdiv(N, config["BLOCK_N"]),), x, *boxes, self.reach,
                N, D, blocks, steps, keep, READ=_READ, **sizes,
            )  # fmt: skip
            for _ in range(_TRIES):
                short = torch.zeros(1, dtype=torch.int32, device=x.device)
                programs = triton.cdiv(rows.numel(), config["BLOCK_N"])
                launch(
                    _hdbscan_list_kernel, (programs, parts(programs, steps)), x, *boxes, rows,
                    self.reach, count, self.place, rows.numel(), N, D, blocks, steps, SLOTS=slots,
                    **sizes,
                )  # fmt: skip
                launch(
                    _hdbscan_listed_kernel, (triton.cdiv(rows.numel(), _ROWS),), x, rows, count,
                    self.place, self.square, self.core, self.reach, short, rows.numel(), D,
                    min(K, N), keep, SLOTS=slots, ROWS=_ROWS,
                )  # fmt: skip
                if not int(short):
                    self.unsure = 0
                    return
                rows = (count > slots).nonzero().squeeze(1).int()
                count.masked_fill_(count > slots, 0)
        self.reach[rows] = -torch.inf
        # A core distance of zero cannot be less.
        self.unsure = int((self.core[rows] > 0).sum())


def padded_features(D: int) -> int:
    """Features of a tile: a product of tensor cores takes at least 16."""
    return max(16, triton.next_power_of_2(D))


_SIZES = {name: "i32" for name in ("N", "D", "blocks", "steps")}
_LISTS = {name: "*i32" for name in ("row_ptr", "count_ptr", "near_ptr")} | {"rows": "i32"}
_POINTERS = {name: "*fp32" for name in ("x_ptr", "low_ptr", "high_ptr", "radius_ptr", "reach_ptr")}

COMPILE_CASES = (
    *(
        case
        for DP, BLOCK_M, num_warps in COMPILED_TILES
        for case in (
            CompileCase(
                f"reach-{DP}",
                _hdbscan_reach_kernel,
                _POINTERS | _SIZES | {"KEEP": "i32"},
                COMPILED_TILE | {"BLOCK_M": BLOCK_M, "DP": DP, "READ": _READ},
                num_warps,
                # On gfx942; on sm_80 two of 128 features and 48 of 256, on sm_90 none.
                max_spills={128: 10, 256: 131}.get(DP, 0),
            ),
            CompileCase(
                f"list-{DP}",
                _hdbscan_list_kernel,
                _POINTERS | _LISTS | _SIZES,
                COMPILED_TILE | {"BLOCK_M": BLOCK_M, "DP": DP, "SLOTS": 32},
                num_warps,
                # On sm_80 and sm_100, of 256 features on gfx942; on sm_90 two of these.
                max_spills=160 if DP == 256 else 4,
            ),
        )
    ),
    CompileCase(
        "listed",
        _hdbscan_listed_kernel,
        _LISTS
        | {name: "*fp32" for name in ("x_ptr", "square_ptr", "core_ptr", "reach_ptr")}
        | {"short_ptr": "*i32", "D": "i32", "K": "i32", "KEEP": "i32"},
        {"SLOTS": 32, "ROWS": _ROWS},
    ),
)
