"""Triton kernel of kmeans: what a search has to know of all rows, by reading them once."""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _kmeans_points_kernel(
    x_ptr, norm_ptr, lost_ptr, totals_ptr, N, D, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr
):
    """Norm of each row, and what eleven significant bits take from it, as a length, from above.

    A program adds up the rows of its stretch: `totals` [programs, D + 2] get the sums of features,
    the sum of squares and the largest norm. A square below 2^-126 may vanish: the caller adds it.
    """
    offs_d = tl.arange(0, BLOCK_D)
    mask_d = offs_d < D
    share = tl.cdiv(tl.cdiv(N, BLOCK_N), tl.num_programs(0)) * BLOCK_N
    first = tl.program_id(0) * share
    # A thread's own sums: sums over rows take threads together, which is done once.
    total = tl.zeros([BLOCK_N, BLOCK_D], tl.float64)
    square = tl.zeros([BLOCK_N], tl.float64)
    largest = tl.zeros([BLOCK_N], tl.float32)
    for start in range(first, tl.minimum(first + share, N), BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask_n = offs_n < N
        place = offs_n.to(tl.int64)[:, None] * D + offs_d[None, :]
        x = tl.load(x_ptr + place, mask=mask_n[:, None] & mask_d[None, :], other=0.0)
        of_rows = tl.sum(x * x, 1)
        norm = tl.sqrt(of_rows)
        # To the nearest with 13 bits less, ties to even: half precision without an end.
        bits = x.to(tl.int32, bitcast=True)
        bits = (bits + 4095 + ((bits >> 13) & 1)) & -8192
        gap = x - bits.to(tl.float32, bitcast=True)  # [BLOCK_N, BLOCK_D]
        lost = tl.sqrt(tl.sum(gap * gap, 1))
        tl.store(norm_ptr + offs_n, norm, mask=mask_n)
        # 1 % for rounding here, and what centring in float32 rounded off.
        tl.store(lost_ptr + offs_n, 1.01 * lost + 2.0**-23 * norm, mask=mask_n)
        total += x.to(tl.float64)
        square += of_rows.to(tl.float64)
        largest = tl.maximum(largest, norm)
    totals_ptr += tl.program_id(0) * (D + 2)
    tl.store(totals_ptr + offs_d, tl.sum(total, 0), mask=mask_d)
    tl.store(totals_ptr + D, tl.sum(square, 0))
    tl.store(totals_ptr + D + 1, tl.max(largest, 0).to(tl.float64))


COMPILE_CASES = tuple(
    CompileCase(
        f"features-{width}",
        _kmeans_points_kernel,
        {
            **dict.fromkeys(("x_ptr", "norm_ptr", "lost_ptr"), "*fp32"),
            "totals_ptr": "*fp64",
            **dict.fromkeys(("N", "D"), "i32"),
        },
        {"BLOCK_N": rows, "BLOCK_D": width},
        multiples_of_16=("D",),
    )
    for width, rows in ((32, 64), (128, 16), (256, 8))
)
