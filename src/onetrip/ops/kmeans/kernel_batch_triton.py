"""Triton kernels of kmeans for a step by one batch: label its rows, add them, move the centres.

Idea: a batch is small, so a step is three launches and no look of the host. Rows are read where
they are, by number. Products run in float64, on the tensor cores that have it: next to no row is in
doubt, and the program that holds it decides it at once, by differences. Sums are on a grid
(`exact_sums.py`), which the device finds from the largest feature, so atomic additions give the
same bits in any order.
"""

import triton
import triton.language as tl

from onetrip.ops.kmeans.kernel_resolve_triton import _square
from onetrip.ops.kmeans.kernel_sums_triton import _clear
from onetrip.ops.kmeans.kernel_update_triton import _grid_magic
from onetrip.tile.compile_case import CompileCase


@triton.jit
def _batch_rows(rows_ptr, size, BLOCK_N: tl.constexpr, HAS_ROWS: tl.constexpr):
    """Places of a program's rows in the batch, their numbers, and which there are."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < size
    rows = offs_n.to(tl.int64)
    if HAS_ROWS:
        rows = tl.load(rows_ptr + offs_n, mask=mask_n, other=0)
    return offs_n, rows, mask_n


@triton.jit
def _scores(
    x_ptr, centers_ptr, rows, mask_n, start_k, K, D,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """``|c|² - 2 x·c`` [BLOCK_N, BLOCK_K] in float64, and the squares of rows and centres."""
    offs_k = start_k + tl.arange(0, BLOCK_K)
    product = tl.zeros([BLOCK_N, BLOCK_K], tl.float64)
    of_rows = tl.zeros([BLOCK_N], tl.float64)
    of_centers = tl.zeros([BLOCK_K], tl.float64)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask_d = offs_d < D
        mask = mask_n[:, None] & mask_d[None, :]
        x = tl.load(x_ptr + rows[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
        place = offs_k.to(tl.int64)[None, :] * D + offs_d[:, None]
        c = tl.load(centers_ptr + place, mask=mask_d[:, None] & (offs_k < K)[None, :], other=0.0)
        x = x.to(tl.float64)  # [BLOCK_N, BLOCK_D]
        c = c.to(tl.float64)  # [BLOCK_D, BLOCK_K]
        product = tl.dot(x, c, product, out_dtype=tl.float64)
        of_rows += tl.sum(x * x, 1)
        of_centers += tl.sum(c * c, 0)
    score = tl.where((offs_k < K)[None, :], of_centers[None, :] - 2.0 * product, float("inf"))
    return score, of_rows, of_centers


@triton.jit
def _kmeans_batch_label_kernel(
    x_ptr, rows_ptr, weight_ptr, centers_ptr, label_ptr, inertia_ptr, largest_ptr, sums_ptr,
    totals_ptr, unit, size, K, D,
    HAS_ROWS: tl.constexpr, HAS_WEIGHT: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Nearest centre of each row; a program's share of the inertia.

    `unit` times the norms bounds the error of a score. `largest` takes in the largest feature, the
    largest weight, and how many rows were in doubt. Sums begin at zero.
    """
    NONE: tl.constexpr = 2147483647
    _clear(sums_ptr, tl.cast(K, tl.int64) * D, 1024)
    _clear(totals_ptr, K, 1024)
    offs_n, rows, mask_n = _batch_rows(rows_ptr, size, BLOCK_N, HAS_ROWS)
    offs_k = tl.arange(0, BLOCK_K)
    best = tl.full([BLOCK_N], float("inf"), tl.float64)
    second = tl.full([BLOCK_N], float("inf"), tl.float64)
    of_rows = tl.zeros([BLOCK_N], tl.float64)
    label = tl.zeros([BLOCK_N], tl.int32)
    longest = tl.zeros([BLOCK_K], tl.float64)
    for start_k in range(0, K, BLOCK_K):
        score, of_rows, of_centers = _scores(
            x_ptr, centers_ptr, rows, mask_n, start_k, K, D, BLOCK_N, BLOCK_K, BLOCK_D
        )
        least = tl.min(score, 1)
        column = tl.min(tl.where(score == least[:, None], offs_k[None, :], BLOCK_K - 1), 1)
        others = tl.min(tl.where(offs_k[None, :] == column[:, None], float("inf"), score), 1)
        second = tl.minimum(tl.minimum(second, others), tl.maximum(best, least))
        label = tl.where(least < best, start_k + column, label)
        best = tl.minimum(best, least)
        longest = tl.maximum(longest, of_centers)
    top = tl.sqrt(tl.max(longest, 0))
    # Of two scores. Not "is within": a bound that is not a number certifies nothing.
    reach = unit * top * (2.0 * tl.sqrt(of_rows) + top)
    doubt = mask_n & ((second - best > reach) == 0)
    doubts = tl.sum(doubt.to(tl.int64), 0)
    if doubts > 0:
        tl.atomic_add(largest_ptr + 2, doubts, sem="relaxed")
        limit = best + reach
        nearest = tl.full([BLOCK_N], float("inf"), tl.float64)
        for start_k in range(0, K, BLOCK_K):
            score, _, _ = _scores(
                x_ptr, centers_ptr, rows, mask_n, start_k, K, D, BLOCK_N, BLOCK_K, BLOCK_D
            )
            open = doubt[:, None] & (start_k + offs_k < K)[None, :]
            open = open & ((score > limit[:, None]) == 0)
            column = tl.min(tl.where(open, start_k + offs_k[None, :], NONE), 1)
            while tl.min(column, 0) < NONE:
                has = column < NONE
                square = _squares(x_ptr, centers_ptr, rows, column, has, D, BLOCK_N, BLOCK_D)
                nearer = has & (square < nearest)
                label = tl.where(nearer, column, label)
                nearest = tl.where(nearer, square, nearest)
                open = open & (start_k + offs_k[None, :] > column[:, None])
                column = tl.min(tl.where(open, start_k + offs_k[None, :], NONE), 1)
    tl.store(label_ptr + offs_n, label, mask=mask_n)
    square = _squares(x_ptr, centers_ptr, rows, label, mask_n, D, BLOCK_N, BLOCK_D)
    weight = tl.full([BLOCK_N], 1.0, tl.float64)
    if HAS_WEIGHT:
        weight = tl.load(weight_ptr + offs_n, mask=mask_n, other=0.0)
    tl.store(inertia_ptr + tl.program_id(0), tl.sum(square * weight, 0))
    feature = tl.zeros([BLOCK_N, BLOCK_D], tl.float64)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask = mask_n[:, None] & (offs_d < D)[None, :]
        x = tl.load(x_ptr + rows[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
        feature = tl.maximum(feature, tl.abs(x.to(tl.float64)))
    largest = tl.max(tl.max(feature, 1) * weight, 0)
    # Numbers that are not negative compare as the integers of their bits.
    tl.atomic_max(largest_ptr, largest.to(tl.int64, bitcast=True), sem="relaxed")
    if HAS_WEIGHT:
        heaviest = tl.max(tl.where(mask_n, weight, 0.0), 0)
        tl.atomic_max(largest_ptr + 1, heaviest.to(tl.int64, bitcast=True), sem="relaxed")


@triton.jit
def _squares(
    x_ptr, centers_ptr, rows, column, has, D, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr
):
    """Squared distances [BLOCK_N] of rows to a centre each, by differences."""
    square = tl.zeros([BLOCK_N], tl.float64)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask = has[:, None] & (offs_d < D)[None, :]
        x = tl.load(x_ptr + rows[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
        square += _square(x, centers_ptr, column, offs_d, D, mask)
    return square


@triton.jit
def _kmeans_batch_add_kernel(
    x_ptr, rows_ptr, weight_ptr, label_ptr, largest_ptr, sums_ptr, totals_ptr, size, D,
    HAS_ROWS: tl.constexpr, HAS_WEIGHT: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Add the rows to the sums of their clusters, and their weights."""
    offs_n, rows, mask_n = _batch_rows(rows_ptr, size, BLOCK_N, HAS_ROWS)
    label = tl.load(label_ptr + offs_n, mask=mask_n, other=0)
    number = tl.cast(size, tl.float64) * 1.01
    magic = _grid_magic(number * tl.load(largest_ptr).to(tl.float64, bitcast=True))
    weight = tl.full([BLOCK_N], 1.0, tl.float64)
    if HAS_WEIGHT:
        weight = tl.load(weight_ptr + offs_n, mask=mask_n, other=0.0)
        heaviest = tl.load(largest_ptr + 1).to(tl.float64, bitcast=True)
        of_weights = _grid_magic(number * heaviest)
        weight = (weight + of_weights) - of_weights
    tl.atomic_add(totals_ptr + label, weight, mask=mask_n, sem="relaxed")
    to = sums_ptr + label.to(tl.int64)[:, None] * D
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask = mask_n[:, None] & (offs_d < D)[None, :]
        x = tl.load(x_ptr + rows[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
        term = x.to(tl.float64) * weight[:, None]  # [BLOCK_N, BLOCK_D]
        tl.atomic_add(to + offs_d[None, :], (term + magic) - magic, mask=mask, sem="relaxed")


@triton.jit
def _kmeans_batch_move_kernel(
    sums_ptr, totals_ptr, before_ptr, counts_ptr, inertia_ptr, largest_ptr, after_ptr,
    counts_after_ptr, report_ptr, parts, K, D,
    BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Move the centres by what was added; report inertia, least and largest weight so far."""
    LEAST: tl.constexpr = 2.2250738585072014e-308
    offs_k = (tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)).to(tl.int64)
    mask_k = offs_k < K
    weight = tl.load(totals_ptr + offs_k, mask=mask_k, other=0.0)
    after = tl.load(counts_ptr + offs_k, mask=mask_k, other=0.0) + weight
    tl.store(counts_after_ptr + offs_k, after, mask=mask_k)
    # One that was given nothing yet stays.
    divisor = tl.maximum(after, LEAST)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask = mask_k[:, None] & (offs_d < D)[None, :]
        place = offs_k[:, None] * D + offs_d[None, :]
        center = tl.load(before_ptr + place, mask=mask, other=0.0).to(tl.float64)
        left = tl.load(sums_ptr + place, mask=mask, other=0.0) - weight[:, None] * center
        moved = center + left / divisor[:, None]  # [BLOCK_K, BLOCK_D]
        tl.store(after_ptr + place, moved.to(after_ptr.dtype.element_ty), mask=mask)
    if tl.program_id(0) == 0:
        offs_p = tl.arange(0, BLOCK_P)
        inertia = tl.zeros([BLOCK_P], tl.float64)
        for start in range(0, parts, BLOCK_P):
            mask = start + offs_p < parts
            inertia += tl.load(inertia_ptr + start + offs_p, mask=mask, other=0.0)
        least = tl.full([BLOCK_P], float("inf"), tl.float64)
        largest = tl.zeros([BLOCK_P], tl.float64)
        for start in range(0, K, BLOCK_P):
            mask = start + offs_p < K
            count = tl.load(totals_ptr + start + offs_p, mask=mask, other=0.0)
            count += tl.load(counts_ptr + start + offs_p, mask=mask, other=0.0)
            least = tl.minimum(least, tl.where(mask, count, float("inf")))
            largest = tl.maximum(largest, count)
        tl.store(report_ptr, tl.sum(inertia, 0))
        tl.store(report_ptr + 1, tl.min(least, 0))
        tl.store(report_ptr + 2, tl.max(largest, 0))
        tl.store(largest_ptr, tl.zeros([], tl.int64))
        tl.store(largest_ptr + 1, tl.zeros([], tl.int64))
        tl.store(largest_ptr + 2, tl.zeros([], tl.int64))


_KINDS = {
    **dict.fromkeys(("x_ptr", "centers_ptr", "before_ptr", "after_ptr"), "*fp32"),
    **dict.fromkeys(("rows_ptr", "largest_ptr"), "*i64"),
    **dict.fromkeys(("weight_ptr", "inertia_ptr", "sums_ptr", "totals_ptr"), "*fp64"),
    **dict.fromkeys(("counts_ptr", "counts_after_ptr", "report_ptr"), "*fp64"),
    **dict.fromkeys(("size", "K", "D", "parts"), "i32"),
    "label_ptr": "*i32",
    "unit": "fp32",
}
_BATCH = {"HAS_ROWS": True, "HAS_WEIGHT": True}
_FEW = {"BLOCK_N": 32, "BLOCK_D": 32}
_APART = {"options": {"enable_fp_fusion": False}}

COMPILE_CASES = tuple(
    CompileCase(
        name,
        kernel,
        {each: _KINDS[each] for each in kernel.arg_names if each in _KINDS},
        constexprs,
        multiples_of_16=("D",),
        **more,
    )
    for name, kernel, constexprs, more in (
        (
            "label",
            _kmeans_batch_label_kernel,
            {**_BATCH, **_FEW, "BLOCK_K": 128},
            {"targets": ("sm_80", "sm_90"), "num_warps": 8},
        ),
        ("add", _kmeans_batch_add_kernel, {**_BATCH, "BLOCK_N": 16, "BLOCK_D": 128}, _APART),
        (
            "move",
            _kmeans_batch_move_kernel,
            {"BLOCK_K": 4, "BLOCK_D": 128, "BLOCK_P": 1024},
            _APART,
        ),
    )
)
