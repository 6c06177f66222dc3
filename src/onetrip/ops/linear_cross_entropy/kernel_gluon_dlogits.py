# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Backward kernel for Hopper: the logits of a tile again, and out comes only their gradient."""

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
    wanted,
)
from onetrip.tile.compile_case import CompileCase, descriptor_type

FIRST = gl.constexpr(0)
SECOND = gl.constexpr(1)
ONE = gl.constexpr(1)


@gluon.jit
def _consume(
    half: gl.constexpr,
    x_bufs,
    w_bufs,
    stage,
    ready,
    free,
    out_desc,
    bias_ptr,
    class_weight_ptr,
    target_ptr,
    coefficients_ptr,
    redo_ptr,
    N,
    D,
    V,
    col_start,
    width,
    items,
    scale,
    cap,
    CHUNK: gl.constexpr,
    HAS_BIAS: gl.constexpr,
    HAS_SCALE: gl.constexpr,
    HAS_CLASS_WEIGHT: gl.constexpr,
    CAP: gl.constexpr,
    ENTROPY: gl.constexpr,
    SMOOTHING: gl.constexpr,
    ONLY_FLAGGED: gl.constexpr,
):
    """Gradient of this warpgroup's 64 rows with respect to the logits of each tile."""
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLS, 16])
    row_layout: gl.constexpr = gl.SliceLayout(1, layout)
    col_layout: gl.constexpr = gl.SliceLayout(0, layout)
    row_blocks = gl.cdiv(N, 2 * HALF)
    tiles = gl.cdiv(width, COLS)
    step = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        row_block, tile = locate(item, row_blocks, tiles, CHUNK)
        if wanted(redo_ptr, row_block, ONLY_FLAGGED):
            row = row_block * 2 * HALF + half * HALF
            acc, step = tile_product(x_bufs, w_bufs, ready, free, step, D, half, layout)
            offs_n = row + gl.arange(0, HALF, row_layout)
            offs_v = col_start + tile * COLS + gl.arange(0, COLS, col_layout)
            mask_n = offs_n < N
            row_ptrs = coefficients_ptr + offs_n
            target = gl.load(target_ptr + offs_n, mask=mask_n, other=-1)
            ref = gl.load(row_ptrs, mask=mask_n, other=0.0)
            a = gl.load(row_ptrs + N, mask=mask_n, other=0.0)
            at_target = gl.load(row_ptrs + 2 * N, mask=mask_n, other=0.0)
            z = add_bias_and_scale(acc, bias_ptr, offs_v, V, scale, HAS_BIAS, HAS_SCALE)
            if CAP:
                z = soft_cap(z, cap)
            if ENTROPY:
                b = gl.load(row_ptrs + 3 * N, mask=mask_n, other=0.0)
                log_p = z - gl.expand_dims(ref, 1)
                g = gl.exp2(log_p * LOG2E)
                slope = gl.expand_dims(a, 1) + gl.expand_dims(b, 1) * log_p
                g = gl.where(g > 0, g * slope, 0.0)
            else:
                g = gl.exp2(z * LOG2E - gl.expand_dims(ref * LOG2E, 1)) * gl.expand_dims(a, 1)
            if SMOOTHING:
                smooth = gl.load(row_ptrs + 4 * N, mask=mask_n, other=0.0)
                if HAS_CLASS_WEIGHT:
                    share = gl.load(class_weight_ptr + offs_v, mask=offs_v < V, other=0.0)
                    g = g - gl.expand_dims(smooth, 1) * gl.expand_dims(share, 0)
                else:
                    g = g - gl.expand_dims(smooth, 1)
            if CAP:
                bent = z / cap
                g = g * (1.0 - bent * bent)
            g = put_at_target(g, at_target, target, col_start + tile * COLS, offs_v)
            tma.store_wait(0)
            stage.index(half).store(g.to(out_desc.dtype))
            fence_async_shared()
            tma.async_copy_shared_to_global(out_desc, [row, tile * COLS], stage.index(half))
    tma.store_wait(0)


