# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Portable Triton kernels: log-sum-exp and logit gradients, with no logit in memory.

Idea: one program owns `BLOCK_N` tokens and walks `GROUP` tiles of `BLOCK_V` columns of the head.
For every tile it forms the logits in registers and either folds them into the rows' running
maximum and sum (`stats`) or turns them into their gradient (`dlogits`), which is the only thing
of that size ever written, one workspace tile at a time.

The target's own column stays out of the running sum. The loss is then the softplus of what the
others have over the target, which keeps a small loss that ``lse - z_target`` would round away.

Programs are numbered rows first within a chunk of `CHUNK` row blocks, so that the programs that
run together share columns of the head and the chunk's hidden states stay in cache.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase
from onetrip.tile.soft_cap import soft_cap

LOG2E = tl.constexpr(1.4426950408889634)
# Stored exponentials stay finite up to this power of two above the row's reference.
STORED_LIMIT = tl.constexpr(100.0)
# What bases count, so that half precision holds those of logits beyond its own range.
BASE_UNIT = tl.constexpr(1024.0)
LARGEST_BASE = tl.constexpr(65504.0)


@triton.jit
def _locate(item, row_blocks, groups, CHUNK: tl.constexpr):
    """Row block and column group of a work item: rows first within a chunk of row blocks."""
    chunk = item // (CHUNK * groups)
    within = item - chunk * CHUNK * groups
    rows = tl.minimum(CHUNK, row_blocks - chunk * CHUNK)
    return chunk * CHUNK + within % rows, within // rows


