"""Triton kernel of truncated_svd: the Gram matrix of a tall or wide matrix, and its sums.

Idea: the smaller side of x has S elements, the longer one L. One program owns a tile
[BLOCK_S, BLOCK_S] of the Gram matrix on or above the diagonal and a part of the longer side. It
reads two slabs of x, takes out the mean, and multiplies them in float64, which the tensor cores
of an A100 and an H100 do as fast as float32 without them (60 of 51 TFLOP/s): the square of x
needs it, since half of the digits of a small singular value sit below float32's. Parts are added
by torch in a fixed order, so two runs are bit-equal.

Tiling: programs of one part run together, so its slab is read from memory once and from the
second-level cache S / BLOCK_S times. Predicted on an H100 for 1,000,000 x 256: 66 GFLOP, 1.1 ms;
the bytes take 0.3 ms. Not measured yet. Products of TF32 in three parts would take half of that
and give float32 digits of the square, which is not enough to skip the correction.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.truncated_svd.moments import Moments
from onetrip.tile.compile_case import CompileCase


@triton.jit
def _truncated_svd_gram_kernel(
    x_ptr,
    shift_ptr,
    gram_ptr,
    sums_ptr,
    L,
    S,
    stride_xl,
    stride_xs,
    lines_per_part,
    SHIFT_BY_LINE: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    pid_row, pid_col, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    if pid_col < pid_row:
        return
    rows = pid_row * BLOCK_S + tl.arange(0, BLOCK_S)
    cols = pid_col * BLOCK_S + tl.arange(0, BLOCK_S)
    mask_rows, mask_cols = rows < S, cols < S
    acc = tl.zeros((BLOCK_S, BLOCK_S), dtype=tl.float64)
    sums = tl.zeros((BLOCK_S,), dtype=tl.float64)
    begin = part.to(tl.int64) * lines_per_part
    for step in range(0, lines_per_part, BLOCK_N):
        lines = begin + step + tl.arange(0, BLOCK_N)
        mask_lines = lines < L
        mask_a = mask_lines[:, None] & mask_rows[None, :]
        mask_b = mask_lines[:, None] & mask_cols[None, :]
        line_ptrs = x_ptr + lines[:, None] * stride_xl
        a = tl.load(line_ptrs + rows[None, :].to(tl.int64) * stride_xs, mask=mask_a, other=0.0)
        b = tl.load(line_ptrs + cols[None, :].to(tl.int64) * stride_xs, mask=mask_b, other=0.0)
        if SHIFT_BY_LINE:
            shift = tl.load(shift_ptr + lines, mask=mask_lines, other=0.0)  # [BLOCK_N]
            shift_a, shift_b = shift[:, None], shift[:, None]
        else:
            shift_a = tl.load(shift_ptr + rows, mask=mask_rows, other=0.0)[None, :]
            shift_b = tl.load(shift_ptr + cols, mask=mask_cols, other=0.0)[None, :]
        a = tl.where(mask_a, a.to(tl.float64) - shift_a, 0.0)  # [BLOCK_N, BLOCK_S]
        b = tl.where(mask_b, b.to(tl.float64) - shift_b, 0.0)  # [BLOCK_N, BLOCK_S]
        sums += tl.sum(a, axis=0)
        acc = tl.dot(tl.trans(a), b, acc, out_dtype=tl.float64)
    gram_ptrs = gram_ptr + (part.to(tl.int64) * S + rows[:, None]) * S + cols[None, :]
    tl.store(gram_ptrs, acc, mask=mask_rows[:, None] & mask_cols[None, :])
    if pid_col == pid_row:
        tl.store(sums_ptr + part * S + rows, sums, mask=mask_rows)


def gram_moments(x: Tensor, center: bool, config: Config) -> Moments:
    """Gram matrix of the smaller side of x [N, D], its mean and its variance."""
    N, D = x.shape
    if N < D:
        mean = x.mean(0, dtype=torch.float64)  # [D]
        gram, _ = _gram(x.T, mean if center else torch.zeros_like(mean), True, config)
        total = gram.trace()
        if not center:
            total = total - N * mean.square().sum()
        return Moments(gram, mean, total.clamp_min(0.0))
    shift = torch.zeros(D, dtype=torch.float64, device=x.device)
    if center:
        # A provisional mean, so that taking out the true one afterwards cancels nothing.
        shift = x[: config["BLOCK_N"]].mean(0, dtype=torch.float64)
    gram, sums = _gram(x, shift, False, config)
    total = gram.trace() - sums.square().sum() / N
    if center:
        gram.addr_(sums, sums, alpha=-1.0 / N)
    return Moments(gram, shift + sums / N, total.clamp_min(0.0))


def _gram(x: Tensor, shift: Tensor, by_line: bool, config: Config) -> tuple[Tensor, Tensor]:
    """``(x - shift)ᵀ (x - shift)`` [S, S] and the sums [S] of x [L, S], of any strides."""
    L, S = x.shape
    tiles = triton.cdiv(S, config["BLOCK_S"])
    parts = min(config["parts"], triton.cdiv(L, config["BLOCK_N"]))
    lines_per_part = triton.cdiv(triton.cdiv(L, parts), config["BLOCK_N"]) * config["BLOCK_N"]
    parts = triton.cdiv(L, lines_per_part)
    # Tiles below the diagonal are not written: they stay zero.
    gram = torch.zeros(parts, S, S, dtype=torch.float64, device=x.device)
    sums = torch.empty(parts, S, dtype=torch.float64, device=x.device)
    with torch.cuda.device_of(x):
        _truncated_svd_gram_kernel[(tiles, tiles, parts)](
            x,
            shift,
            gram,
            sums,
            L,
            S,
            *x.stride(),
            lines_per_part,
            SHIFT_BY_LINE=by_line,
            BLOCK_N=config["BLOCK_N"],
            BLOCK_S=config["BLOCK_S"],
            num_warps=config["num_warps"],
        )
    upper = gram.sum(0).triu_()
    return upper + upper.triu(1).T, sums.sum(0)


COMPILE_CASES = tuple(
    CompileCase(
        f"{side}-{dtype}",
        _truncated_svd_gram_kernel,
        {"x_ptr": f"*{dtype}", "shift_ptr": "*fp64", "gram_ptr": "*fp64", "sums_ptr": "*fp64"}
        | {"L": "i32", "S": "i32", long: "i32", "lines_per_part": "i32"},
        {short: 1, "SHIFT_BY_LINE": side == "wide", "BLOCK_N": 16, "BLOCK_S": 64},
        # Triton 3.6 stops with an error on float64 products for sm_100 and gfx942, and on those
        # of operands widened from half precision.
        targets=("sm_80", "sm_90"),
        multiples_of_16=("S", long, "lines_per_part"),
    )
    for side, long, short in (
        ("tall", "stride_xl", "stride_xs"),
        ("wide", "stride_xs", "stride_xl"),
    )
    for dtype in ("fp32", "fp64")
)
