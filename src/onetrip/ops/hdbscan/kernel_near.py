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
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.kernel_tiles import (
    CHUNK,
    as_bits,
    at_most,
    computed_at_most,
    differences,
    kth_least,
    lowest_bit,
    near_blocks,
    row_block,
    scores,
)
from onetrip.tile.compile_case import CompileCase

# Tiles read before the bound is taken anew, which costs as much as some ten tiles.
_READ = 24
_ROWS = 32


@triton.jit(do_not_specialize=["N", "blocks", "steps", "KEEP"])
def _hdbscan_reach_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
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
        near = near_blocks(low_ptr, high_ptr, low, high, chunk, wanted, D, blocks, DP, CHUNK)
        bits = as_bits(near, CHUNK)
        while bits != 0:
            block = chunk * CHUNK + lowest_bit(bits)
            bits = bits & (bits - 1)
            least = tl.minimum(least, scores(x_ptr, half, middle, block, N, D, BLOCK_M, DP))
            read += 1
        if read >= READ:
            kth = kth_least(least, KEEP, BLOCK_N)
            wanted = tl.max(at_most(kth + square, norm, D), axis=0)
            read = 0
    kth = kth_least(least, KEEP, BLOCK_N)
    tl.store(reach_ptr + offs_n, at_most(kth + square, norm, D), mask=offs_n < N)


@triton.jit(do_not_specialize=["N", "blocks", "steps"])
def _hdbscan_list_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    reach_ptr,
    count_ptr,
    near_ptr,
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
    pid = tl.program_id(0)
    offs_n = pid * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    low, high, middle, half, square, norm = row_block(x_ptr, tl.minimum(offs_n, N - 1), D, DP)
    reach = tl.load(reach_ptr + offs_n, mask=mask_n, other=0.0)
    wanted = tl.max(reach, axis=0)
    cut = tl.where(mask_n, computed_at_most(reach, norm, D) - square, float("-inf"))
    counter = count_ptr + offs_n[:, None] + tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.int32)
    slots = near_ptr + tl.cast(offs_n, tl.int64)[:, None] * SLOTS
    own = pid * BLOCK_N // (BLOCK_M * CHUNK)
    for step in range(0, steps):
        chunk = own ^ step
        near = near_blocks(low_ptr, high_ptr, low, high, chunk, wanted, D, blocks, DP, CHUNK)
        bits = as_bits(near, CHUNK)
        while bits != 0:
            block = chunk * CHUNK + lowest_bit(bits)
            bits = bits & (bits - 1)
            hit = scores(x_ptr, half, middle, block, N, D, BLOCK_M, DP) <= cut[:, None]
            if tl.max(tl.max(hit.to(tl.int32), axis=1), axis=0) > 0:
                offs_m = block * BLOCK_M + tl.arange(0, BLOCK_M)
                column = offs_m[None, :] + tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.int32)
                slot = tl.atomic_add(counter, 1, mask=hit, sem="relaxed")
                tl.store(slots + slot, column, mask=hit & (slot < SLOTS))


