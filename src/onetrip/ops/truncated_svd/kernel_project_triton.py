# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernel of a projection: samples less a mean times components, and the largest sample.

Idea: x is read once, and nothing of its size is written. A program owns BLOCK_N samples: it takes
the mean out of a tile [BLOCK_N, BLOCK_D], splits each number into two of TF32, ``x = high + low``,
and multiplies the halves on tensor cores, ``low high + high low + high high``: 23 bits of each
factor count, as in float32. A tile's product begins at zero: what tensor cores cut off grows with
their running sum. Who reads all samples also learns the largest of them, NaN above all others: a
caller that must refuse such samples needs no trip of its own.

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
# As many as an H100 runs at a time.
_PROGRAMS = 3 * 132


@triton.jit
def _halves(x):
    """`x` rounded to TF32, and what that leaves, as far as it counts."""
    bits = x.to(tl.int32, bitcast=True)
    high = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return high, x - high


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
    stride_wk,
    stride_wd,
    HAS_MEAN: tl.constexpr,
    EVEN_D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    column_blocks = tl.cdiv(K, BLOCK_K)
    tiles = tl.cdiv(N, BLOCK_N) * column_blocks
    steps = tl.cdiv(D, BLOCK_D)
    acc = tl.zeros((BLOCK_N, BLOCK_K), dtype=tl.float32)
    largest = tl.zeros((BLOCK_N, BLOCK_D), dtype=tl.float32)
    tile, step = tl.program_id(0), 0
    # One loop over the steps of all tiles: the next tile is on its way before this one is stored.
    for _ in range(0, tl.cdiv(tiles - tile, tl.num_programs(0)) * steps):
        rows = (tile // column_blocks).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
        cols = tile % column_blocks * BLOCK_K + tl.arange(0, BLOCK_K)
        offs_d = step * BLOCK_D + tl.arange(0, BLOCK_D)
        # Rows and columns beyond the end are the last, again, which takes no mask.
        x_ptrs = x_ptr + tl.minimum(rows, N - 1)[:, None] * stride_xn
        x_ptrs += offs_d[None, :].to(tl.int64) * stride_xd
        w_ptrs = components_ptr + tl.minimum(cols, K - 1)[:, None].to(tl.int64) * stride_wk
        w_ptrs += offs_d[None, :].to(tl.int64) * stride_wd
        if EVEN_D:
            x = tl.load(x_ptrs).to(tl.float32)  # [BLOCK_N, BLOCK_D]
            w = tl.load(w_ptrs)  # [BLOCK_K, BLOCK_D]
        else:
            mask = (offs_d < D)[None, :]
            x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float32)
            w = tl.load(w_ptrs, mask=mask, other=0.0)
        largest = tl.maximum(largest, tl.abs(x), propagate_nan=tl.PropagateNan.ALL)
        if HAS_MEAN:
            x -= tl.load(mean_ptr + offs_d, mask=offs_d < D, other=0.0)[None, :]
        x_high, x_low = _halves(x)
        w_high, w_low = _halves(tl.trans(w))
        block = tl.dot(x_low, w_high, input_precision="tf32")
        block = tl.dot(x_high, w_low, block, input_precision="tf32")
        acc += tl.dot(x_high, w_high, block, input_precision="tf32")
        step += 1
        if step == steps:
            found_ptrs = found_ptr + rows[:, None] * K + cols[None, :]
            tl.store(found_ptrs, acc, mask=(rows < N)[:, None] & (cols < K)[None, :])
            acc = tl.zeros((BLOCK_N, BLOCK_K), dtype=tl.float32)
        tile = tl.where(step == steps, tile + tl.num_programs(0), tile)
        step = tl.where(step == steps, 0, step)
    # As integers, numbers without their sign are in order, infinity and then NaN above all.
    bits = largest.to(tl.int32, bitcast=True) & 0x7FFFFFFF
    tl.atomic_max(largest_ptr, tl.max(tl.max(bits, axis=1), axis=0), sem="relaxed")


def project_in_one_trip(
    x: Tensor, mean: Tensor | None, components: Tensor
) -> tuple[Tensor, Tensor]:
    """``(x - mean) @ componentsᵀ`` [N, K] in float32, and the largest magnitude in x [1].

    Parameters
    ----------
    x : Tensor [N, D], float32 | float16 | bfloat16, any strides
    mean : Tensor [D], float32, or None for zero
    components : Tensor [K, D], float32, any strides
    """
    (N, D), K = x.shape, components.shape[0]
    found = torch.empty(N, K, dtype=torch.float32, device=x.device)
    largest = torch.zeros(1, dtype=torch.int32, device=x.device)
    tile = _tile(K)
    tiles = blocks(N, tile["BLOCK_N"]) * blocks(K, tile["BLOCK_K"])
    if N and K:
        with on_device_of(x):
            launch(
                _truncated_svd_project_kernel,
                (min(tiles, _PROGRAMS),),
                *(x, x if mean is None else mean.contiguous()),
                *(components, found, largest, N, D, K, *x.stride(), *components.stride()),
                HAS_MEAN=mean is not None,
                EVEN_D=D % tile["BLOCK_D"] == 0,
                **tile,
            )
    return found, largest.view(torch.float32)


def _tile(K: int) -> dict[str, int]:
    block_k = min(_MOST_K, max(16, next_power(K)))
    return {**_TILE, "BLOCK_K": block_k}


_POINTERS = ("x_ptr", "mean_ptr", "components_ptr", "found_ptr")
_SIZES = ("N", "D", "K", "stride_xn")
_CASES = {
    "centred": {"HAS_MEAN": True, "EVEN_D": True},
    "ragged": {"HAS_MEAN": True, "EVEN_D": False},
    "bare": {"HAS_MEAN": False, "EVEN_D": True},
}

COMPILE_CASES = tuple(
    CompileCase(
        f"{case}-{columns}",
        _truncated_svd_project_kernel,
        {
            **dict.fromkeys(_POINTERS, "*fp32"),
            "largest_ptr": "*i32",
            **dict.fromkeys(_SIZES, "i32"),
            "stride_wk": "i32",
        },
        {
            "stride_xd": 1,
            "stride_wd": 1,
            **flags,
            **{name: value for name, value in _tile(columns).items() if name.isupper()},
        },
        num_warps=_TILE["num_warps"],
        num_stages=_TILE["num_stages"],
        targets=("sm_80", "sm_90", "sm_100"),
        multiples_of_16=(*_SIZES[1:], "stride_wk"),
    )
    for case, flags in _CASES.items()
    for columns in (32, 64)
)
