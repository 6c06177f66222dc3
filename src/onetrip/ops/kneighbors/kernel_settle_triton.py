"""Triton kernel of kneighbors: candidates in exact order.

Idea: a dozen candidates a query are few enough for float64 from the rows as they came, and for
comparing each with each: a candidate's rank is the number of those before it, by value and then
by index. Where a bound let more through than are compared like this, the K-th least is found bit
by bit first. Whoever has more candidates than there is room for is marked and decided elsewhere.

Equal rows must come out equal to the last bit, so products and sums are not fused (launch with
``enable_fp_fusion=False``): which product of a sum the compiler fuses differs from row to row.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _keep_least(candidates_ptr, values_ptr, count, K: tl.constexpr, ROOM: tl.constexpr):
    """Move the K least of `count` candidates, ties by the smallest index, to the front."""
    offs = tl.arange(0, ROOM)
    value = tl.load(values_ptr + offs, mask=offs < count, other=float("inf"))
    index = tl.load(candidates_ptr + offs, mask=offs < count, other=2147483647)
    bits = value.to(tl.int64, bitcast=True)
    # Integers that are ordered as the floats are.
    keys = bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)
    below = tl.sum((keys < 0).to(tl.int32), axis=0)
    kth = tl.where(below < K, 0, -9223372036854775808)
    one = tl.full([], 1, tl.int64)
    for step in range(1, 64):
        trial = kth + (one << (63 - step))
        below = tl.sum((keys < trial).to(tl.int32), axis=0)
        kth = tl.where(below < K, trial, kth)
    ties = keys == kth
    wanted = K - tl.sum((keys < kth).to(tl.int32), axis=0)
    last = tl.full([], 0, tl.int32)
    for step in range(1, 32):
        trial = last + (1 << (31 - step))
        below = tl.sum((ties & (index < trial)).to(tl.int32), axis=0)
        last = tl.where(below < wanted, trial, last)
    kept = (keys < kth) | (ties & (index <= last))
    slot = tl.cumsum(kept.to(tl.int32), 0) - 1
    tl.debug_barrier()
    tl.store(values_ptr + slot, value, mask=kept)
    tl.store(candidates_ptr + slot, index, mask=kept)
    tl.debug_barrier()
    return tl.sum(kept.to(tl.int32), axis=0)


@triton.jit
def _kneighbors_settle_kernel(
    x_ptr,
    y_ptr,
    candidates_ptr,
    found_ptr,
    scratch_ptr,
    values_ptr,
    indices_ptr,
    left_ptr,
    totals_ptr,
    D,
    stride_xq,
    stride_xd,
    stride_yn,
    stride_yd,
    METRIC: tl.constexpr,
    K: tl.constexpr,
    ROOM: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Values and indices [K] of one query, or its mark in `left`; totals of more and of left."""
    query = tl.program_id(0).to(tl.int64)
    found = tl.load(found_ptr + query)
    settled = (found >= K) & (found <= ROOM)
    tl.store(left_ptr + query, (~settled).to(tl.int8))
    tl.atomic_add(totals_ptr, 1, mask=~settled | (found > K))
    tl.atomic_add(totals_ptr + 1, 1, mask=~settled)
    count = tl.where(settled, found, 0)
    offs_c = tl.arange(0, BLOCK_C)
    offs_d = tl.arange(0, BLOCK_D)
    for c in range(0, count, BLOCK_C):
        real = c + offs_c < count
        at = tl.load(candidates_ptr + query * ROOM + c + offs_c, mask=real, other=0)
        y_ptrs = y_ptr + at.to(tl.int64)[:, None] * stride_yn
        total = tl.zeros([BLOCK_C], dtype=tl.float64)
        if METRIC == "cosine":
            x_square = tl.zeros([BLOCK_C], dtype=tl.float64)
            y_square = tl.zeros([BLOCK_C], dtype=tl.float64)
        for d in range(0, D, BLOCK_D):
            mask_d = offs_d < D - d
            x = tl.load(
                x_ptr + query * stride_xq + (d + offs_d) * stride_xd,
                mask=mask_d,
                other=0.0,
            ).to(tl.float64)
            y = tl.load(
                y_ptrs + (d + offs_d)[None, :] * stride_yd,
                mask=real[:, None] & mask_d[None, :],
                other=0.0,
            ).to(tl.float64)  # [BLOCK_C, BLOCK_D]
            if METRIC == "differences":
                apart = y - x[None, :]
                total += tl.sum(apart * apart, axis=1)
            else:
                total -= tl.sum(y * x[None, :], axis=1)
            if METRIC == "cosine":
                x_square += tl.sum(x * x, axis=0)
                y_square += tl.sum(y * y, axis=1)
        if METRIC == "cosine":
            x_length = tl.where(x_square == 0.0, 1.0, tl.sqrt(x_square))
            total = 1.0 + total / (x_length * tl.where(y_square == 0.0, 1.0, tl.sqrt(y_square)))
        tl.store(scratch_ptr + query * ROOM + c + offs_c, total, mask=real)
    tl.debug_barrier()
    if count > WIDTH:
        count = _keep_least(
            candidates_ptr + query * ROOM, scratch_ptr + query * ROOM, count, K, ROOM
        )
    offs = tl.arange(0, WIDTH)
    here = query * ROOM + offs
    value = tl.load(scratch_ptr + here, mask=offs < count, other=float("inf"))
    index = tl.load(candidates_ptr + here, mask=offs < count, other=2147483647)
    rank = tl.zeros([WIDTH], dtype=tl.int32)
    for c in range(0, count, BLOCK_C):
        real = c + offs_c < count
        there = query * ROOM + c + offs_c
        other = tl.load(scratch_ptr + there, mask=real, other=float("inf"))
        number = tl.load(candidates_ptr + there, mask=real, other=2147483647)
        before = (other[None, :] < value[:, None]) | (
            (other[None, :] == value[:, None]) & (number[None, :] < index[:, None])
        )  # [WIDTH, BLOCK_C]
        rank += tl.sum(before.to(tl.int32), axis=1)
    to = query * K + rank
    kept = (offs < count) & (rank < K)
    tl.store(values_ptr + to, value, mask=kept)
    tl.store(indices_ptr + to, index.to(tl.int64), mask=kept)


