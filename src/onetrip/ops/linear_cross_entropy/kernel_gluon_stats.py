# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Forward kernel for Hopper: log-sum-exp of every row, logits never stored.

The running maximum and sum of a row stay in registers for a whole work item. The target's own
column stays out of the sum (see `rows.py`). With `STORE`, the exponentials of the first columns
leave through shared memory and the copy engine, relative to each row's reference.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import fence_async_shared, tma

from onetrip.ops.linear_cross_entropy.kernel_gluon import (
    COLS,
    HALF,
    LOG2E,
    add_bias_and_scale,
    locate,
    make_ring,
    produce,
    put_at_target,
    soft_cap,
    tile_product,
)
from onetrip.tile.compile_case import CompileCase, descriptor_type

# Stored exponentials stay finite up to this power of two above the row's reference.
STORED_LIMIT = gl.constexpr(100.0)
# What bases count, so that half precision holds those of logits beyond its own range.
BASE_UNIT = gl.constexpr(1024.0)
LARGEST_BASE = gl.constexpr(65504.0)
FIRST = gl.constexpr(0)
SECOND = gl.constexpr(1)
NO = gl.constexpr(False)


@gluon.jit
def _consume(
    half: gl.constexpr,
    x_bufs,
    w_bufs,
    stage,
    ready,
    free,
    kept_desc,
    base_ptr,
    bias_ptr,
    class_weight_ptr,
    target_ptr,
    ref_ptr,
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
    items,
    scale,
    cap,
    GROUP: gl.constexpr,
    CHUNK: gl.constexpr,
    HAS_BIAS: gl.constexpr,
    HAS_SCALE: gl.constexpr,
    HAS_CLASS_WEIGHT: gl.constexpr,
    CAP: gl.constexpr,
    STORE: gl.constexpr,
    STORE_LOGITS: gl.constexpr,
    ENTROPY: gl.constexpr,
    SMOOTHING: gl.constexpr,
    ARGMAX: gl.constexpr,
):
    """Partial statistics of this warpgroup's 64 rows over the columns of each item."""
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLS, 16])
    row_layout: gl.constexpr = gl.SliceLayout(1, layout)
    col_layout: gl.constexpr = gl.SliceLayout(0, layout)
    row_blocks = gl.cdiv(N, 2 * HALF)
    tiles = gl.cdiv(V, COLS)
    step = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        row_block, group = locate(item, row_blocks, gl.cdiv(tiles, GROUP), CHUNK)
        row = row_block * 2 * HALF + half * HALF
        offs_n = row + gl.arange(0, HALF, row_layout)
        mask_n = offs_n < N
        target = gl.load(target_ptr + offs_n, mask=mask_n, other=-1)
        ref = gl.load(ref_ptr + offs_n, mask=mask_n, other=0.0)
        nothing = gl.full([HALF], float("-inf"), gl.float32, row_layout)
        m = nothing
        s = gl.zeros([HALF], gl.float32, row_layout)
        gap = gl.zeros([HALF], gl.float32, row_layout)
        linear = gl.zeros([HALF], gl.float32, row_layout)
        best = gl.full([HALF], float("-inf"), gl.float32, row_layout)
        best_at = gl.zeros([HALF], gl.int32, row_layout)
        for tile in range(group * GROUP, gl.minimum(group * GROUP + GROUP, tiles)):
            col = tile * COLS
            acc, step = tile_product(x_bufs, w_bufs, ready, free, step, D, half, layout)
            offs_v = col + gl.arange(0, COLS, col_layout)
            z = add_bias_and_scale(acc, bias_ptr, offs_v, V, scale, HAS_BIAS, HAS_SCALE)
            if ARGMAX:
                # Before the cap, whose rounding makes equals of small logits.
                if col + COLS > V:
                    z = gl.where(gl.expand_dims(offs_v < V, 0), z, float("-inf"))
                top = gl.max(z, axis=1)
                at = gl.where(z == gl.expand_dims(top, 1), gl.expand_dims(offs_v, 0), 2147483647)
                at = gl.min(at, axis=1)
                best_at = gl.where(top > best, at, best_at)
                best = gl.maximum(top, best)
            if CAP:
                z = soft_cap(z, cap)
            if SMOOTHING:
                relative = z - gl.expand_dims(ref, 1)
                if HAS_CLASS_WEIGHT:
                    share = gl.load(class_weight_ptr + offs_v, mask=offs_v < V, other=0.0)
                else:
                    share = (offs_v < V).to(gl.float32)
                # A class of weight 0 must not contribute 0 * inf where its logit is masked out.
                share = gl.expand_dims(share, 0)
                linear += gl.sum(gl.where(share != 0, relative * share, 0.0), axis=1)
            if col + COLS > V:
                z = gl.where(gl.expand_dims(offs_v < V, 0), z, float("-inf"))
            if STORE_LOGITS:
                if col < kept:
                    # Relative to their row's largest, so that the large ones keep their digits.
                    low = gl.max(z, axis=1) / BASE_UNIT
                    low = gl.minimum(gl.maximum(low, -LARGEST_BASE), LARGEST_BASE)
                    low = low.to(kept_desc.dtype)
                    gl.store(base_ptr + (col // COLS).to(gl.int64) * N + offs_n, low, mask=mask_n)
                    above = z - gl.expand_dims(low.to(gl.float32) * BASE_UNIT, 1)
                    tma.store_wait(0)
                    stage.index(half).store(above.to(kept_desc.dtype))
                    fence_async_shared()
                    tma.async_copy_shared_to_global(kept_desc, [row, col], stage.index(half))
            z = put_at_target(z, nothing, target, col, offs_v)
            m_new = gl.maximum(m, gl.max(z, axis=1))
            base = gl.where(m_new == float("-inf"), 0.0, m_new)
            e = gl.exp2(z * LOG2E - gl.expand_dims(base * LOG2E, 1))
            rescale = gl.exp2((m - base) * LOG2E)
            if ENTROPY:
                over = gl.where(e > 0, z - gl.expand_dims(base, 1), 0.0)
                drop = gl.where(m == float("-inf"), 0.0, m - base)
                gap = rescale * (gap + s * drop) + gl.sum(e * over, axis=1)
            s = s * rescale + gl.sum(e, axis=1)
            m = m_new
            if STORE:
                if not STORE_LOGITS:
                    if col < kept:
                        lift = gl.exp2(gl.minimum((base - ref) * LOG2E, STORED_LIMIT))
                        value = (e * gl.expand_dims(lift, 1)).to(kept_desc.dtype)
                        tma.store_wait(0)
                        stage.index(half).store(value)
                        fence_async_shared()
                        tma.async_copy_shared_to_global(kept_desc, [row, col], stage.index(half))
        out = group.to(gl.int64) * N + offs_n
        gl.store(max_ptr + out, m, mask=mask_n)
        gl.store(sum_ptr + out, s, mask=mask_n)
        if ENTROPY:
            gl.store(gap_ptr + out, gap, mask=mask_n)
        if SMOOTHING:
            gl.store(linear_ptr + out, linear, mask=mask_n)
        if ARGMAX:
            gl.store(best_ptr + out, best, mask=mask_n)
            gl.store(best_at_ptr + out, best_at, mask=mask_n)
    if STORE:
        tma.store_wait(0)


@gluon.jit
def _linear_cross_entropy_stats_kernel(
    x_desc,
    w_desc,
    kept_desc,
    base_ptr,
    bias_ptr,
    class_weight_ptr,
    target_ptr,
    ref_ptr,
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
    items,
    scale,
    cap,
    GROUP: gl.constexpr,
    CHUNK: gl.constexpr,
    STAGES: gl.constexpr,
    HAS_BIAS: gl.constexpr,
    HAS_SCALE: gl.constexpr,
    HAS_CLASS_WEIGHT: gl.constexpr,
    CAP: gl.constexpr,
    STORE: gl.constexpr,
    STORE_LOGITS: gl.constexpr,
    ENTROPY: gl.constexpr,
    SMOOTHING: gl.constexpr,
    ARGMAX: gl.constexpr,
):
    x_bufs, w_bufs, ready, free = make_ring(x_desc, w_desc, STAGES)
    if STORE:
        stage = gl.allocate_shared_memory(
            kept_desc.dtype, [2] + kept_desc.block_type.shape, kept_desc.layout
        )
    else:
        stage = x_bufs
    # A tuple in a variable would turn its constexprs into run-time values: hence spelled out.
    gl.warp_specialize(
        [
            (_consume, (FIRST, x_bufs, w_bufs, stage, ready, free, kept_desc, base_ptr, bias_ptr,
                        class_weight_ptr, target_ptr, ref_ptr, max_ptr, sum_ptr, gap_ptr,
                        linear_ptr, best_ptr, best_at_ptr, N, D, V, kept, items, scale, cap,
                        GROUP, CHUNK, HAS_BIAS, HAS_SCALE, HAS_CLASS_WEIGHT, CAP, STORE,
                        STORE_LOGITS, ENTROPY, SMOOTHING, ARGMAX)),
            (_consume, (SECOND, x_bufs, w_bufs, stage, ready, free, kept_desc, base_ptr, bias_ptr,
                        class_weight_ptr, target_ptr, ref_ptr, max_ptr, sum_ptr, gap_ptr,
                        linear_ptr, best_ptr, best_at_ptr, N, D, V, kept, items, scale, cap,
                        GROUP, CHUNK, HAS_BIAS, HAS_SCALE, HAS_CLASS_WEIGHT, CAP, STORE,
                        STORE_LOGITS, ENTROPY, SMOOTHING, ARGMAX)),
            (produce, (x_desc, w_desc, x_bufs, w_bufs, ready, free, target_ptr, N, D, 0, V, items,
                       GROUP, CHUNK, NO)),
        ],
        [4, 1],
        [240, 24],
    )  # fmt: skip


def _compile_cases() -> tuple[CompileCase, ...]:
    def tile(dtype: str, rows: int, columns: int) -> str:
        block = [rows, columns]
        element = gl.float16 if dtype == "fp16" else gl.bfloat16
        layout = gl.NVMMASharedLayout.get_default_for(block, element)
        return descriptor_type(dtype, block, layout)

    floats = dict.fromkeys(("class_weight", "ref", "max", "sum", "gap", "linear", "best"), "*fp32")

    def signature(dtype: str, store: bool) -> dict[str, str]:
        return {f"{name}_ptr": kind for name, kind in floats.items()} | {
            "x_desc": tile(dtype, 64, 64), "w_desc": tile(dtype, 256, 64),
            "kept_desc": tile(dtype, 64, 256 if store else 64),
            "base_ptr": f"*{dtype}", "bias_ptr": f"*{dtype}",
            "target_ptr": "*i32", "best_at_ptr": "*i32", "N": "i32", "D": "i32", "V": "i32",
            "kept": "i32", "items": "i32", "scale": "fp32", "cap": "fp32",
        }  # fmt: skip

    names = (
        "HAS_BIAS",
        "HAS_SCALE",
        "HAS_CLASS_WEIGHT",
        "CAP",
        "STORE_LOGITS",
        "ENTROPY",
        "SMOOTHING",
        "ARGMAX",
    )
    plain = {**dict.fromkeys(names, False), "GROUP": 4, "CHUNK": 8}
    return tuple(
        CompileCase(
            name,
            _linear_cross_entropy_stats_kernel,
            signature(dtype, store),
            {**plain, **flags, "STORE": store, "STAGES": 3 if store else 4},
            targets=("sm_90",),
        )
        for name, dtype, store, flags in (
            ("plain", "bf16", False, {}),
            ("plain-keeps", "bf16", True, {}),
            ("keeps-logits", "fp16", True, {"STORE_LOGITS": True}),
            ("gemma", "bf16", False, {"CAP": True}),
            ("rl", "bf16", False, {"ENTROPY": True, "ARGMAX": True}),
            ("capped-argmax", "bf16", False, {"CAP": True, "ARGMAX": True}),
        )
    )


COMPILE_CASES = _compile_cases()
