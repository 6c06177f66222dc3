"""A Triton kernel with Triton's own autotuner on the first call of each size."""

import torch
import triton
import triton.language as tl


@triton.autotune([triton.Config({"BLOCK": 1024}), triton.Config({"BLOCK": 4096})], key=["N"])
@triton.jit
def _add_kernel(a_ptr, b_ptr, out_ptr, N, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < N
    total = tl.load(a_ptr + offsets, mask=mask) + tl.load(b_ptr + offsets, mask=mask)
    tl.store(out_ptr + offsets, total, mask=mask)


def custom_kernel(data):
    a, b = data
    out = torch.empty_like(a)
    N = a.numel()
    _add_kernel[lambda meta: (triton.cdiv(N, meta["BLOCK"]),)](a, b, out, N)
    return out
