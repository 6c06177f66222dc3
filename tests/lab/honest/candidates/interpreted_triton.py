"""A Triton kernel in Triton's interpreter."""

import os

os.environ["TRITON_INTERPRET"] = "1"

import torch
import triton
import triton.language as tl


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
    _add_kernel[(triton.cdiv(N, 16384),)](a, b, out, N, BLOCK=16384)
    return out
