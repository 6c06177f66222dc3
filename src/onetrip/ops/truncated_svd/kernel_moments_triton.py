# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernels around the Gram matrix of truncated_svd: what it needs before, and its sum after.

On a GPU the forty small launches that torch needs for these would cost more than a third of the
Gram matrix of a million samples.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase

PREPARE = {"BLOCK_N": 32, "BLOCK_S": 32}
SUMS = {"BLOCK_N": 32, "BLOCK_S": 32}
FINISH = {"BLOCK_P": 4, "BLOCK_S": 32}


@triton.jit
def scale_of(spread, widest):
    """The power of two that brings a column of this spread to one of 8 to 16.

    Low halves are then rounded to 2⁻²⁸ of it at worst. A number 4,000 times the spread overflows:
    the Gram matrix is not finite then, which `solve.py` looks for. A spread of zero in the sample
    tells nothing; that of the widest column is taken.
    """
    known = tl.where(spread > 0.0, spread, widest)
    exponent = ((known.to(tl.int32, bitcast=True) >> 23) & 255) - 127
    exponent = tl.minimum(tl.maximum(exponent, -100), 100)
    return ((130 - exponent) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _truncated_svd_prepare_kernel(
    x_ptr,
    shift_ptr,
    spread_ptr,
    widest_ptr,
    L,
    S,
    stride_xl,
    stride_xs,
    step,
    BLOCK_N: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Shift and spread [S] of the columns of x [L, S], from every `step`-th line.

    The shift is the mean where that is more than the spread about it: to put the true mean in its
    place, or none, cancels nothing then.
    """
    offs_s = tl.program_id(0) * BLOCK_S + tl.arange(0, BLOCK_S)
    mask_s = offs_s < S
    sums = tl.zeros([BLOCK_N, BLOCK_S], dtype=tl.float64)
    squares = tl.zeros([BLOCK_N, BLOCK_S], dtype=tl.float64)
    lines = tl.arange(0, BLOCK_N).to(tl.int64) * step
    for _ in range(0, L, BLOCK_N * step):
        mask = (lines < L)[:, None] & mask_s[None, :]
        x_ptrs = x_ptr + lines[:, None] * stride_xl + offs_s[None, :].to(tl.int64) * stride_xs
        x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float64)
        sums += x
        squares += x * x
        lines += BLOCK_N * step
    count = (L + step - 1) // step
    mean = tl.sum(sums, axis=0) / count
    square = tl.sum(squares, axis=0) / count
    variance = tl.maximum(square - mean * mean, 0.0)
    shift = tl.where(mean * mean > variance, mean, 0.0).to(tl.float32)
    left = mean - shift.to(tl.float64)
    spread = tl.sqrt(variance + left * left).to(tl.float32)
    tl.store(shift_ptr + offs_s, shift, mask=mask_s)
    tl.store(spread_ptr + offs_s, spread, mask=mask_s)
    tl.atomic_max(widest_ptr, tl.max(spread, axis=0))


@triton.jit
def _truncated_svd_sums_kernel(
    x_ptr,
    shift_ptr,
    sums_ptr,
    squares_ptr,
    L,
    S,
    stride_xl,
    stride_xs,
    lines_per_part,
    BLOCK_N: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Sums [parts, S] of the columns of x [L, S] less a shift, and of their squares, in float64."""
    offs_s = tl.program_id(0) * BLOCK_S + tl.arange(0, BLOCK_S)
    mask_s = offs_s < S
    part = tl.program_id(1).to(tl.int64)
    begin = part * lines_per_part
    end = tl.minimum(begin + lines_per_part, L)
    shift = tl.load(shift_ptr + offs_s, mask=mask_s, other=0.0).to(tl.float64)
    sums = tl.zeros([BLOCK_N, BLOCK_S], dtype=tl.float64)
    squares = tl.zeros([BLOCK_N, BLOCK_S], dtype=tl.float64)
    for first in range(begin, end, BLOCK_N):
        lines = first + tl.arange(0, BLOCK_N)
        mask = (lines < end)[:, None] & mask_s[None, :]
        x_ptrs = x_ptr + lines[:, None] * stride_xl + offs_s[None, :].to(tl.int64) * stride_xs
        x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float64)
        x = tl.where(mask, x - shift[None, :], 0.0)
        sums += x
        squares += x * x
    tl.store(sums_ptr + part * S + offs_s, tl.sum(sums, axis=0), mask=mask_s)
    tl.store(squares_ptr + part * S + offs_s, tl.sum(squares, axis=0), mask=mask_s)


@triton.jit
def _truncated_svd_finish_kernel(
    part_grams_ptr,
    part_sums_ptr,
    shift_ptr,
    spread_ptr,
    widest_ptr,
    gram_ptr,
    mean_ptr,
    lengths_ptr,
    deviations_ptr,
    parts,
    L,
    S,
    CENTER: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Gram matrix [S, S] about the mean or about zero, from its parts about a shift.

    Also, from the parts, the mean [S], the squared lengths of the shifted columns [S] and, about
    the mean, their deviations [S].
    """
    pid_row, pid_col = tl.program_id(0), tl.program_id(1)
    if pid_col < pid_row:
        return
    rows = pid_row * BLOCK_S + tl.arange(0, BLOCK_S)
    cols = pid_col * BLOCK_S + tl.arange(0, BLOCK_S)
    mask_rows, mask_cols = rows < S, cols < S
    offs_p = tl.arange(0, BLOCK_P)
    acc = tl.zeros([BLOCK_P, BLOCK_S, BLOCK_S], dtype=tl.float64)
    sums_rows = tl.zeros([BLOCK_P, BLOCK_S], dtype=tl.float64)
    sums_cols = tl.zeros([BLOCK_P, BLOCK_S], dtype=tl.float64)
    entries = rows[:, None].to(tl.int64) * S + cols[None, :]
    mask = mask_rows[:, None] & mask_cols[None, :]
    for first in range(0, parts, BLOCK_P):
        part = (first + offs_p).to(tl.int64)
        mask_p = part < parts
        ptrs = part_grams_ptr + part[:, None, None] * S * S + entries[None, :, :]
        acc += tl.load(ptrs, mask=mask_p[:, None, None] & mask[None, :, :], other=0.0)
        line = part_sums_ptr + part[:, None] * S
        sums_rows += tl.load(
            line + rows[None, :], mask=mask_p[:, None] & mask_rows[None, :], other=0.0
        )
        sums_cols += tl.load(
            line + cols[None, :], mask=mask_p[:, None] & mask_cols[None, :], other=0.0
        )
    widest = tl.load(widest_ptr)
    spread_rows = tl.load(spread_ptr + rows, mask=mask_rows, other=1.0)
    spread_cols = tl.load(spread_ptr + cols, mask=mask_cols, other=1.0)
    undo_rows = 1.0 / scale_of(spread_rows, widest).to(tl.float64)
    undo_cols = 1.0 / scale_of(spread_cols, widest).to(tl.float64)
    gram = tl.sum(acc, axis=0) * undo_rows[:, None] * undo_cols[None, :]
    on_diagonal = pid_row == pid_col
    if on_diagonal:
        gram = tl.where(rows[:, None] <= cols[None, :], gram, tl.trans(gram))
    sums_r = tl.sum(sums_rows, axis=0) * undo_rows
    sums_c = tl.sum(sums_cols, axis=0) * undo_cols
    shift_r = tl.load(shift_ptr + rows, mask=mask_rows, other=0.0).to(tl.float64)
    shift_c = tl.load(shift_ptr + cols, mask=mask_cols, other=0.0).to(tl.float64)
    if on_diagonal:
        length = tl.sum(tl.where(rows[:, None] == cols[None, :], gram, 0.0), axis=0)
        tl.store(lengths_ptr + cols, length, mask=mask_cols)
        deviation = tl.maximum(length - sums_c * sums_c / L, 0.0)
        tl.store(deviations_ptr + cols, deviation, mask=mask_cols)
        tl.store(mean_ptr + cols, shift_c + sums_c / L, mask=mask_cols)
    if CENTER:
        gram -= sums_r[:, None] * sums_c[None, :] / L
    else:
        gram += sums_r[:, None] * shift_c[None, :] + shift_r[:, None] * sums_c[None, :]
        gram += shift_r[:, None] * shift_c[None, :] * L
    tl.store(gram_ptr + entries, gram, mask=mask)
    mirrored = cols[:, None].to(tl.int64) * S + rows[None, :]
    tl.store(gram_ptr + mirrored, tl.trans(gram), mask=mask_cols[:, None] & mask_rows[None, :])


@triton.jit
def _truncated_svd_leading_kernel(
    values_ptr,
    vectors_ptr,
    lengths_ptr,
    gram_ptr,
    singular_values_ptr,
    components_ptr,
    found_ptr,
    S,
    K,
    stride_vs,
    stride_vk,
    BLOCK_S: tl.constexpr,
):
    """Components [K, S] of the largest eigenvalues, which come rising, the largest entry positive.

    `found_ptr` gets K eigenvalues, K sums over S of squared entries by lengths, and the trace.
    """
    k = tl.program_id(0)
    column = (S - 1 - k).to(tl.int64)
    offs = tl.arange(0, BLOCK_S)
    mask = offs < S
    vector_ptrs = vectors_ptr + offs.to(tl.int64) * stride_vs + column * stride_vk
    vector = tl.load(vector_ptrs, mask=mask, other=0.0)
    length = tl.load(lengths_ptr + offs, mask=mask, other=0.0)
    value = tl.load(values_ptr + column)
    high = tl.max(vector, axis=0)
    low = tl.min(vector, axis=0)
    # Of two entries of one modulus the first decides.
    first = tl.min(tl.where(mask & (vector == high), offs, S), axis=0)
    first_low = tl.min(tl.where(mask & (vector == low), offs, S), axis=0)
    turned = (-low > high) | ((-low == high) & (first_low < first))
    components = tl.where(turned, -vector, vector).to(components_ptr.dtype.element_ty)
    tl.store(components_ptr + k.to(tl.int64) * S + offs, components, mask=mask)
    root = tl.sqrt(tl.maximum(value, 0.0)).to(singular_values_ptr.dtype.element_ty)
    tl.store(singular_values_ptr + k, root)
    tl.store(found_ptr + k, value)
    tl.store(found_ptr + K + k, tl.sum(vector * vector * length, axis=0))
    if k == 0:
        diagonal = tl.load(gram_ptr + offs.to(tl.int64) * (S + 1), mask=mask, other=0.0)
        tl.store(found_ptr + 2 * K, tl.sum(diagonal, axis=0))


COMPILE_CASES = (
    CompileCase(
        "prepare",
        _truncated_svd_prepare_kernel,
        {"x_ptr": "*fp32", "shift_ptr": "*fp32", "spread_ptr": "*fp32", "widest_ptr": "*fp32"}
        | {"L": "i32", "S": "i32", "stride_xl": "i32", "step": "i32"},
        {"stride_xs": 1, **PREPARE},
        multiples_of_16=("S", "stride_xl"),
    ),
    CompileCase(
        "sums",
        _truncated_svd_sums_kernel,
        {"x_ptr": "*fp32", "shift_ptr": "*fp32", "sums_ptr": "*fp64", "squares_ptr": "*fp64"}
        | {"L": "i32", "S": "i32", "stride_xl": "i32", "lines_per_part": "i32"},
        {"stride_xs": 1, **SUMS},
        multiples_of_16=("S", "stride_xl", "lines_per_part"),
    ),
    *(
        CompileCase(
            f"finish{'-centred' if center else ''}",
            _truncated_svd_finish_kernel,
            {"part_grams_ptr": "*fp64", "part_sums_ptr": "*fp64", "shift_ptr": "*fp32"}
            | {"spread_ptr": "*fp32", "widest_ptr": "*fp32", "gram_ptr": "*fp64"}
            | {"mean_ptr": "*fp64", "lengths_ptr": "*fp64", "deviations_ptr": "*fp64"}
            | {"parts": "i32", "L": "i32", "S": "i32"},
            {"CENTER": center, **FINISH},
            multiples_of_16=("S",),
        )
        for center in (False, True)
    ),
    CompileCase(
        "leading",
        _truncated_svd_leading_kernel,
        {"values_ptr": "*fp64", "vectors_ptr": "*fp64", "lengths_ptr": "*fp64"}
        | {"gram_ptr": "*fp64", "singular_values_ptr": "*fp32", "components_ptr": "*fp32"}
        | {"found_ptr": "*fp64", "S": "i32", "K": "i32", "stride_vk": "i32"},
        {"stride_vs": 1, "BLOCK_S": 1024},
        multiples_of_16=("S", "stride_vk"),
    ),
)
