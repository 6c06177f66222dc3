"""The smallest kernel: does Triton compile here, and does what it compiles run?"""

from typing import Any

import torch
import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _double_kernel(x_ptr, y_ptr, N, BLOCK_N: tl.constexpr):
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    tl.store(y_ptr + offs_n, 2 * tl.load(x_ptr + offs_n, mask=mask_n), mask=mask_n)


CASE = CompileCase(
    "double", _double_kernel, {"x_ptr": "*fp32", "y_ptr": "*fp32", "N": "i32"}, {"BLOCK_N": 128}
)


def doubles_on(device: str | torch.device) -> bool:
    """Whether the kernel's result is right on `device`."""
    x = torch.arange(1000, dtype=torch.float32, device=device)
    y = torch.full_like(x, float("nan"))
    block_n: Any = 128
    _double_kernel[(triton.cdiv(x.numel(), block_n),)](x, y, x.numel(), BLOCK_N=block_n)
    return torch.equal(y, 2 * x)
