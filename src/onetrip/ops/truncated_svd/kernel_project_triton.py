# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernel of a projection: samples less a mean times components, and the largest sample.

Idea: x is read once, and nothing of its size is written. A program owns BLOCK_N samples: it takes
the mean out of a tile [BLOCK_N, BLOCK_D], splits each number into two of TF32 and multiplies the
halves on tensor cores, which leaves about the accuracy of float32. A tile's product begins at
zero: what tensor cores cut off grows with their running sum. Plain float32 products would take as
long as the bytes of 32 components. Whoever reads all samples also learns the largest of them, NaN
above all others: a caller that must refuse such samples needs no trip of its own.

More components than BLOCK_K are other programs', neighbours that find the samples in cache.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.ops.truncated_svd.kernel_triton import on_device_of
from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch, next_power

_TILE = {"BLOCK_N": 64, "BLOCK_D": 32, "num_warps": 4, "num_stages": 3}
_MOST_K = 64


@triton.jit
def _truncated_svd_project_kernel(
    x_ptr,
    mean_ptr,
    components_ptr,
    found_ptr,
    largest_ptr,
    N,
    D,
    K,
    stride_xn,
    stride_xd,
    HAS_MEAN: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    pid_n, pid_k = tl.program_id(0), tl.program_id(1)
    rows = pid_n.to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    cols = pid_k * BLOCK_K + tl.arange(0, BLOCK_K)
    mask_n, mask_k = rows < N, cols < K
    acc = tl.zeros((BLOCK_N, BLOCK_K), dtype=tl.float32)
    largest = tl.zeros((BLOCK_N, BLOCK_D), dtype=tl.int32)
    for first in range(0, D, BLOCK_D):
        offs_d = first + tl.arange(0, BLOCK_D)
        mask_d = offs_d < D
        x_ptrs = x_ptr + rows[:, None] * stride_xn + offs_d[None, :].to(tl.int64) * stride_xd
        mask = mask_n[:, None] & mask_d[None, :]
        x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_D]
        # As integers, numbers without their sign are in order, infinity and then NaN above all.
        largest = tl.maximum(largest, x.to(tl.int32, bitcast=True) & 0x7FFFFFFF)
        if HAS_MEAN:
            x -= tl.load(mean_ptr + offs_d, mask=mask_d, other=0.0)[None, :]
        w_ptrs = components_ptr + cols[:, None].to(tl.int64) * D + offs_d[None, :]
        w = tl.load(w_ptrs, mask=mask_k[:, None] & mask_d[None, :], other=0.0)  # [BLOCK_K, BLOCK_D]
        acc += tl.dot(x, tl.trans(w), input_precision="tf32x3")
    found_ptrs = found_ptr + rows[:, None] * K + cols[None, :]
    tl.store(found_ptrs, acc, mask=mask_n[:, None] & mask_k[None, :])
    if pid_k == 0:
        tl.atomic_max(largest_ptr, tl.max(tl.max(largest, axis=1), axis=0), sem="relaxed")


def project_in_one_trip(
    x: Tensor, mean: Tensor | None, components: Tensor
) -> tuple[Tensor, Tensor]:
    """``(x - mean) @ componentsᵀ`` [N, K] in float32, and the largest magnitude in x [1].

    Parameters
    ----------
    x : Tensor [N, D], float32 | float16 | bfloat16, any strides
    mean : Tensor [D], float32, or None for zero
    components : Tensor [K, D], float32
    """
    (N, D), K = x.shape, components.shape[0]
    found = torch.empty(N, K, dtype=torch.float32, device=x.device)
    largest = torch.zeros(1, dtype=torch.int32, device=x.device)
    tile = _tile(K)
    grid = (blocks(N, tile["BLOCK_N"]), blocks(K, tile["BLOCK_K"]))
    components = components.contiguous()
    if N and K:
        with on_device_of(x):
            launch(
                _truncated_svd_project_kernel,
                grid,
                *(x, components if mean is None else mean.contiguous(), components),
                *(found, largest, N, D, K, *x.stride()),
                HAS_MEAN=mean is not None,
                **tile,
            )
    return found, largest.view(torch.float32)


def _tile(K: int) -> dict[str, int]:
    block_k = min(_MOST_K, max(16, next_power(K)))
    return {**_TILE, "BLOCK_K": block_k}


_MATRICES = {"x_ptr": "*fp32", "components_ptr": "*fp32", "found_ptr": "*fp32"}
_SIZES = {"largest_ptr": "*i32", "N": "i32", "D": "i32", "K": "i32", "stride_xn": "i32"}

COMPILE_CASES = tuple(
    CompileCase(
        f"{'centred-' if centred else ''}{components}",
        _truncated_svd_project_kernel,
        {**_MATRICES, "mean_ptr": "*fp32", **_SIZES},
        {
            "stride_xd": 1,
            "HAS_MEAN": centred,
            **{name: value for name, value in _tile(components).items() if name.isupper()},
        },
        num_warps=_TILE["num_warps"],
        num_stages=_TILE["num_stages"],
        targets=("sm_80", "sm_90", "sm_100"),
        multiples_of_16=("D", "K", "stride_xn"),
    )
    for centred in (False, True)
    for components in (32, 64)
)
