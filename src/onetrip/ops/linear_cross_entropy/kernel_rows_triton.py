# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernels over rows: what `rows.py` defines, in one launch each.

On a GPU the dozens of small launches that torch needs for it would cost more than the logits of a
small model. Every formula here is derived in `rows.py`, which is what these are tested against.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase
from onetrip.tile.soft_cap import soft_cap


@triton.jit
def _linear_cross_entropy_prepare_kernel(
    x_ptr,
    w_ptr,
    bias_ptr,
    target_ptr,
    local_ptr,
    valid_ptr,
    ref_ptr,
    bad_ptr,
    N,
    D,
    ignore_index,
    start,
    V,
    total,
    stride_xn,
    stride_wv,
    scale,
    cap,
    HAS_BIAS: tl.constexpr,
    CAP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Local column (or -1), validity and logit of every row's target; counts bad targets.

    The logit is that of class 0 where the target is not one of this process's classes, and NaN
    where it is no class at all.
    """
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    mask_n = offs_n < N
    target = tl.load(target_ptr + offs_n, mask=mask_n, other=0).to(tl.int64)
    counts = target != ignore_index
    inside = (target >= 0) & (target < total)
    bad = counts & (inside == 0) & mask_n
    tl.atomic_add(bad_ptr, tl.sum(bad.to(tl.int32), axis=0), mask=tl.max(bad.to(tl.int32)) > 0)
    valid = counts & inside
    here = valid & (target >= start) & (target < start + V)
    column = tl.where(here, target - start, 0)
    x_ptrs = x_ptr + offs_n.to(tl.int64)[:, None] * stride_xn + offs_d[None, :]
    w_ptrs = w_ptr + column[:, None] * stride_wv + offs_d[None, :]
    acc = tl.zeros([BLOCK_N, BLOCK_D], dtype=tl.float32)
    for d in range(0, D, BLOCK_D):
        mask = mask_n[:, None] & (offs_d < D - d)[None, :]
        x = tl.load(x_ptrs + d, mask=mask, other=0.0).to(tl.float32)
        acc += x * tl.load(w_ptrs + d, mask=mask, other=0.0).to(tl.float32)
    z = tl.sum(acc, axis=1)
    if HAS_BIAS:
        z += tl.load(bias_ptr + column, mask=mask_n, other=0.0).to(tl.float32)
    z *= scale
    if CAP:
        z = soft_cap(z, cap)
    tl.store(local_ptr + offs_n, tl.where(here, column, -1).to(tl.int32), mask=mask_n)
    tl.store(valid_ptr + offs_n, valid, mask=mask_n)
    tl.store(ref_ptr + offs_n, tl.where(bad, float("nan"), z), mask=mask_n)


@triton.jit
def _softplus(x):
    """``log(1 + exp(x))`` without overflow, and to the last digits for very negative x."""
    t = tl.exp(-tl.abs(x))
    u = 1.0 + t
    # What the sum rounded away from t is put back as a factor.
    log1p = tl.where(u == 1.0, t, tl.log(u) * (t / (u - 1.0)))
    return tl.maximum(x, 0.0) + log1p


@triton.jit
def _linear_cross_entropy_merge_kernel(
    max_ptr,
    sum_ptr,
    gap_ptr,
    linear_ptr,
    best_ptr,
    best_at_ptr,
    target_ptr,
    valid_ptr,
    ref_ptr,
    weight_sum_ptr,
    logprob_ptr,
    lse_ptr,
    mass_ptr,
    entropy_ptr,
    smooth_ptr,
    argmax_ptr,
    units_ptr,
    redo_ptr,
    N,
    groups,
    max_lift,
    scale,
    ENTROPY: tl.constexpr,
    SMOOTHING: tl.constexpr,
    ARGMAX: tl.constexpr,
    MEND: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_G: tl.constexpr,
):
    """Merge groups of columns, put the target's column back, form the statistics.

    With `MEND`, also flag row blocks whose kept exponentials had too low a reference, and write
    the units [4, N] of `rows.exponential_units`.
    """
    pid = tl.program_id(0)
    offs_n = pid * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    infinity = float("inf")
    top = tl.full([BLOCK_N], -infinity, tl.float32)
    best = tl.full([BLOCK_N], -infinity, tl.float32)
    best_at = tl.full([BLOCK_N], 2147483647, tl.int32)
    linear = tl.zeros([BLOCK_N], tl.float32)
    for g in range(0, groups, BLOCK_G):
        offs_g = g + tl.arange(0, BLOCK_G)
        at = offs_g.to(tl.int64)[:, None] * N + offs_n[None, :]
        mask = (offs_g < groups)[:, None] & mask_n[None, :]
        top = tl.maximum(top, tl.max(tl.load(max_ptr + at, mask=mask, other=-infinity), axis=0))
        if SMOOTHING:
            linear += tl.sum(tl.load(linear_ptr + at, mask=mask, other=0.0), axis=0)
        if ARGMAX:
            value = tl.load(best_ptr + at, mask=mask, other=-infinity)
            where = tl.load(best_at_ptr + at, mask=mask, other=2147483647)
            highest = tl.max(value, axis=0)
            first = tl.min(tl.where(value == highest[None, :], where, 2147483647), axis=0)
            # Groups come in the order of their columns: an equal one later is not the first.
            best_at = tl.where(highest > best, first, best_at)
            best = tl.maximum(best, highest)
    base = tl.where(top == -infinity, 0.0, top)
    total = tl.zeros([BLOCK_N], tl.float32)
    gap = tl.zeros([BLOCK_N], tl.float32)
    for g in range(0, groups, BLOCK_G):
        offs_g = g + tl.arange(0, BLOCK_G)
        at = offs_g.to(tl.int64)[:, None] * N + offs_n[None, :]
        mask = (offs_g < groups)[:, None] & mask_n[None, :]
        maximum = tl.load(max_ptr + at, mask=mask, other=-infinity)
        part = tl.load(sum_ptr + at, mask=mask, other=0.0)
        share = tl.exp(maximum - base[None, :])
        total += tl.sum(part * share, axis=0)
        if ENTROPY:
            drop = tl.where(maximum == -infinity, 0.0, maximum - base[None, :])
            part_gap = tl.load(gap_ptr + at, mask=mask, other=0.0)
            gap += tl.sum(share * (part_gap + part * drop), axis=0)
    valid = tl.load(valid_ptr + offs_n, mask=mask_n, other=0) != 0
    ref = tl.load(ref_ptr + offs_n, mask=mask_n, other=0.0)
    rest = base + tl.log(total)
    # A difference first: the sum with a large maximum would round the logarithm away.
    over = (base - ref) + tl.log(total)
    loss = _softplus(over)
    # A reference of minus infinity has no softplus that adds up; the others are all there is.
    with_target = tl.where(ref == -infinity, rest, ref + loss)
    lse = tl.where(valid, with_target, rest)
    # What rounding left of exp(z - lse), which is not quite 1 all together.
    others = tl.where(total > 0, total * tl.exp(base - lse), 0.0)
    mass = others + tl.where(valid, tl.exp(ref - lse), 0.0)
    # A target that is no class at all has NaN for its reference, and shows it.
    without_target = tl.where(ref != ref, ref, 0.0)
    tl.store(logprob_ptr + offs_n, tl.where(valid, -loss, without_target), mask=mask_n)
    tl.store(lse_ptr + offs_n, lse, mask=mask_n)
    tl.store(mass_ptr + offs_n, mass, mask=mask_n)
    if ENTROPY:
        z_target = tl.where(valid, ref, -infinity)
        both = tl.maximum(top, z_target)
        both = tl.where(both == -infinity, 0.0, both)
        share = tl.exp(top - both)
        drop = tl.where(top == -infinity, 0.0, top - both)
        target_share = tl.exp(z_target - both)
        target_gap = tl.where(target_share > 0, target_share * (z_target - both), 0.0)
        whole = share * total + target_share
        gap = share * (gap + total * drop) + target_gap
        tl.store(entropy_ptr + offs_n, tl.log(whole) - gap / whole, mask=mask_n)
    if SMOOTHING:
        smooth = tl.load(weight_sum_ptr) * (lse - ref + tl.log(mass)) - linear
        tl.store(smooth_ptr + offs_n, smooth, mask=mask_n)
    if ARGMAX:
        tl.store(argmax_ptr + offs_n, best_at.to(tl.int64), mask=mask_n)
    if MEND:
        # Of rows without a target too: their infinity times a factor of 0 would be NaN.
        low = (lse - ref > max_lift) & mask_n
        tl.store(redo_ptr + pid, tl.max(low.to(tl.int32), axis=0))
        ref = tl.where(low, lse, ref)
        size = tl.where(valid, -scale * tl.exp(ref - lse) / mass, without_target)
        t = tl.exp(-tl.abs(over))
        not_target = tl.where(over > 0, 1.0, t) / (1.0 + t)
        tl.store(ref_ptr + offs_n, ref, mask=mask_n)
        tl.store(units_ptr + offs_n, ref, mask=mask_n)
        tl.store(units_ptr + N + offs_n, tl.full([BLOCK_N], 1.0, tl.float32), mask=mask_n)
        tl.store(units_ptr + 2 * N + offs_n, -not_target * mass * tl.exp(lse - ref), mask=mask_n)
        tl.store(units_ptr + 3 * N + offs_n, size, mask=mask_n)


@triton.jit
def _linear_cross_entropy_patch_kernel(
    kept_ptr,
    target_ptr,
    at_target_ptr,
    N,
    kept,
    stride_keptn,
    BLOCK_N: tl.constexpr,
):
    """Write the target's gradient over the target's kept exponential."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    target = tl.load(target_ptr + offs_n, mask=offs_n < N, other=-1)
    value = tl.load(at_target_ptr + offs_n, mask=offs_n < N, other=0.0)
    mask = (offs_n < N) & (target >= 0) & (target < kept)
    kept_ptrs = kept_ptr + offs_n.to(tl.int64) * stride_keptn + target
    tl.store(kept_ptrs, value.to(kept_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _linear_cross_entropy_scale_rows_kernel(
    in_ptr,
    factor_ptr,
    out_ptr,
    N,
    D,
    stride_inn,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """``out = factor * in``, formed in float32; a factor of 0 gives 0 whatever it meets."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_n = offs_n < N
    mask = mask_n[:, None] & (offs_d < D)[None, :]
    factor = tl.load(factor_ptr + offs_n, mask=mask_n, other=0.0)
    rows = offs_n.to(tl.int64)[:, None]
    value = tl.load(in_ptr + rows * stride_inn + offs_d[None, :], mask=mask, other=0.0)
    scaled = tl.where(factor[:, None] == 0, 0.0, value.to(tl.float32) * factor[:, None])
    tl.store(out_ptr + rows * D + offs_d[None, :], scaled.to(out_ptr.dtype.element_ty), mask=mask)


def _compile_cases() -> tuple[CompileCase, ...]:
    floats = dict.fromkeys(
        ("max", "sum", "gap", "linear", "best", "ref", "weight_sum", "logprob", "lse", "mass",
         "entropy", "smooth", "units"),
        "*fp32",
    )  # fmt: skip
    merge = {f"{name}_ptr": kind for name, kind in floats.items()} | {
        "best_at_ptr": "*i32", "target_ptr": "*i32", "valid_ptr": "*i1", "argmax_ptr": "*i64",
        "redo_ptr": "*i32", "N": "i32", "groups": "i32", "max_lift": "fp32", "scale": "fp32",
    }  # fmt: skip
    prepare = {
        "x_ptr": "*bf16", "w_ptr": "*bf16", "bias_ptr": "*bf16", "target_ptr": "*i64",
        "local_ptr": "*i32", "valid_ptr": "*i1", "ref_ptr": "*fp32", "bad_ptr": "*i32",
        "N": "i32", "D": "i32", "ignore_index": "i32", "start": "i32", "V": "i32", "total": "i32",
        "stride_xn": "i32", "stride_wv": "i32", "scale": "fp32", "cap": "fp32",
    }  # fmt: skip
    patch = {
        "kept_ptr": "*bf16", "target_ptr": "*i32", "at_target_ptr": "*fp32", "N": "i32",
        "kept": "i32", "stride_keptn": "i32",
    }  # fmt: skip
    scale = {
        "in_ptr": "*fp32", "factor_ptr": "*fp32", "out_ptr": "*bf16", "N": "i32", "D": "i32",
        "stride_inn": "i32",
    }  # fmt: skip
    everything = dict.fromkeys(("ENTROPY", "SMOOTHING", "ARGMAX", "MEND"), True)
    return (
        CompileCase(
            "prepare",
            _linear_cross_entropy_prepare_kernel,
            prepare,
            {"HAS_BIAS": True, "CAP": True, "BLOCK_N": 4, "BLOCK_D": 1024},
        ),
        CompileCase(
            "merge",
            _linear_cross_entropy_merge_kernel,
            merge,
            {**everything, "BLOCK_N": 128, "BLOCK_G": 16},
        ),
        CompileCase("patch", _linear_cross_entropy_patch_kernel, patch, {"BLOCK_N": 128}),
        CompileCase(
            "scale-rows",
            _linear_cross_entropy_scale_rows_kernel,
            scale,
            {"BLOCK_N": 8, "BLOCK_D": 512},
        ),
    )


COMPILE_CASES = _compile_cases()
