"""Triton kernels of kmeans around a search: what rounding takes, new centres, report, inertia."""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _kmeans_rows_kernel(
    x_ptr, norm_ptr, residue_ptr, scale, N, D, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr
):
    """What rounding to half precision takes from each row, as a length, from above."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    square = tl.zeros([BLOCK_N], tl.float32)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask = mask_n[:, None] & (offs_d < D)[None, :]
        x = tl.load(x_ptr + offs_n.to(tl.int64)[:, None] * D + offs_d[None, :], mask, other=0.0)
        x *= scale
        lost = x - x.to(tl.float16).to(tl.float32)  # [BLOCK_N, BLOCK_D]
        square += tl.sum(lost * lost, 1)
    norm = tl.load(norm_ptr + offs_n, mask=mask_n, other=0.0) * scale
    # 1 % for the sum's own rounding, and what centring in float32 rounded off.
    tl.store(residue_ptr + offs_n, 1.01 * tl.sqrt(square) + 2.0**-23 * norm, mask=mask_n)


@triton.jit
def _kmeans_begin_kernel(
    lost_ptr, residue_ptr, centers_ptr, offset_ptr, longest_ptr, scale, below, N, K, D,
    HAS_LOST: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Residues of rows from what half precision takes, where it is known; the longest centre.

    A residue is in units of `scale`, and `below` takes in what is too small for half precision.
    """
    if HAS_LOST:
        offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
        mask_n = offs_n < N
        lost = tl.load(lost_ptr + offs_n, mask=mask_n, other=0.0)
        tl.store(residue_ptr + offs_n, lost * scale + below, mask=mask_n)
    for start in range(tl.program_id(0) * BLOCK_K, K, tl.num_programs(0) * BLOCK_K):
        offs_k = start + tl.arange(0, BLOCK_K)
        square = tl.zeros([BLOCK_K], tl.float32)
        for start_d in range(0, D, BLOCK_D):
            offs_d = start_d + tl.arange(0, BLOCK_D)
            mask_d = offs_d < D
            place = offs_k.to(tl.int64)[:, None] * D + offs_d[None, :]
            mask = (offs_k < K)[:, None] & mask_d[None, :]
            offset = tl.load(offset_ptr + offs_d, mask=mask_d, other=0.0)
            center = tl.load(centers_ptr + place, mask=mask, other=0.0)
            center = tl.where(mask, center - offset[None, :], 0.0)  # [BLOCK_K, BLOCK_D]
            square += tl.sum(center * center, 1)
        # Lengths compare as the integers of their bits.
        longest = tl.max(tl.sqrt(square), 0).to(tl.int32, bitcast=True)
        tl.atomic_max(longest_ptr, longest, sem="relaxed")


@triton.jit
def _scale_to_top(longest):
    """`_scale` of `device_search.py`, of the bits of a float32."""
    up = (longest & 0x7FFFFF) != 0
    power = 13 + 127 - (longest >> 23) - up.to(tl.int32)
    scale = ((tl.minimum(tl.maximum(power, -60), 60) + 127) << 23).to(tl.float32, bitcast=True)
    return tl.where((longest > 0) & (longest < 0x7F800000), scale, 1.0)