@gluon.jit
def _linear_cross_entropy_dlogits_kernel(
    x_desc,
    w_desc,
    out_desc,
    bias_ptr,
    class_weight_ptr,
    target_ptr,
    coefficients_ptr,
    redo_ptr,
    N,
    D,
    V,
    col_start,
    width,
    items,
    scale,
    cap,
    CHUNK: gl.constexpr,
    STAGES: gl.constexpr,
    HAS_BIAS: gl.constexpr,
    HAS_SCALE: gl.constexpr,
    HAS_CLASS_WEIGHT: gl.constexpr,
    CAP: gl.constexpr,
    ENTROPY: gl.constexpr,
    SMOOTHING: gl.constexpr,
    ONLY_FLAGGED: gl.constexpr,
):
    """Gradient of the logits of columns [col_start, col_start + width), into out [N, width]."""
    x_bufs, w_bufs, ready, free = make_ring(x_desc, w_desc, STAGES)
    stage = gl.allocate_shared_memory(
        out_desc.dtype, [2] + out_desc.block_type.shape, out_desc.layout
    )
    gl.warp_specialize(
        [
            (_consume, (FIRST, x_bufs, w_bufs, stage, ready, free, out_desc, bias_ptr,
                        class_weight_ptr, target_ptr, coefficients_ptr, redo_ptr, N, D, V,
                        col_start, width, items, scale, cap, CHUNK, HAS_BIAS, HAS_SCALE,
                        HAS_CLASS_WEIGHT, CAP, ENTROPY, SMOOTHING, ONLY_FLAGGED)),
            (_consume, (SECOND, x_bufs, w_bufs, stage, ready, free, out_desc, bias_ptr,
                        class_weight_ptr, target_ptr, coefficients_ptr, redo_ptr, N, D, V,
                        col_start, width, items, scale, cap, CHUNK, HAS_BIAS, HAS_SCALE,
                        HAS_CLASS_WEIGHT, CAP, ENTROPY, SMOOTHING, ONLY_FLAGGED)),
            (produce, (x_desc, w_desc, x_bufs, w_bufs, ready, free, redo_ptr, N, D, col_start,
                       width, items, ONE, CHUNK, ONLY_FLAGGED)),
        ],
        [4, 1],
        [240, 24],
    )  # fmt: skip


def _compile_cases() -> tuple[CompileCase, ...]:
    def tile(rows: int, columns: int) -> str:
        block = [rows, columns]
        layout = gl.NVMMASharedLayout.get_default_for(block, gl.bfloat16)
        return descriptor_type("bf16", block, layout)

    signature = {
        "x_desc": tile(64, 64), "w_desc": tile(256, 64), "out_desc": tile(64, 256),
        "bias_ptr": "*bf16", "class_weight_ptr": "*fp32", "target_ptr": "*i32",
        "coefficients_ptr": "*fp32", "redo_ptr": "*i32", "N": "i32", "D": "i32", "V": "i32",
        "col_start": "i32", "width": "i32", "items": "i32", "scale": "fp32", "cap": "fp32",
    }  # fmt: skip
    names = (
        "HAS_BIAS",
        "HAS_SCALE",
        "HAS_CLASS_WEIGHT",
        "CAP",
        "ENTROPY",
        "SMOOTHING",
        "ONLY_FLAGGED",
    )
    plain = {**dict.fromkeys(names, False), "CHUNK": 8, "STAGES": 3}
    return tuple(
        CompileCase(
            name,
            _linear_cross_entropy_dlogits_kernel,
            signature,
            {**plain, **flags},
            targets=("sm_90",),
        )
        for name, flags in (
            ("plain", {}),
            ("redo", {"ONLY_FLAGGED": True}),
            ("gemma", {"CAP": True}),
            ("rl", {"ENTROPY": True}),
            ("smoothing", {"SMOOTHING": True}),
        )
    )


COMPILE_CASES = _compile_cases()