COMPILE_CASES = tuple(
    CompileCase(
        f"settle-{metric}-{dtype}-{k}",
        _kneighbors_settle_kernel,
        {
            **dict.fromkeys(("x_ptr", "y_ptr"), f"*{dtype}"),
            **dict.fromkeys(("candidates_ptr", "found_ptr", "totals_ptr"), "*i32"),
            "scratch_ptr": "*fp64",
            "values_ptr": "*fp64",
            "indices_ptr": "*i64",
            "left_ptr": "*i8",
            "D": "i32",
            "stride_xq": "i32",
            "stride_yn": "i32",
        },
        {
            "stride_xd": 1,
            "stride_yd": 1,
            "METRIC": metric,
            "K": k,
            "ROOM": 512,
            "WIDTH": width,
            "BLOCK_C": 8,
            "BLOCK_D": 64,
        },
        num_warps=warps,
        # On sm_80, whose assembler gives a program of one warp 128 registers.
        max_spills=8,
        options={"enable_fp_fusion": False},
        multiples_of_16=("D", "stride_xq", "stride_yn"),
    )
    for metric, dtype, k, width, warps in (
        ("differences", "fp32", 10, 32, 1),
        ("differences", "fp32", 64, 128, 4),
        ("differences", "fp16", 10, 32, 1),
        ("differences", "bf16", 10, 32, 1),
        ("cosine", "fp32", 10, 32, 1),
        ("products", "fp32", 10, 32, 1),
    )
)