@triton.jit
def _logits_tile(
    x_ptr,
    w_ptr,
    bias_ptr,
    offs_n,
    offs_v,
    N,
    D,
    V,
    stride_xn,
    stride_wv,
    scale,
    cap,
    HAS_BIAS: tl.constexpr,
    CAP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Scaled and capped logits of one tile, float32 [BLOCK_N, BLOCK_V]."""
    acc = tl.zeros([BLOCK_N, BLOCK_V], dtype=tl.float32)
    offs_d = tl.arange(0, BLOCK_D)
    x_ptrs = x_ptr + offs_n.to(tl.int64)[:, None] * stride_xn + offs_d[None, :]
    w_ptrs = w_ptr + offs_v.to(tl.int64)[None, :] * stride_wv + offs_d[:, None]
    mask_n = offs_n < N
    mask_v = offs_v < V
    for d in range(0, D, BLOCK_D):
        mask_d = offs_d < D - d
        x = tl.load(x_ptrs + d, mask=mask_n[:, None] & mask_d[None, :], other=0.0)
        w = tl.load(w_ptrs + d, mask=mask_d[:, None] & mask_v[None, :], other=0.0)
        acc = tl.dot(x, w, acc, input_precision="ieee")
    if HAS_BIAS:
        acc += tl.load(bias_ptr + offs_v, mask=mask_v, other=0.0).to(tl.float32)[None, :]
    z = acc * scale
    if CAP:
        z = soft_cap(z, cap)
    return z


@triton.jit
def _store_kept(value, kept_ptr, offs_n, offs_v, N, kept, stride_keptn):
    """Store the columns of a tile that are to be kept."""
    kept_ptrs = kept_ptr + offs_n.to(tl.int64)[:, None] * stride_keptn + offs_v[None, :]
    mask = (offs_n < N)[:, None] & (offs_v < kept)[None, :]
    tl.store(kept_ptrs, value.to(kept_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _store_logits(z, kept_ptr, base_ptr, offs_n, offs_v, N, kept, stride_keptn):
    """Store logits relative to their row's largest, so that the large ones keep their digits."""
    top = tl.max(z, axis=1) / BASE_UNIT
    base = tl.minimum(tl.maximum(top, -LARGEST_BASE), LARGEST_BASE).to(base_ptr.dtype.element_ty)
    first = tl.min(offs_v)
    tile = (first // z.shape[1]).to(tl.int64)
    tl.store(base_ptr + tile * N + offs_n, base, mask=(offs_n < N) & (first < kept))
    above = z - base.to(tl.float32)[:, None] * BASE_UNIT
    _store_kept(above, kept_ptr, offs_n, offs_v, N, kept, stride_keptn)


@triton.jit
def _linear_cross_entropy_stats_kernel(
    x_ptr,
    w_ptr,
    bias_ptr,
    class_weight_ptr,
    target_ptr,
    ref_ptr,
    kept_ptr,
    base_ptr,
    max_ptr,
    sum_ptr,
    gap_ptr,
    linear_ptr,
    best_ptr,
    best_at_ptr,
    N,
    D,
    V,
    kept,
    stride_xn,
    stride_wv,
    stride_keptn,
    scale,
    cap,
    GROUP: tl.constexpr,
    CHUNK: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    HAS_CLASS_WEIGHT: tl.constexpr,
    CAP: tl.constexpr,
    STORE: tl.constexpr,
    STORE_LOGITS: tl.constexpr,
    ENTROPY: tl.constexpr,
    SMOOTHING: tl.constexpr,
    ARGMAX: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Partial statistics [groups, N] of every row over each group of columns."""
    tiles = tl.cdiv(V, BLOCK_V)
    pid_n, group = _locate(tl.program_id(0), tl.cdiv(N, BLOCK_N), tl.cdiv(tiles, GROUP), CHUNK)
    offs_n = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    target = tl.load(target_ptr + offs_n, mask=mask_n, other=-1)
    ref = tl.load(ref_ptr + offs_n, mask=mask_n, other=0.0)
    m = tl.full([BLOCK_N], float("-inf"), tl.float32)
    s = tl.zeros([BLOCK_N], tl.float32)
    gap = tl.zeros([BLOCK_N], tl.float32)
    linear = tl.zeros([BLOCK_N], tl.float32)
    best = tl.full([BLOCK_N], float("-inf"), tl.float32)
    best_at = tl.zeros([BLOCK_N], tl.int32)
    for tile in range(group * GROUP, tl.minimum(group * GROUP + GROUP, tiles)):
        offs_v = tile * BLOCK_V + tl.arange(0, BLOCK_V)
        mask_v = offs_v < V
        z = _logits_tile(
            x_ptr, w_ptr, bias_ptr, offs_n, offs_v, N, D, V, stride_xn, stride_wv, scale, cap,
            HAS_BIAS, CAP, BLOCK_N, BLOCK_V, BLOCK_D,
        )  # fmt: skip
        if SMOOTHING:
            share = mask_v.to(tl.float32)
            if HAS_CLASS_WEIGHT:
                share = tl.load(class_weight_ptr + offs_v, mask=mask_v, other=0.0)
            # A class of weight 0 must not contribute 0 * inf where its logit is masked out.
            relative = tl.where(share[None, :] != 0, (z - ref[:, None]) * share[None, :], 0.0)
            linear += tl.sum(relative, axis=1)
        z = tl.where(mask_v[None, :], z, float("-inf"))
        if ARGMAX:
            top = tl.max(z, axis=1)
            at = tl.min(tl.where(z == top[:, None], offs_v[None, :], 2147483647), axis=1)
            best_at = tl.where(top > best, at, best_at)
            best = tl.maximum(best, top)
        if STORE_LOGITS:
            _store_logits(z, kept_ptr, base_ptr, offs_n, offs_v, N, kept, stride_keptn)
        z = tl.where(offs_v[None, :] == target[:, None], float("-inf"), z)
        m_new = tl.maximum(m, tl.max(z, axis=1))
        base = tl.where(m_new == float("-inf"), 0.0, m_new)
        over = z - base[:, None]
        e = tl.exp2(over * LOG2E)
        rescale = tl.exp2((m - base) * LOG2E)
        if ENTROPY:
            drop = tl.where(m == float("-inf"), 0.0, m - base)
            gap = rescale * (gap + s * drop) + tl.sum(tl.where(e > 0, e * over, 0.0), axis=1)
        s = s * rescale + tl.sum(e, axis=1)
        m = m_new
        if STORE:
            if not STORE_LOGITS:
                # One factor a row turns the exponential over the maximum into the one to keep.
                lift = tl.exp2(tl.minimum((base - ref) * LOG2E, STORED_LIMIT))
                _store_kept(e * lift[:, None], kept_ptr, offs_n, offs_v, N, kept, stride_keptn)
    out = group.to(tl.int64) * N + offs_n
    tl.store(max_ptr + out, m, mask=mask_n)
    tl.store(sum_ptr + out, s, mask=mask_n)
    if ENTROPY:
        tl.store(gap_ptr + out, gap, mask=mask_n)
    if SMOOTHING:
        tl.store(linear_ptr + out, linear, mask=mask_n)
    if ARGMAX:
        tl.store(best_ptr + out, best, mask=mask_n)
        tl.store(best_at_ptr + out, best_at, mask=mask_n)


@triton.jit
def gradient(
    z,
    offs_n,
    offs_v,
    coefficients_ptr,
    class_weight_ptr,
    target_ptr,
    cap,
    N,
    V,
    CAP: tl.constexpr,
    ENTROPY: tl.constexpr,
    SMOOTHING: tl.constexpr,
    HAS_CLASS_WEIGHT: tl.constexpr,
):
    """Turn a tile of logits into its gradient by the rows' coefficients [5, N].

    The rows are: reference, slope of p, value at the target, slope of p log p, smoothing.
    """
    mask_n = offs_n < N
    row_ptrs = coefficients_ptr + offs_n
    ref = tl.load(row_ptrs, mask=mask_n, other=0.0)
    a = tl.load(row_ptrs + N, mask=mask_n, other=0.0)
    at_target = tl.load(row_ptrs + 2 * N, mask=mask_n, other=0.0)
    target = tl.load(target_ptr + offs_n, mask=mask_n, other=-1)
    log_p = z - ref[:, None]
    p = tl.exp2(log_p * LOG2E)
    if ENTROPY:
        b = tl.load(row_ptrs + 3 * N, mask=mask_n, other=0.0)
        g = tl.where(p > 0, p * (a[:, None] + b[:, None] * log_p), 0.0)
    else:
        g = p * a[:, None]
    if SMOOTHING:
        smooth = tl.load(row_ptrs + 4 * N, mask=mask_n, other=0.0)
        share = (offs_v < V).to(tl.float32)
        if HAS_CLASS_WEIGHT:
            share = tl.load(class_weight_ptr + offs_v, mask=offs_v < V, other=0.0)
        g -= smooth[:, None] * share[None, :]
    if CAP:
        bent = z / cap
        g *= 1.0 - bent * bent
    return tl.where(offs_v[None, :] == target[:, None], at_target[:, None], g)


@triton.jit
def _linear_cross_entropy_dlogits_kernel(
    x_ptr,
    w_ptr,
    bias_ptr,
    class_weight_ptr,
    target_ptr,
    coefficients_ptr,
    redo_ptr,
    out_ptr,
    N,
    D,
    V,
    col_start,
    width,
    stride_xn,
    stride_wv,
    stride_outn,
    scale,
    cap,
    CHUNK: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    HAS_CLASS_WEIGHT: tl.constexpr,
    CAP: tl.constexpr,
    ENTROPY: tl.constexpr,
    SMOOTHING: tl.constexpr,
    ONLY_FLAGGED: tl.constexpr,
    REDO_ROWS: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Gradient of the logits of columns [col_start, col_start + width), into out [N, width]."""
    tiles = tl.cdiv(width, BLOCK_V)
    pid_n, pid_v = _locate(tl.program_id(0), tl.cdiv(N, BLOCK_N), tiles, CHUNK)
    if ONLY_FLAGGED:
        if tl.load(redo_ptr + pid_n * BLOCK_N // REDO_ROWS) == 0:
            return
    offs_n = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_c = pid_v * BLOCK_V + tl.arange(0, BLOCK_V)
    offs_v = col_start + offs_c
    z = _logits_tile(
        x_ptr, w_ptr, bias_ptr, offs_n, offs_v, N, D, V, stride_xn, stride_wv, scale, cap,
        HAS_BIAS, CAP, BLOCK_N, BLOCK_V, BLOCK_D,
    )  # fmt: skip
    g = gradient(
        z, offs_n, offs_v, coefficients_ptr, class_weight_ptr, target_ptr, cap, N, V,
        CAP, ENTROPY, SMOOTHING, HAS_CLASS_WEIGHT,
    )  # fmt: skip
    out_ptrs = out_ptr + offs_n.to(tl.int64)[:, None] * stride_outn + offs_c[None, :]
    mask = (offs_n < N)[:, None] & (offs_c < width)[None, :]
    tl.store(out_ptrs, g.to(out_ptr.dtype.element_ty), mask=mask)


def _case(
    kernel: object, signature: dict[str, str], flags: dict[str, bool], dtype: str, amd: bool
) -> CompileCase:
    """What `select.py` launches by default on NVIDIA or AMD devices."""
    half = dtype != "fp32"
    tiling = {"BLOCK_N": 128, "BLOCK_V": 128, "BLOCK_D": 64} if half else {}
    tiling = tiling or {"BLOCK_N": 64, "BLOCK_V": 64, "BLOCK_D": 32}
    all_flags = dict.fromkeys(
        ("HAS_BIAS", "HAS_CLASS_WEIGHT", "CAP", "ENTROPY", "SMOOTHING"), False
    )
    name = "-".join([dtype, "amd" if amd else "nvidia"] + ["keeps"] * flags.get("STORE", False))
    return CompileCase(
        name=f"{'stats' if kernel is _linear_cross_entropy_stats_kernel else 'dlogits'}-{name}",
        kernel=kernel,
        signature=signature,
        constexprs={**all_flags, **flags, **tiling, "CHUNK": 8},
        num_warps=8 if half else 4,
        num_stages=2 if amd else 3,
        targets=("gfx942", "gfx950") if amd else ("sm_80", "sm_90", "sm_100"),
        multiples_of_16=("N", "D", "stride_xn", "stride_wv"),
        # Spills of a tile on its way out lie outside the products' loop: 58, 10 and 38 of 16,384
        # entries on sm_80, sm_90 and sm_100, and 60, 42 and 70 of kept logits. float32 runs here
        # only by name.
        max_spills=(72 if flags.get("STORE") else 0) if half else 8,
    )


def _compile_cases() -> tuple[CompileCase, ...]:
    cases = []
    for dtype, amd in (("bf16", False), ("bf16", True), ("fp16", False), ("fp32", False)):
        sizes = dict.fromkeys(("N", "D", "V", "stride_xn", "stride_wv"), "i32")
        operands = {"x_ptr": f"*{dtype}", "w_ptr": f"*{dtype}", "bias_ptr": f"*{dtype}"}
        rows = {"class_weight_ptr": "*fp32", "target_ptr": "*i32"}
        scales = {"scale": "fp32", "cap": "fp32"}
        partials = dict.fromkeys(("ref", "max", "sum", "gap", "linear", "best"), "*fp32")
        stats = {
            **operands, **rows, **sizes, **scales,
            **{f"{name}_ptr": kind for name, kind in partials.items()},
            "best_at_ptr": "*i32", "kept_ptr": f"*{dtype}", "base_ptr": f"*{dtype}",
            "kept": "i32", "stride_keptn": "i32",
        }  # fmt: skip
        dlogits = {
            **operands, **rows, **sizes, **scales,
            "coefficients_ptr": "*fp32", "redo_ptr": "*i32", "out_ptr": f"*{dtype}",
            "col_start": "i32", "width": "i32", "stride_outn": "i32",
        }  # fmt: skip
        for store in (False, True):
            logits = store and dtype == "fp16"
            flags = {"STORE": store, "STORE_LOGITS": logits, "ARGMAX": False, "GROUP": 8}
            kernel = _linear_cross_entropy_stats_kernel
            cases.append(_case(kernel, stats, flags, dtype, amd))
        flags = {"ONLY_FLAGGED": False, "REDO_ROWS": 128}
        cases.append(_case(_linear_cross_entropy_dlogits_kernel, dlogits, flags, dtype, amd))
    return tuple(cases)


COMPILE_CASES = _compile_cases()
