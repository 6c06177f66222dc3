"""Kernels for the tests of the compile lane: good ones, and one for each way to be bad."""

import triton
import triton.language as tl
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, tma

from onetrip.tile.compile_case import CompileCase, descriptor_type


@triton.jit
def _exp_kernel(x_ptr, y_ptr, N, BLOCK_N: tl.constexpr):
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    x = tl.load(x_ptr + offs_n, mask=mask_n)  # [BLOCK_N]
    tl.store(y_ptr + offs_n, tl.exp(x), mask=mask_n)


@triton.jit
def _mean_kernel(x_ptr, y_ptr, N, BLOCK_N: tl.constexpr):
    offs_n = tl.arange(0, BLOCK_N)
    x = tl.load(x_ptr + offs_n, mask=offs_n < N, other=0.0)  # [BLOCK_N]
    tl.store(y_ptr, tl.sum(x, 0) / N.to(tl.float32))


@triton.jit
def _product_kernel(x_ptr, w_ptr, y_ptr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr):
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    x = tl.load(x_ptr + offs_n[:, None] * BLOCK_D + offs_d[None, :])  # [BLOCK_N, BLOCK_D]
    w = tl.load(w_ptr + offs_d[:, None] * BLOCK_N + offs_n[None, :])  # [BLOCK_D, BLOCK_N]
    acc = tl.dot(x, w)  # [BLOCK_N, BLOCK_N]
    tl.store(y_ptr + offs_n[:, None] * BLOCK_N + offs_n[None, :], acc)


@gluon.jit
def _gluon_exp_kernel(x_ptr, y_ptr, N, BLOCK_N: gl.constexpr, LAYOUT: gl.constexpr):
    offs_n = gl.program_id(0) * BLOCK_N + gl.arange(0, BLOCK_N, layout=LAYOUT)
    mask_n = offs_n < N
    x = gl.load(x_ptr + offs_n, mask=mask_n)  # [BLOCK_N]
    gl.store(y_ptr + offs_n, gl.exp(x), mask=mask_n)


@gluon.jit
def _gluon_copy_kernel(x_desc, y_desc):
    x = gl.allocate_shared_memory(x_desc.dtype, x_desc.block_type.shape, x_desc.layout)
    ready = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    mbarrier.init(ready, count=1)
    mbarrier.expect(ready, x_desc.block_type.nbytes)
    tma.async_copy_global_to_shared(x_desc, [0, 0], ready, x)
    mbarrier.wait(ready, 0)
    mbarrier.invalidate(ready)
    tma.async_copy_shared_to_global(y_desc, [0, 0], x)
    tma.store_wait(pendings=0)


_SQUARE = descriptor_type(
    "bf16", (64, 64), gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16)
)
_ROWS = {"x_ptr": "*fp32", "y_ptr": "*fp32", "N": "i32"}
_MATRICES = {"x_ptr": "*bf16", "w_ptr": "*bf16", "y_ptr": "*fp32"}

COMPILE_CASES = (
    CompileCase("good", _exp_kernel, _ROWS, {"BLOCK_N": 1024}),
    CompileCase("asks-a-size", _mean_kernel, _ROWS, {"BLOCK_N": 1024}, targets=("sm_90",)),
    CompileCase(
        "good-gluon",
        _gluon_exp_kernel,
        _ROWS,
        {"BLOCK_N": 1024, "LAYOUT": gl.BlockedLayout([4], [32], [4], [0])},
        targets=("sm_90",),
    ),
    CompileCase(
        "descriptors",
        _gluon_copy_kernel,
        {"x_desc": _SQUARE, "y_desc": _SQUARE},
        targets=("sm_90",),
    ),
    # More accumulators than the registers of so few warps can hold.
    CompileCase(
        "spills-nvidia",
        _product_kernel,
        _MATRICES,
        {"BLOCK_N": 128, "BLOCK_D": 32},
        num_warps=1,
        targets=("sm_90",),
    ),
    CompileCase(
        "spills-amd",
        _product_kernel,
        _MATRICES,
        {"BLOCK_N": 256, "BLOCK_D": 16},
        num_warps=2,
        targets=("gfx942",),
    ),
    CompileCase(
        "shared",
        _product_kernel,
        _MATRICES,
        {"BLOCK_N": 64, "BLOCK_D": 64},
        targets=("sm_90", "sm_100"),
        max_shared_bytes={"sm_90": 1024},
    ),
)
