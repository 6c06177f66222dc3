# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernel that turns what the forward pass kept of the logits into their gradients."""

import triton
import triton.language as tl

from onetrip.ops.linear_cross_entropy.kernel_triton import BASE_UNIT, LOG2E, gradient
from onetrip.tile.compile_case import CompileCase


@triton.jit
def _linear_cross_entropy_finish_kernel(
    kept_ptr,
    base_ptr,
    out_ptr,
    class_weight_ptr,
    target_ptr,
    ref_ptr,
    coefficients_ptr,
    N,
    V,
    col_start,
    width,
    stride_keptn,
    stride_outn,
    cap,
    STORED_LOGITS: tl.constexpr,
    TILE: tl.constexpr,
    CAP: tl.constexpr,
    ENTROPY: tl.constexpr,
    SMOOTHING: tl.constexpr,
    HAS_CLASS_WEIGHT: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_V: tl.constexpr,
):
    """Turn what the forward pass kept of columns [col_start, col_start + width) into gradients."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_c = tl.program_id(1) * BLOCK_V + tl.arange(0, BLOCK_V)
    mask_n = offs_n < N
    mask = mask_n[:, None] & (offs_c < width)[None, :]
    kept_ptrs = kept_ptr + offs_n.to(tl.int64)[:, None] * stride_keptn + offs_c[None, :]
    stored = tl.load(kept_ptrs, mask=mask, other=0.0).to(tl.float32)
    if STORED_LOGITS:
        tiles = ((col_start + offs_c) // TILE).to(tl.int64)
        base = tl.load(base_ptr + tiles[None, :] * N + offs_n[:, None], mask=mask, other=0.0)
        z = stored + base.to(tl.float32) * BASE_UNIT
    else:
        ref = tl.load(ref_ptr + offs_n, mask=mask_n, other=0.0)
        z = tl.where(stored > 0, tl.log2(stored) / LOG2E, float("-inf")) + ref[:, None]
    g = gradient(
        z, offs_n, col_start + offs_c, coefficients_ptr, class_weight_ptr, target_ptr, cap, N, V,
        CAP, ENTROPY, SMOOTHING, HAS_CLASS_WEIGHT,
    )  # fmt: skip
    out_ptrs = out_ptr + offs_n.to(tl.int64)[:, None] * stride_outn + offs_c[None, :]
    tl.store(out_ptrs, g.to(out_ptr.dtype.element_ty), mask=mask)


_SIGNATURE = {
    "kept_ptr": "*bf16", "base_ptr": "*bf16", "out_ptr": "*bf16", "class_weight_ptr": "*fp32",
    "target_ptr": "*i32", "ref_ptr": "*fp32", "coefficients_ptr": "*fp32", "N": "i32", "V": "i32",
    "col_start": "i32", "width": "i32", "stride_keptn": "i32", "stride_outn": "i32", "cap": "fp32",
}  # fmt: skip


def _case(name: str, dtype: str, flags: dict[str, bool]) -> CompileCase:
    return CompileCase(
        name,
        _linear_cross_entropy_finish_kernel,
        {key: kind.replace("bf16", dtype) for key, kind in _SIGNATURE.items()},
        {**flags, "TILE": 128, "BLOCK_N": 8, "BLOCK_V": 512},
        # All of them scalar registers, on AMD.
        max_spills=64,
    )


_EVERYTHING = dict.fromkeys(("CAP", "ENTROPY", "SMOOTHING", "HAS_CLASS_WEIGHT"), True)
COMPILE_CASES = (
    _case("exponentials", "bf16", {**_EVERYTHING, "STORED_LOGITS": False}),
    _case("logits", "fp16", {**_EVERYTHING, "STORED_LOGITS": True}),
)
