"""Triton kernel of kneighbors: rows as the product wants them, and what their rounding lost.

Idea: a row is centred (or brought to length 1), scaled by a power of two and rounded to float16,
in one trip. What the rounding took away is known exactly, so its norm is kept beside the row's:
a bound from actual residues is several times tighter than one from the format's worst case. A
number that float16 cannot hold is put at its end; the residue says what that costs.

Tiling: [BLOCK_R, BLOCK_D], D in steps. Reads 4 bytes and writes 2 for each element: memory-bound.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase

_LARGEST = tl.constexpr(65504.0)
# Centring, or a scaled length, was rounded to float32 before.
_CENTRED = tl.constexpr(2.0**-24)


@triton.jit
def _kneighbors_prepare_kernel(
    rows_ptr,
    offset_ptr,
    top_ptr,
    half_ptr,
    bias_ptr,
    norm_ptr,
    lost_ptr,
    R,
    D,
    D_PADDED,
    stride_r,
    stride_d,
    COSINE: tl.constexpr,
    SQUARES: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Float16 rows, their norms and lost norms; bias is |row|² or 0, and infinite past R."""
    offs_r = tl.program_id(0).to(tl.int64) * BLOCK_R + tl.arange(0, BLOCK_R)
    offs_d = tl.arange(0, BLOCK_D)
    mask_r = offs_r < R
    rows_ptrs = rows_ptr + offs_r[:, None] * stride_r
    # The power of two that brings the top to 2^7 .. 2^8: float16 holds 2^8 times as much.
    exponent = ((tl.load(top_ptr).to(tl.int32, bitcast=True) >> 23) & 255) - 126
    exponent = 8 - tl.minimum(tl.maximum(exponent, -100), 100)
    scale = ((127 + exponent) << 23).to(tl.float32, bitcast=True)
    scale = scale + tl.zeros([BLOCK_R], dtype=tl.float32)
    if COSINE:
        length = tl.zeros([BLOCK_R], dtype=tl.float32)
        for d in range(0, D, BLOCK_D):
            mask = mask_r[:, None] & (d + offs_d < D)[None, :]
            v = tl.load(rows_ptrs + (d + offs_d)[None, :] * stride_d, mask=mask, other=0.0)
            v = v.to(tl.float32)
            length += tl.sum(v * v, axis=1)
        scale = scale / tl.where(length == 0.0, 1.0, tl.sqrt(length))
    square = tl.zeros([BLOCK_R], dtype=tl.float32)
    lost = tl.zeros([BLOCK_R], dtype=tl.float32)
    for d in range(0, D_PADDED, BLOCK_D):
        mask_d = d + offs_d < D
        mask = mask_r[:, None] & mask_d[None, :]
        v = tl.load(rows_ptrs + (d + offs_d)[None, :] * stride_d, mask=mask, other=0.0)
        v = v.to(tl.float32)  # [BLOCK_R, BLOCK_D]
        v = (v - tl.load(offset_ptr + d + offs_d, mask=mask_d, other=0.0)[None, :]) * scale[:, None]
        v = tl.where(mask, v, 0.0)
        half = tl.minimum(tl.maximum(v, -_LARGEST), _LARGEST).to(tl.float16)
        rest = v - half.to(tl.float32)
        square += tl.sum(v * v, axis=1)
        lost += tl.sum(rest * rest, axis=1)
        tl.store(half_ptr + offs_r[:, None] * D_PADDED + (d + offs_d)[None, :], half)
    norm = tl.sqrt(square)
    bias = square if SQUARES else tl.zeros([BLOCK_R], dtype=tl.float32)
    tl.store(bias_ptr + offs_r, tl.where(mask_r, bias, float("inf")))
    tl.store(norm_ptr + offs_r, norm)
    tl.store(lost_ptr + offs_r, tl.sqrt(lost) + _CENTRED * norm)


_SIGNATURE = {
    **dict.fromkeys(("offset_ptr", "top_ptr", "bias_ptr", "norm_ptr", "lost_ptr"), "*fp32"),
    "half_ptr": "*fp16",
    **dict.fromkeys(("R", "D", "D_PADDED", "stride_r"), "i32"),
}

COMPILE_CASES = tuple(
    CompileCase(
        f"prepare-{dtype}-{'cosine' if cosine else 'centred'}",
        _kneighbors_prepare_kernel,
        {**_SIGNATURE, "rows_ptr": f"*{dtype}"},
        {
            "stride_d": 1,
            "COSINE": cosine,
            "SQUARES": not cosine,
            "BLOCK_R": 32,
            "BLOCK_D": 128,
        },
        multiples_of_16=("D", "D_PADDED", "stride_r"),
    )
    for dtype in ("fp32", "fp16", "bf16")
    for cosine in (False, True)
)
