# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernels over rows: the target's logit, and the one kept entry that is the target's."""

import triton
import triton.language as tl

from onetrip.tile.soft_cap import soft_cap


@triton.jit
def _linear_cross_entropy_target_logit_kernel(
    x_ptr,
    w_ptr,
    bias_ptr,
    target_ptr,
    logit_ptr,
    N,
    D,
    stride_xn,
    stride_wv,
    scale,
    cap,
    HAS_BIAS: tl.constexpr,
    CAP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Logit of every row's target in float32; of class 0 where the target is not in this shard."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    mask_n = offs_n < N
    target = tl.maximum(tl.load(target_ptr + offs_n, mask=mask_n, other=0), 0)
    x_ptrs = x_ptr + offs_n.to(tl.int64)[:, None] * stride_xn + offs_d[None, :]
    w_ptrs = w_ptr + target.to(tl.int64)[:, None] * stride_wv + offs_d[None, :]
    acc = tl.zeros([BLOCK_N, BLOCK_D], dtype=tl.float32)
    for d in range(0, D, BLOCK_D):
        mask = mask_n[:, None] & (offs_d < D - d)[None, :]
        x = tl.load(x_ptrs + d, mask=mask, other=0.0).to(tl.float32)
        acc += x * tl.load(w_ptrs + d, mask=mask, other=0.0).to(tl.float32)
    z = tl.sum(acc, axis=1)
    if HAS_BIAS:
        z += tl.load(bias_ptr + target, mask=mask_n, other=0.0).to(tl.float32)
    z *= scale
    if CAP:
        z = soft_cap(z, cap)
    tl.store(logit_ptr + offs_n, z, mask=mask_n)


@triton.jit
def _linear_cross_entropy_patch_kernel(
    kept_ptr,
    target_ptr,
    at_target_ptr,
    N,
    kept,
    stride_keptn,
    BLOCK_N: tl.constexpr,
):
    """Write the target's gradient over the target's kept exponential."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    target = tl.load(target_ptr + offs_n, mask=offs_n < N, other=-1)
    value = tl.load(at_target_ptr + offs_n, mask=offs_n < N, other=0.0)
    mask = (offs_n < N) & (target >= 0) & (target < kept)
    kept_ptrs = kept_ptr + offs_n.to(tl.int64) * stride_keptn + target
    tl.store(kept_ptrs, value.to(kept_ptr.dtype.element_ty), mask=mask)
