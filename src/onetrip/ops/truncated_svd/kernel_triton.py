# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernel of truncated_svd: the Gram matrix of a tall or wide matrix, and its sums.

Idea: the smaller side of x has S elements, the longer one L. One program owns a tile
[BLOCK_S, BLOCK_S] of the Gram matrix on or above the diagonal and a part of the longer side. It
reads two slabs of x, takes out a shift, and splits each number into two of float16, ``x = high +
low``, of 22 significant bits together; columns are scaled by powers of two first, so that neither
end of float16's range is near. Three products of the halves run on tensor cores at float16's full
rate. They are exact; sums of BLOCK_N of them are float32, and sums of those are added to float64
every FLUSH blocks. An entry is right to about `SPLIT_UNIT` of the lengths of its two columns:
`solve.py` decides from the result whether that is enough, and takes the trip again in float64
where it is not. Sums of columns are products of the halves with ones, so that no program waits
for its warps to add up theirs.

Tiling: programs of one part run together, so its slab is read from memory once and from the
second-level cache S / BLOCK_S times. A program adds to its own tile of its own part, and torch
adds the parts in order: two runs are bit-equal.
"""

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.truncated_svd.kernel_moments_triton import (
    FINISH,
    PREPARE,
    SUMS,
    _truncated_svd_finish_kernel,
    _truncated_svd_prepare_kernel,
    _truncated_svd_sums_kernel,
    scale_of,
)
from onetrip.ops.truncated_svd.moments import SPLIT_UNIT, Moments
from onetrip.ops.truncated_svd.plan import gram_parts
from onetrip.tile.compile_case import CompileCase

# Programs that sum columns, some for each multiprocessor.
_SUM_PROGRAMS = 1056
# Rows that tell the mean and the spread of a column beforehand, roughly.
_SAMPLE = 256


@triton.jit
def _halves(x):
    """`x` as a float16 and what it leaves, as a float16."""
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def _truncated_svd_gram_kernel(
    x_ptr,
    shift_ptr,
    spread_ptr,
    widest_ptr,
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
    FLUSH: tl.constexpr,
):
    pid_row, pid_col, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    if pid_col < pid_row:
        return
    rows = pid_row * BLOCK_S + tl.arange(0, BLOCK_S)
    cols = pid_col * BLOCK_S + tl.arange(0, BLOCK_S)
    mask_rows, mask_cols = rows < S, cols < S
    widest = tl.load(widest_ptr)
    spread_a = tl.load(spread_ptr + rows, mask=mask_rows, other=1.0)
    spread_b = tl.load(spread_ptr + cols, mask=mask_cols, other=1.0)
    scale_a = scale_of(spread_a, widest)[None, :]
    scale_b = scale_of(spread_b, widest)[None, :]
    if not SHIFT_BY_LINE:
        shift_a = tl.load(shift_ptr + rows, mask=mask_rows, other=0.0)[None, :]
        shift_b = tl.load(shift_ptr + cols, mask=mask_cols, other=0.0)[None, :]
    part = part.to(tl.int64)
    gram_ptrs = gram_ptr + (part * S + rows[:, None]) * S + cols[None, :]
    mask_gram = mask_rows[:, None] & mask_cols[None, :]
    on_diagonal = pid_col == pid_row
    begin = part * lines_per_part
    end = tl.minimum(begin + lines_per_part, L)
    ones = tl.full((BLOCK_N, 16), 1.0, dtype=tl.float16)
    for first in range(begin, end, FLUSH * BLOCK_N):
        acc = tl.zeros((BLOCK_S, BLOCK_S), dtype=tl.float32)
        sums = tl.zeros((BLOCK_S, 16), dtype=tl.float32)  # the same 16 times
        last = tl.minimum(first + FLUSH * BLOCK_N, end)
        for line in range(first, last, BLOCK_N):
            lines = line + tl.arange(0, BLOCK_N)
            mask_lines = lines < last
            line_ptrs = x_ptr + lines[:, None].to(tl.int64) * stride_xl
            mask_a = mask_lines[:, None] & mask_rows[None, :]
            mask_b = mask_lines[:, None] & mask_cols[None, :]
            a_ptrs = line_ptrs + rows[None, :].to(tl.int64) * stride_xs
            b_ptrs = line_ptrs + cols[None, :].to(tl.int64) * stride_xs
            a = tl.load(a_ptrs, mask=mask_a, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_S]
            b = tl.load(b_ptrs, mask=mask_b, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_S]
            if SHIFT_BY_LINE:
                shift = tl.load(shift_ptr + lines, mask=mask_lines, other=0.0)  # [BLOCK_N]
                shift_a, shift_b = shift[:, None], shift[:, None]
            a_high, a_low = _halves(tl.where(mask_a, (a - shift_a) * scale_a, 0.0))
            b_high, b_low = _halves(tl.where(mask_b, (b - shift_b) * scale_b, 0.0))
            # Each block begins at zero: what tensor cores cut off grows with their running sum.
            block = tl.dot(tl.trans(a_low), b_high)
            block = tl.dot(tl.trans(a_high), b_low, block)
            block = tl.dot(tl.trans(a_high), b_high, block)
            acc = tl.fma(block, 1.0, acc)
            if not SHIFT_BY_LINE:
                if on_diagonal:
                    added = tl.dot(tl.trans(a_low), ones)
                    sums += tl.dot(tl.trans(a_high), ones, added)
        if not SHIFT_BY_LINE:
            if on_diagonal:
                sums_ptrs = sums_ptr + part * S + rows
                summed = tl.max(sums, axis=1).to(tl.float64)
                summed += tl.load(sums_ptrs, mask=mask_rows & (first > begin), other=0.0)
                tl.store(sums_ptrs, summed, mask=mask_rows)
        before = tl.load(gram_ptrs, mask=mask_gram & (first > begin), other=0.0)
        tl.store(gram_ptrs, before + acc.to(tl.float64), mask=mask_gram)


def gram_moments(x: Tensor, center: bool, config: Config) -> Moments:
    """Gram matrix of the smaller side of x [N, D], its mean and its variance."""
    N, D = x.shape
    if N < D:
        return _wide_moments(x, center, config)
    parts, sums, shift, spread, widest = _parts(x, None, config)
    gram = torch.empty(D, D, dtype=torch.float64, device=x.device)
    mean, lengths, deviations = torch.empty(3, D, dtype=torch.float64, device=x.device)
    blocks = triton.cdiv(D, FINISH["BLOCK_S"])
    with on_device_of(x):
        _truncated_svd_finish_kernel[(blocks, blocks)](
            *(parts, sums, shift, spread, widest, gram, mean, lengths, deviations),
            *(parts.shape[0], N, D),
            CENTER=center,
            **FINISH,
        )
    return Moments(gram, mean, deviations.sum(), SPLIT_UNIT * lengths)


def _wide_moments(x: Tensor, center: bool, config: Config) -> Moments:
    """The same for fewer samples than features, whose Gram matrix is that of the samples."""
    N = x.shape[0]
    mean, total = mean_and_variance(x)
    by_line = mean.float() if center else torch.zeros_like(mean, dtype=torch.float32)
    parts, sums, shift, spread, widest = _parts(x.T, by_line, config)
    gram = torch.empty(N, N, dtype=torch.float64, device=x.device)
    unused, lengths, deviations = torch.empty(3, N, dtype=torch.float64, device=x.device)
    blocks = triton.cdiv(N, FINISH["BLOCK_S"])
    with on_device_of(x):
        _truncated_svd_finish_kernel[(blocks, blocks)](
            *(parts, sums.zero_(), shift.zero_(), spread, widest),
            *(gram, unused, lengths, deviations, parts.shape[0], x.shape[1], N),
            CENTER=False,
            **FINISH,
        )
    if center:
        # What the rounding of the mean left is a mean still.
        rows = gram.mean(0)
        gram = gram - rows - rows[:, None] + rows.mean()
    return Moments(gram, mean, total, SPLIT_UNIT * lengths)


def _parts(x: Tensor, by_line: Tensor | None, config: Config) -> tuple[Tensor, ...]:
    """Parts of the scaled Gram matrix [parts, S, S] and sums [parts, S] of x [L, S] less a shift.

    The shift is that of its line, or of its column where `by_line` is None. Behind them the shift
    of columns [S], their spread [S] and the widest of all, which tell the scale.
    """
    L, S = x.shape
    block_s = min(config["BLOCK_S"], max(16, triton.next_power_of_2(S)))
    tiles = triton.cdiv(S, block_s)
    chunk = config["BLOCK_N"] * config["FLUSH"]
    parts = gram_parts(S, block_s, config["programs"])
    lines_per_part = triton.cdiv(triton.cdiv(L, parts), chunk) * chunk
    parts = triton.cdiv(L, lines_per_part)
    shift, spread = torch.empty(2, S, dtype=torch.float32, device=x.device)
    widest = torch.zeros(1, dtype=torch.float32, device=x.device)
    # Tiles below the diagonal are neither written nor read.
    gram = torch.empty(parts, S, S, dtype=torch.float64, device=x.device)
    sums = torch.empty(parts, S, dtype=torch.float64, device=x.device)
    with on_device_of(x):
        _truncated_svd_prepare_kernel[(triton.cdiv(S, PREPARE["BLOCK_S"]),)](
            *(x, shift, spread, widest, L, S, *x.stride(), max(1, L // _SAMPLE)),
            **PREPARE,
        )
        _truncated_svd_gram_kernel[(tiles, tiles, parts)](
            *(x, shift if by_line is None else by_line, spread, widest, gram, sums),
            *(L, S, *x.stride(), lines_per_part),
            SHIFT_BY_LINE=by_line is not None,
            BLOCK_N=config["BLOCK_N"],
            BLOCK_S=block_s,
            FLUSH=config["FLUSH"],
            num_warps=config["num_warps"],
            num_stages=config["num_stages"],
        )
    return gram, sums, shift, spread, widest


def mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and summed square of the deviations from it [], float64, in one trip."""
    N, D = x.shape
    shift = x[:_SAMPLE].float().mean(0)
    columns = triton.cdiv(D, SUMS["BLOCK_S"])
    lines_per_part = triton.cdiv(N, max(1, _SUM_PROGRAMS // columns))
    lines_per_part = triton.cdiv(lines_per_part, SUMS["BLOCK_N"]) * SUMS["BLOCK_N"]
    parts = triton.cdiv(N, lines_per_part)
    found = torch.empty(2, parts, D, dtype=torch.float64, device=x.device)
    with on_device_of(x):
        _truncated_svd_sums_kernel[(columns, parts)](
            *(x, shift, found[0], found[1], N, D, *x.stride(), lines_per_part), **SUMS
        )
    sums, squares = found.sum(1)
    total = (squares - sums.square() / N).sum()
    return shift + sums / N, total.clamp_min(0.0)


def on_device_of(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """The device of x, on which kernels are launched."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


_TILE = {"BLOCK_N": 32, "BLOCK_S": 128, "FLUSH": 64}

COMPILE_CASES = tuple(
    CompileCase(
        f"{side}-{dtype}",
        _truncated_svd_gram_kernel,
        {"x_ptr": f"*{dtype}", "shift_ptr": "*fp32", "spread_ptr": "*fp32", "widest_ptr": "*fp32"}
        | {
            "gram_ptr": "*fp64",
            "sums_ptr": "*fp64",
            "L": "i32",
            "S": "i32",
            long: "i32",
            "lines_per_part": "i32",
        },
        {short: 1, "SHIFT_BY_LINE": side == "wide", **_TILE},
        num_warps=8,
        num_stages=3,
        targets=("sm_80", "sm_90", "sm_100"),
        multiples_of_16=("S", long, "lines_per_part"),
        # Where a tile is added to float64, every FLUSH blocks; none of them in the inner loop.
        max_spills=128,
    )
    for side, long, short in (
        ("tall", "stride_xl", "stride_xs"),
        ("wide", "stride_xs", "stride_xl"),
    )
    for dtype in ("fp32", "bf16")
)
