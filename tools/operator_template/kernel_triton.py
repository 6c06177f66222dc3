"""Triton kernels of scaled_relu.

Idea: one program owns a tile of x, multiplies and rectifies it in registers and stores it: x is
read once, y written once, the product is never in memory. The backward pass does the same with
dy, and forms the product again instead of reading which elements passed.

Tiling: [BLOCK_N, BLOCK_D], numbered along a row first, so that programs that run together touch
memory that lies together. Tried: nothing else yet.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.tile.compile_case import CompileCase


@triton.jit
def _scaled_relu_fwd_kernel(
    x_ptr, y_ptr, scale, N, D, stride_xn, stride_xd, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr
):
    blocks_d = tl.cdiv(D, BLOCK_D)
    offs_n = (tl.program_id(0) // blocks_d).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = (tl.program_id(0) % blocks_d).to(tl.int64) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask = (offs_n < N)[:, None] & (offs_d < D)[None, :]
    x_ptrs = x_ptr + offs_n[:, None] * stride_xn + offs_d[None, :] * stride_xd
    x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_D]
    z = x * scale
    # Not a maximum: a NaN passes through, as in torch.
    y = tl.where(z <= 0.0, 0.0, z)
    tl.store(y_ptr + offs_n[:, None] * D + offs_d[None, :], y, mask=mask)


@triton.jit
def _scaled_relu_bwd_dx_kernel(
    dy_ptr,
    x_ptr,
    dx_ptr,
    scale,
    N,
    D,
    stride_dyn,
    stride_dyd,
    stride_xn,
    stride_xd,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    blocks_d = tl.cdiv(D, BLOCK_D)
    offs_n = (tl.program_id(0) // blocks_d).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = (tl.program_id(0) % blocks_d).to(tl.int64) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask = (offs_n < N)[:, None] & (offs_d < D)[None, :]
    x_ptrs = x_ptr + offs_n[:, None] * stride_xn + offs_d[None, :] * stride_xd
    dy_ptrs = dy_ptr + offs_n[:, None] * stride_dyn + offs_d[None, :] * stride_dyd
    x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_D]
    dy = tl.load(dy_ptrs, mask=mask, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_D]
    dx = tl.where(x * scale <= 0.0, 0.0, dy * scale)
    tl.store(dx_ptr + offs_n[:, None] * D + offs_d[None, :], dx, mask=mask)


def _grid(x: Tensor, config: Config) -> tuple[int]:
    N, D = x.shape
    return (triton.cdiv(N, config["BLOCK_N"]) * triton.cdiv(D, config["BLOCK_D"]),)


def scaled_relu_forward(x: Tensor, scale: float, config: Config) -> Tensor:
    """Compute y [N, D] from x [N, D], of any strides."""
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if y.numel():
        with torch.cuda.device_of(x):
            _scaled_relu_fwd_kernel[_grid(x, config)](x, y, scale, *x.shape, *x.stride(), **config)
    return y


def scaled_relu_backward(dy: Tensor, x: Tensor, scale: float, config: Config) -> Tensor:
    """Compute dx [N, D] from dy [N, D] and x [N, D], of any strides."""
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if dx.numel():
        with torch.cuda.device_of(x):
            _scaled_relu_bwd_dx_kernel[_grid(x, config)](
                dy, x, dx, scale, *x.shape, *dy.stride(), *x.stride(), **config
            )
    return dx


_SIZES = {"N": "i32", "D": "i32"}
_TILE = {"BLOCK_N": 4, "BLOCK_D": 256}

COMPILE_CASES = tuple(
    case
    for dtype in ("fp32", "fp16", "bf16")
    for case in (
        CompileCase(
            f"forward-{dtype}",
            _scaled_relu_fwd_kernel,
            {"x_ptr": f"*{dtype}", "y_ptr": f"*{dtype}", "scale": "fp32", **_SIZES}
            | {"stride_xn": "i32"},
            {"stride_xd": 1, **_TILE},
            multiples_of_16=("D", "stride_xn"),
        ),
        CompileCase(
            f"backward-{dtype}",
            _scaled_relu_bwd_dx_kernel,
            {"dy_ptr": f"*{dtype}", "x_ptr": f"*{dtype}", "dx_ptr": f"*{dtype}", "scale": "fp32"}
            | {**_SIZES, "stride_dyn": "i32", "stride_xn": "i32"},
            {"stride_dyd": 1, "stride_xd": 1, **_TILE},
            multiples_of_16=("D", "stride_dyn", "stride_xn"),
        ),
    )
)
