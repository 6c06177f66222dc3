"""Triton kernel of kneighbors: candidates in exact order.

Idea: a dozen candidates a query are few enough for float64 from the rows as they came, and for
comparing each with each: a candidate's rank is the number of those before it, by value and then
by index. Whoever has more candidates than there is room for is marked and decided elsewhere.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


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
    CAPACITY: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Values and indices [K] of one query, or its mark in `left`; totals of more and of left."""
    query = tl.program_id(0).to(tl.int64)
    found = tl.load(found_ptr + query)
    settled = (found >= K) & (found <= CAPACITY)
    tl.store(left_ptr + query, (~settled).to(tl.int8))
    tl.atomic_add(totals_ptr, 1, mask=~settled | (found > K))
    tl.atomic_add(totals_ptr + 1, 1, mask=~settled)
    count = tl.where(settled, found, 0)
    offs_c = tl.arange(0, BLOCK_C)
    offs_d = tl.arange(0, BLOCK_D)
    for c in range(0, count, BLOCK_C):
        real = c + offs_c < count
        at = tl.load(candidates_ptr + query * CAPACITY + c + offs_c, mask=real, other=0)
        y_ptrs = y_ptr + at.to(tl.int64)[:, None] * stride_yn
        total = tl.zeros([BLOCK_C], dtype=tl.float64)
        if METRIC == "cosine":
            x_square = tl.zeros([BLOCK_C], dtype=tl.float64)
            y_square = tl.zeros([BLOCK_C], dtype=tl.float64)
        for d in range(0, D, BLOCK_D):
            mask_d = offs_d < D - d
            x = tl.load(
                x_ptr + query * stride_xq + (d + offs_d) * stride_xd, mask=mask_d, other=0.0
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
        tl.store(scratch_ptr + query * CAPACITY + c + offs_c, total, mask=real)
    tl.debug_barrier()
    # The same candidates as a column and as a row.
    offs = tl.arange(0, CAPACITY)
    at = query * CAPACITY + offs
    value = tl.load(scratch_ptr + at, mask=offs < count, other=float("inf"))
    index = tl.load(candidates_ptr + at, mask=offs < count, other=2147483647)
    before = (value[None, :] < value[:, None]) | (
        (value[None, :] == value[:, None]) & (index[None, :] < index[:, None])
    )
    rank = tl.sum(before.to(tl.int32), axis=1)
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
            **{"scratch_ptr": "*fp64", "values_ptr": "*fp64", "indices_ptr": "*i64"},
            **{"left_ptr": "*i8", "D": "i32", "stride_xq": "i32", "stride_yn": "i32"},
        },
        {
            **{"stride_xd": 1, "stride_yd": 1, "METRIC": metric, "K": k},
            **{"CAPACITY": capacity, "BLOCK_C": 8, "BLOCK_D": 64},
        },
        num_warps=warps,
        multiples_of_16=("D", "stride_xq", "stride_yn"),
    )
    for metric, dtype, k, capacity, warps in (
        ("differences", "fp32", 10, 32, 1),
        ("differences", "fp32", 64, 128, 4),
        ("differences", "fp16", 10, 32, 1),
        ("differences", "bf16", 10, 32, 1),
        ("cosine", "fp32", 10, 32, 1),
        ("products", "fp32", 10, 32, 1),
    )
)