@triton.jit(do_not_specialize=["N", "K"])
def _hdbscan_listed_kernel(
    x_ptr,
    count_ptr,
    near_ptr,
    square_ptr,
    core_ptr,
    short_ptr,
    N,
    D,
    K,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    slots = tl.arange(0, SLOTS)
    count = tl.load(count_ptr + rows, mask=rows < N, other=0)
    listed = slots[None, :] < count[:, None]
    at = tl.cast(rows, tl.int64)[:, None] * SLOTS + slots[None, :]
    column = tl.load(near_ptr + at, mask=listed, other=0)
    row = tl.minimum(rows, N - 1)[:, None] + tl.zeros([ROWS, SLOTS], dtype=tl.int32)
    square = differences(x_ptr, row, column, listed, D)
    square = tl.where(listed, square, float("inf"))
    inside = (rows < N)[:, None]
    tl.store(square_ptr + at, square, mask=inside & (slots >= 0)[None, :])
    tl.store(near_ptr + at, row, mask=inside & (listed == 0))
    tl.store(core_ptr + rows, kth_least(square, K, ROWS), mask=rows < N)
    short = tl.sum((count > SLOTS).to(tl.int32), axis=0)
    tl.atomic_add(short_ptr, short, mask=short > 0, sem="relaxed")


class Near:
    """Near points of every place: all within `reach`, unless a list is too short.

    `place` [N, SLOTS] int32 and `square` [N, SLOTS] float32, a row's own place and infinity where
    it has fewer; `core` [N]; `reach` [N], everything that is not listed is farther (squared);
    `short`, how many lists do not hold everything, whose reach is minus infinity.
    """

    def __init__(
        self, x: Tensor, low: Tensor, high: Tensor, K: int, extra: int, config: Config
    ) -> None:
        N, D = x.shape
        blocks = low.shape[0]
        keep = min(K + extra, N)
        slots = triton.next_power_of_2(2 * keep)
        sizes = {"CHUNK": CHUNK, "DP": padded_features(D), **config}
        programs = (triton.cdiv(N, config["BLOCK_N"]),)
        steps = triton.next_power_of_2(triton.cdiv(blocks, CHUNK))
        self.reach = torch.empty(N, dtype=torch.float32, device=x.device)
        self.core = torch.empty_like(self.reach)
        self.place = torch.empty(N, slots, dtype=torch.int32, device=x.device)
        self.square = torch.empty(N, slots, dtype=torch.float32, device=x.device)
        count = torch.zeros(N + 1, dtype=torch.int32, device=x.device)
        with torch.cuda.device_of(x):
            _hdbscan_reach_kernel[programs](
                x, low, high, self.reach, N, D, blocks, steps, keep, READ=_READ, **sizes
            )
            _hdbscan_list_kernel[programs](
                x, low, high, self.reach, count, self.place, N, D, blocks, steps, SLOTS=slots,
                **sizes,
            )  # fmt: skip
            _hdbscan_listed_kernel[(triton.cdiv(N, _ROWS),)](
                x, count, self.place, self.square, self.core, count[N:], N, D, min(K, N),
                SLOTS=slots, ROWS=_ROWS,
            )  # fmt: skip
        self.short = int(count[N])
        if self.short:
            self.reach.masked_fill_(count[:N] > slots, -torch.inf)


def padded_features(D: int) -> int:
    """Features of a tile: a product of tensor cores takes at least 16."""
    return max(16, triton.next_power_of_2(D))


_SIZES = {name: "i32" for name in ("N", "D", "blocks", "steps")}
_POINTERS = {name: "*fp32" for name in ("x_ptr", "low_ptr", "high_ptr", "reach_ptr")}
_TILE = {"CHUNK": CHUNK, "BLOCK_N": 64, "BLOCK_M": 64}

COMPILE_CASES = (
    *(
        case
        for DP in (16, 32, 64)
        for case in (
            CompileCase(
                f"reach-{DP}",
                _hdbscan_reach_kernel,
                _POINTERS | _SIZES | {"KEEP": "i32"},
                _TILE | {"DP": DP, "READ": _READ},
            ),
            CompileCase(
                f"list-{DP}",
                _hdbscan_list_kernel,
                _POINTERS | {"count_ptr": "*i32", "near_ptr": "*i32"} | _SIZES,
                _TILE | {"DP": DP, "SLOTS": 32},
            ),
        )
    ),
    CompileCase(
        "listed",
        _hdbscan_listed_kernel,
        {name: "*i32" for name in ("count_ptr", "near_ptr", "short_ptr")}
        | {name: "*fp32" for name in ("x_ptr", "square_ptr", "core_ptr")}
        | {name: "i32" for name in ("N", "D", "K")},
        {"SLOTS": 32, "ROWS": _ROWS},
    ),
)
