"""Triton kernel of kmeans: distances of all rows to all centres, for those who ask for them.

Idea: a tile of squares is ``|x|² - 2 x·c + |c|²`` in float64, whose products run on the tensor
cores that have float64. Where a square is tiny beside the norms, these have lost its digits: the
program that holds the tile takes those pairs anew, by differences, before it stores the roots.
Float64 never leaves the chip.
"""

import triton
import triton.language as tl

from onetrip.ops.kmeans.kernel_resolve_triton import _square
from onetrip.tile.compile_case import CompileCase


@triton.jit
def _kmeans_distances_kernel(
    x_ptr, centers_ptr, offset_ptr, wide_ptr, square_ptr, out_ptr, tiny, N, K, D,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """Roots of squares; one that is at most `tiny` of the squared norms is taken anew.

    `wide` [K, D], float64, are the centres less the offset, of `square` [K].
    """
    NONE: tl.constexpr = 2147483647
    # Neighbours share rows, which are more than the centres.
    tiles = tl.cdiv(K, BLOCK_K)
    offs_n = tl.program_id(0) // tiles * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_k = tl.program_id(0) % tiles * BLOCK_K + tl.arange(0, BLOCK_K)
    mask_n = offs_n < N
    mask_k = offs_k < K
    rows = offs_n.to(tl.int64)
    product = tl.zeros([BLOCK_N, BLOCK_K], tl.float64)
    # A thread's own: sums over features take threads together, which is done once.
    of_features = tl.zeros([BLOCK_N, BLOCK_D], tl.float64)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask_d = offs_d < D
        mask = mask_n[:, None] & mask_d[None, :]
        offset = tl.load(offset_ptr + offs_d, mask=mask_d, other=0.0)
        x = tl.load(x_ptr + rows[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
        x = x.to(tl.float64) - offset[None, :]  # [BLOCK_N, BLOCK_D]
        place = offs_k.to(tl.int64)[None, :] * D + offs_d[:, None]
        c = tl.load(wide_ptr + place, mask=mask_d[:, None] & mask_k[None, :], other=0.0)
        product = tl.dot(x, c, product, out_dtype=tl.float64)  # [BLOCK_N, BLOCK_K]
        of_features += x * x
    of_columns = tl.load(square_ptr + offs_k, mask=mask_k, other=0.0)
    length = tl.sum(of_features, 1)[:, None] + of_columns[None, :]
    square = length - 2.0 * product
    # Not "is within": a square that is not a number is taken anew.
    lost = mask_n[:, None] & mask_k[None, :] & ((square > tiny * length) == 0)
    column = tl.min(tl.where(lost, offs_k[None, :], NONE), 1)
    while tl.min(column, 0) < NONE:
        has = column < NONE
        anew = tl.zeros([BLOCK_N], tl.float64)
        for start_d in range(0, D, BLOCK_M):
            offs_m = start_d + tl.arange(0, BLOCK_M)
            mask = has[:, None] & (offs_m < D)[None, :]
            x = tl.load(x_ptr + rows[:, None] * D + offs_m[None, :], mask=mask, other=0.0)
            anew += _square(x, centers_ptr, column, offs_m, D, mask)
        mine = offs_k[None, :] == column[:, None]
        square = tl.where(mine, anew[:, None], square)
        lost &= mine == 0
        column = tl.min(tl.where(lost, offs_k[None, :], NONE), 1)
    place = rows[:, None] * K + offs_k[None, :]
    out = tl.sqrt(square).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + place, out, mask=mask_n[:, None] & mask_k[None, :])


_SIGNATURE = {
    **dict.fromkeys(("x_ptr", "centers_ptr", "out_ptr"), "*fp32"),
    **dict.fromkeys(("offset_ptr", "wide_ptr", "square_ptr"), "*fp64"),
    "tiny": "fp32",
    **dict.fromkeys(("N", "K", "D"), "i32"),
}

# Triton 3.6 fails where it has no products of float64.
COMPILE_CASES = (
    CompileCase(
        "float32",
        _kmeans_distances_kernel,
        _SIGNATURE,
        {"BLOCK_N": 64, "BLOCK_K": 128, "BLOCK_D": 16, "BLOCK_M": 32},
        num_warps=8,
        num_stages=3,
        targets=("sm_80", "sm_90"),
        multiples_of_16=("K", "D"),
    ),
)