@triton.jit
def _kmeans_centers_kernel(
    terms_ptr,
    totals_ptr,
    before_ptr,
    offset_ptr,
    centers_ptr,
    half_ptr,
    level_ptr,
    norm_ptr,
    residue_ptr,
    step_ptr,
    longest_ptr,
    longest_mean,
    row_scale,
    bias,
    K,
    D,
    WIDTH,
    FROM_SUMS: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Means of clusters, their steps, their half-precision form and what that lost."""
    mean_bits = tl.cast(longest_mean, tl.float32).to(tl.int32, bitcast=True)
    scale = _scale_to_top(tl.maximum(tl.load(longest_ptr), mean_bits))
    ratio = row_scale / scale
    offs_k = (tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)).to(tl.int64)
    mask_k = offs_k < K
    total = tl.full([BLOCK_K], 1.0, tl.float64)
    if FROM_SUMS:
        total = tl.load(totals_ptr + offs_k, mask=mask_k, other=1.0)
        total = tl.where(total > 0.0, total, 1.0)  # the host sees to clusters without rows
    step = tl.zeros([BLOCK_K], tl.float64)
    square = tl.zeros([BLOCK_K], tl.float64)
    lost = tl.zeros([BLOCK_K], tl.float64)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask_d = offs_d < D
        mask = mask_k[:, None] & mask_d[None, :]
        place = offs_k[:, None] * D + offs_d[None, :]
        if FROM_SUMS:
            terms = tl.load(terms_ptr + place, mask=mask, other=0.0)
            center = (terms / total[:, None]).to(tl.float32)  # [BLOCK_K, BLOCK_D]
            tl.store(centers_ptr + place, center, mask=mask)
        else:
            center = tl.load(centers_ptr + place, mask=mask, other=0.0)
        wide = center.to(tl.float64)
        gap = wide - tl.load(before_ptr + place, mask=mask, other=0.0).to(tl.float64)
        step += tl.sum(gap * gap, 1)
        offset = tl.load(offset_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float64)
        wide = (wide - offset[None, :]) * scale
        half = wide.to(tl.float32).to(tl.float16)
        tl.store(half_ptr + offs_k[:, None] * WIDTH + offs_d[None, :], half, mask=mask)
        square += tl.sum(wide * wide, 1)
        gap = wide - half.to(tl.float64)
        lost += tl.sum(gap * gap, 1)
    tl.store(step_ptr + offs_k, step, mask=mask_k)
    tl.store(level_ptr + offs_k, (0.5 * ratio * square + bias).to(tl.float32), mask=mask_k)
    tl.store(norm_ptr + offs_k, tl.sqrt(square).to(tl.float32), mask=mask_k)
    tl.store(residue_ptr + offs_k, tl.sqrt(lost).to(tl.float32), mask=mask_k)


@triton.jit
def _kmeans_report_kernel(
    totals_ptr,
    level_ptr,
    norm_ptr,
    residue_ptr,
    step_ptr,
    count_ptr,
    moved_ptr,
    reach_ptr,
    report_ptr,
    safety,
    K,
    D,
    BLOCK_K: tl.constexpr,
):
    """What the next search needs of all centres, and what the host asks; counters start anew."""
    step = tl.zeros([BLOCK_K], tl.float64)
    lightest = tl.full([BLOCK_K], float("inf"), tl.float64)
    level = tl.zeros([BLOCK_K], tl.float32)
    norm = tl.zeros([BLOCK_K], tl.float32)
    residue = tl.zeros([BLOCK_K], tl.float32)
    for start_k in range(0, K, BLOCK_K):
        offs_k = start_k + tl.arange(0, BLOCK_K)
        mask = offs_k < K
        step += tl.load(step_ptr + offs_k, mask=mask, other=0.0)
        totals = tl.load(totals_ptr + offs_k, mask=mask, other=float("inf"))
        lightest = tl.minimum(lightest, totals)
        level = tl.maximum(level, tl.load(level_ptr + offs_k, mask=mask, other=0.0))
        norm = tl.maximum(norm, tl.load(norm_ptr + offs_k, mask=mask, other=0.0))
        residue = tl.maximum(residue, tl.load(residue_ptr + offs_k, mask=mask, other=0.0))
    largest = tl.max(norm, 0)
    most_lost = tl.max(residue, 0)
    # The bound of a score: of the products |lost x||c| + |x||lost c|, of their sum, where a
    # tensor core may truncate, two units of 2^-23 a term, and of what is added to it.
    units = D * 2.0**-22
    of_norm = most_lost + units * largest
    tl.store(reach_ptr, safety * (largest + of_norm))
    tl.store(reach_ptr + 1, safety * (of_norm + 2.0**-22 * largest))
    tl.store(reach_ptr + 2, safety * 2.0**-22 * tl.max(level, 0))
    tl.store(reach_ptr + 3, 1.0)  # a one that no compiler knows
    tl.store(report_ptr, tl.sum(step, 0))
    tl.store(report_ptr + 1, tl.min(lightest, 0))
    tl.store(report_ptr + 2, tl.load(moved_ptr).to(tl.float64))
    tl.store(report_ptr + 3, (tl.load(count_ptr) + tl.load(count_ptr + 1)).to(tl.float64))
    tl.store(moved_ptr, 0)
    tl.store(count_ptr, 0)
    tl.store(count_ptr + 1, 0)


@triton.jit
def _kmeans_inertia_kernel(
    x_ptr, weight_ptr, centers_ptr, label_ptr, out_ptr, N, D,
    HAS_WEIGHT: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Weighted squared distance of each row to its own centre, in float64."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    label = tl.load(label_ptr + offs_n, mask=mask_n, other=0).to(tl.int64)
    square = tl.zeros([BLOCK_N], tl.float64)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask = mask_n[:, None] & (offs_d < D)[None, :]
        x = tl.load(x_ptr + offs_n.to(tl.int64)[:, None] * D + offs_d[None, :], mask, other=0.0)
        c = tl.load(centers_ptr + label[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
        gap = x - c  # [BLOCK_N, BLOCK_D]
        square += tl.sum(gap * gap, 1).to(tl.float64)
    if HAS_WEIGHT:
        square *= tl.load(weight_ptr + offs_n, mask=mask_n, other=0.0)
    tl.store(out_ptr + offs_n, square, mask=mask_n)


@triton.jit
def _grid_magic(bound):
    """`grid_magic` of a float64."""
    bits = bound.to(tl.int64, bitcast=True)
    # 1.5 times twice the next power of two.
    power = (bits >> 52) + ((bits & 0xFFFFFFFFFFFFF) != 0).to(tl.int64) + 1
    magic = (power << 52 | 1 << 51).to(tl.float64, bitcast=True)
    return tl.where(bound > 0.0, magic, 0.0)


@triton.jit
def _kmeans_total_kernel(terms_ptr, sum_ptr, total_ptr, N, BLOCK_N: tl.constexpr):
    """`exact_total`: add up terms on the grid that `grid_magic` gives for about their sum."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    magic = _grid_magic(tl.load(sum_ptr) * (1.0 + 1e-9))
    term = tl.load(terms_ptr + offs_n, mask=offs_n < N, other=0.0)
    tl.atomic_add(total_ptr, tl.sum((term + magic) - magic, 0), sem="relaxed")


_INTS = ("label_ptr", "count_ptr", "moved_ptr", "longest_ptr")
_DOUBLES = (
    "terms_ptr", "totals_ptr", "step_ptr", "report_ptr", "out_ptr", "weight_ptr", "sum_ptr",
    "total_ptr",
)  # fmt: skip
_KINDS = {
    **dict.fromkeys(_INTS, "*i32"),
    **dict.fromkeys(_DOUBLES, "*fp64"),
    **dict.fromkeys(("N", "D", "K", "WIDTH"), "i32"),
    **dict.fromkeys(("scale", "row_scale", "bias", "safety", "longest_mean", "below"), "fp32"),
    "half_ptr": "*fp16",
}
_ROWS = {"BLOCK_N": 16, "BLOCK_D": 128}

COMPILE_CASES = tuple(
    CompileCase(
        name,
        kernel,
        {each: _KINDS.get(each, "*fp32") for each in kernel.arg_names if each not in constexprs},
        constexprs,
        multiples_of_16=("D",) if "D" in kernel.arg_names else (),
    )
    for name, kernel, constexprs in (
        ("rows", _kmeans_rows_kernel, _ROWS),
        (
            "begin",
            _kmeans_begin_kernel,
            {"HAS_LOST": True, "BLOCK_K": 16, **_ROWS, "BLOCK_N": 1024},
        ),
        ("inertia", _kmeans_inertia_kernel, {"HAS_WEIGHT": True, **_ROWS}),
        ("total", _kmeans_total_kernel, {"BLOCK_N": 1024}),
        ("centers", _kmeans_centers_kernel, {"FROM_SUMS": True, "BLOCK_K": 4, "BLOCK_D": 128}),
        ("report", _kmeans_report_kernel, {"BLOCK_K": 1024}),
    )
)
