# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Gluon kernels for Hopper: the logits of one tile never leave the chip.

Idea: three roles in one program. A producer warp streams tiles of hidden states and head through
a ring of shared-memory buffers with the bulk copy engine. Two consumer warpgroups multiply, each
64 rows x 256 columns of the same 128 x 256 tile, and turn their accumulators into what is needed.
They wait for data and not for each other, so one warpgroup's exponentials overlap with the
other's products as far as the ring is deep.

Tiling: a work item is one block of 128 rows and `GROUP` consecutive tiles of 256 columns; programs
walk the items rows first, so that all of them read the same columns of the head at the same time
and the head comes from memory once. The running maximum and sum of a row stay in registers for
the whole item.

Tried and dropped: see experiments/linear_cross_entropy/ and docs/log.md.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

BLOCK_N = 128
BLOCK_V = 256
BLOCK_D = 64
LOG2E = gl.constexpr(1.4426950408889634)
# Stored exponentials stay finite up to this power of two above the row's reference.
STORED_LIMIT = gl.constexpr(100.0)
FIRST = gl.constexpr(0)
SECOND = gl.constexpr(1)
ONE = gl.constexpr(1)
NO = gl.constexpr(False)


@gluon.jit
def _item_columns(item, row_blocks, V, GROUP: gl.constexpr, COLS: gl.constexpr):
    """First row block, first column and number of column tiles of a work item."""
    group = item // row_blocks
    tiles = gl.cdiv(V, COLS)
    first = group * GROUP
    return item % row_blocks, first, gl.minimum(GROUP, tiles - first)


@gluon.jit
def _make_ring(x_desc, w_desc, STAGES: gl.constexpr):
    """Shared buffers and barriers of the ring; every slot holds 2 x [64, D] and [256, D] tiles."""
    x_bufs = gl.allocate_shared_memory(
        x_desc.dtype, [2 * STAGES] + x_desc.block_type.shape, x_desc.layout
    )
    w_bufs = gl.allocate_shared_memory(
        w_desc.dtype, [STAGES] + w_desc.block_type.shape, w_desc.layout
    )
    ready = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    free = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for slot in gl.static_range(STAGES):
        mbarrier.init(ready.index(slot), count=1)
        mbarrier.init(free.index(slot), count=2)
    return x_bufs, w_bufs, ready, free


@gluon.jit
def _wanted(redo_ptr, row_block, ONLY_FLAGGED: gl.constexpr):
    """Whether a row block is to be computed: always, or only where its flag is set."""
    wanted = True
    if ONLY_FLAGGED:
        wanted = gl.load(redo_ptr + row_block) != 0
    return wanted


@gluon.jit
def _produce(
    x_desc,
    w_desc,
    x_bufs,
    w_bufs,
    ready,
    free,
    redo_ptr,
    N,
    D,
    V,
    col_start,
    items,
    GROUP: gl.constexpr,
    ONLY_FLAGGED: gl.constexpr,
):
    """Producer warp: keep the ring of (hidden states, head) tiles full."""
    STAGES: gl.constexpr = ready.shape[0]
    HALF: gl.constexpr = x_desc.block_shape[0]
    COLS: gl.constexpr = w_desc.block_shape[0]
    DEPTH: gl.constexpr = x_desc.block_shape[1]
    row_blocks = gl.cdiv(N, 2 * HALF)
    step = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        row_block, first, count = _item_columns(item, row_blocks, V, GROUP, COLS)
        row = row_block * 2 * HALF
        if not _wanted(redo_ptr, row_block, ONLY_FLAGGED):
            count = 0
        for tile in range(first, first + count):
            col = col_start + tile * COLS
            for d in range(0, D, DEPTH):
                slot = step % STAGES
                mbarrier.wait(free.index(slot), ((step // STAGES) & 1) ^ 1)
                bar = ready.index(slot)
                mbarrier.expect(bar, 2 * x_desc.block_type.nbytes + w_desc.block_type.nbytes)
                tma.async_copy_global_to_shared(x_desc, [row, d], bar, x_bufs.index(2 * slot))
                tma.async_copy_global_to_shared(
                    x_desc, [row + HALF, d], bar, x_bufs.index(2 * slot + 1)
                )
                tma.async_copy_global_to_shared(w_desc, [col, d], bar, w_bufs.index(slot))
                step += 1


@gluon.jit
def _logits(x_bufs, w_bufs, ready, free, step, D, half: gl.constexpr, layout: gl.constexpr):
    """Consumer warpgroup: product of its 64 rows with one tile of columns.

    Returns the float32 accumulator [64, BLOCK_V] and the ring's next step.
    """
    STAGES: gl.constexpr = ready.shape[0]
    ROWS: gl.constexpr = x_bufs.shape[1]
    DEPTH: gl.constexpr = x_bufs.shape[2]
    COLS: gl.constexpr = w_bufs.shape[1]
    acc = gl.zeros([ROWS, COLS], gl.float32, layout)
    for d in range(0, D, DEPTH):
        slot = step % STAGES
        mbarrier.wait(ready.index(slot), (step // STAGES) & 1)
        x = x_bufs.index(2 * slot + half)  # [64, BLOCK_D]
        w = w_bufs.index(slot).permute((1, 0))  # [BLOCK_D, BLOCK_V]
        acc = warpgroup_mma(x, w, acc, use_acc=d > 0, is_async=True)
        acc = warpgroup_mma_wait(1, deps=(acc,))
        if d > 0:
            mbarrier.arrive(free.index((step + STAGES - 1) % STAGES))
        step += 1
    acc = warpgroup_mma_wait(0, deps=(acc,))
    mbarrier.arrive(free.index((step + STAGES - 1) % STAGES))
    return acc, step


@gluon.jit
def _tanh(y):
    """Hyperbolic tangent in float32, accurate near zero."""
    t = gl.exp2(gl.abs(y) * (-2.0 * LOG2E))
    far = (1.0 - t) / (1.0 + t)
    far = gl.where(y < 0, -far, far)
    q = y * y
    series = -0.0088632355 * q + 0.0218694885
    series = series * q - 0.0539682540
    series = series * q + 0.1333333333
    series = series * q - 0.3333333333
    near = y + y * q * series
    return gl.where(gl.abs(y) < 0.3, near, far)


@gluon.jit
def _scale_and_cap(acc, bias_ptr, offs_v, V, scale, cap, HAS_BIAS: gl.constexpr, CAP: gl.constexpr):
    """Bias, scale and soft cap, in that order."""
    if HAS_BIAS:
        bias = gl.load(bias_ptr + offs_v, mask=offs_v < V, other=0.0).to(gl.float32)
        acc = acc + gl.expand_dims(bias, 0)
    z = acc * scale
    if CAP:
        z = cap * _tanh(z / cap)
    return z


@gluon.jit
def _stats_consumer(
    half: gl.constexpr,
    x_bufs,
    w_bufs,
    stage,
    ready,
    free,
    kept_desc,
    bias_ptr,
    class_weight_ptr,
    target_ptr,
    ref_ptr,
    max_ptr,
    sum_ptr,
    entropy_ptr,
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
    HAS_BIAS: gl.constexpr,
    CAP: gl.constexpr,
    STORE: gl.constexpr,
    ENTROPY: gl.constexpr,
    SMOOTHING: gl.constexpr,
    ARGMAX: gl.constexpr,
    HAS_CLASS_WEIGHT: gl.constexpr,
):
    """Running maximum and sum of exponentials of 64 rows over the columns of each item.

    The target's own column stays out of the sum, so that a small loss is not lost by
    cancellation: it is the softplus of what the others have over the target.
    """
    COLS: gl.constexpr = w_bufs.shape[1]
    ROWS: gl.constexpr = x_bufs.shape[1]
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLS, 16])
    row_layout: gl.constexpr = gl.SliceLayout(1, layout)
    col_layout: gl.constexpr = gl.SliceLayout(0, layout)
    row_blocks = gl.cdiv(N, 2 * ROWS)
    step = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        row_block, first, count = _item_columns(item, row_blocks, V, GROUP, COLS)
        row = row_block * 2 * ROWS + half * ROWS
        offs_n = row + gl.arange(0, ROWS, row_layout)
        mask_n = offs_n < N
        target = gl.load(target_ptr + offs_n, mask=mask_n, other=-1)
        ref = gl.load(ref_ptr + offs_n, mask=mask_n, other=0.0)
        m = gl.full([ROWS], float("-inf"), gl.float32, row_layout)
        s = gl.zeros([ROWS], gl.float32, row_layout)
        q = gl.zeros([ROWS], gl.float32, row_layout)
        linear = gl.zeros([ROWS], gl.float32, row_layout)
        best = gl.full([ROWS], float("-inf"), gl.float32, row_layout)
        best_at = gl.zeros([ROWS], gl.int32, row_layout)
        for tile in range(first, first + count):
            col = tile * COLS
            acc, step = _logits(x_bufs, w_bufs, ready, free, step, D, half, layout)
            offs_v = col + gl.arange(0, COLS, col_layout)
            z = _scale_and_cap(acc, bias_ptr, offs_v, V, scale, cap, HAS_BIAS, CAP)
            if SMOOTHING:
                relative = z - gl.expand_dims(ref, 1)
                if HAS_CLASS_WEIGHT:
                    share = gl.load(class_weight_ptr + offs_v, mask=offs_v < V, other=0.0)
                else:
                    share = (offs_v < V).to(gl.float32)
                linear += gl.sum(relative * gl.expand_dims(share, 0), axis=1)
            if col + COLS > V:
                z = gl.where(gl.expand_dims(offs_v < V, 0), z, float("-inf"))
            if ARGMAX:
                top = gl.max(z, axis=1)
                at = gl.where(z == gl.expand_dims(top, 1), gl.expand_dims(offs_v, 0), 2147483647)
                at = gl.min(at, axis=1)
                best_at = gl.where(top > best, at, best_at)
                best = gl.maximum(top, best)
            is_target = gl.expand_dims(target, 1) == gl.expand_dims(offs_v, 0)
            z = gl.where(is_target, float("-inf"), z)
            m_new = gl.maximum(m, gl.max(z, axis=1))
            base = gl.where(m_new == float("-inf"), 0.0, m_new)
            e = gl.exp2(z * LOG2E - gl.expand_dims(base * LOG2E, 1))
            rescale = gl.exp2((m - base) * LOG2E)
            if ENTROPY:
                gap = gl.where(e > 0, z - gl.expand_dims(base, 1), 0.0)
                drop = gl.where(m == float("-inf"), 0.0, m - base)
                q = rescale * (q + s * drop) + gl.sum(e * gap, axis=1)
            s = s * rescale + gl.sum(e, axis=1)
            m = m_new
            if STORE:
                if col < kept:
                    lift = gl.exp2(gl.minimum((base - ref) * LOG2E, STORED_LIMIT))
                    value = (e * gl.expand_dims(lift, 1)).to(kept_desc.dtype)
                    tma.store_wait(0)
                    stage.index(half).store(value)
                    fence_async_shared()
                    tma.async_copy_shared_to_global(kept_desc, [row, col], stage.index(half))
        out = (first // GROUP).to(gl.int64) * N + offs_n
        gl.store(max_ptr + out, m, mask=mask_n)
        gl.store(sum_ptr + out, s, mask=mask_n)
        if ENTROPY:
            gl.store(entropy_ptr + out, q, mask=mask_n)
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
    bias_ptr,
    class_weight_ptr,
    target_ptr,
    ref_ptr,
    max_ptr,
    sum_ptr,
    entropy_ptr,
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
    STAGES: gl.constexpr,
    HAS_BIAS: gl.constexpr,
    CAP: gl.constexpr,
    STORE: gl.constexpr,
    ENTROPY: gl.constexpr,
    SMOOTHING: gl.constexpr,
    ARGMAX: gl.constexpr,
    HAS_CLASS_WEIGHT: gl.constexpr,
):
    x_bufs, w_bufs, ready, free = _make_ring(x_desc, w_desc, STAGES)
    if STORE:
        stage = gl.allocate_shared_memory(
            kept_desc.dtype, [2] + kept_desc.block_type.shape, kept_desc.layout
        )
    else:
        stage = x_bufs
    gl.warp_specialize(
        [
            (
                _stats_consumer,
                (
                    FIRST,
                    x_bufs,
                    w_bufs,
                    stage,
                    ready,
                    free,
                    kept_desc,
                    bias_ptr,
                    class_weight_ptr,
                    target_ptr,
                    ref_ptr,
                    max_ptr,
                    sum_ptr,
                    entropy_ptr,
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
                    GROUP,
                    HAS_BIAS,
                    CAP,
                    STORE,
                    ENTROPY,
                    SMOOTHING,
                    ARGMAX,
                    HAS_CLASS_WEIGHT,
                ),
            ),
            (
                _stats_consumer,
                (
                    SECOND,
                    x_bufs,
                    w_bufs,
                    stage,
                    ready,
                    free,
                    kept_desc,
                    bias_ptr,
                    class_weight_ptr,
                    target_ptr,
                    ref_ptr,
                    max_ptr,
                    sum_ptr,
                    entropy_ptr,
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
                    GROUP,
                    HAS_BIAS,
                    CAP,
                    STORE,
                    ENTROPY,
                    SMOOTHING,
                    ARGMAX,
                    HAS_CLASS_WEIGHT,
                ),
            ),
            (
                _produce,
                (
                    x_desc,
                    w_desc,
                    x_bufs,
                    w_bufs,
                    ready,
                    free,
                    target_ptr,
                    N,
                    D,
                    V,
                    0,
                    items,
                    GROUP,
                    NO,
                ),
            ),
        ],
        [4, 1],
        [240, 24],
    )


@gluon.jit
def _dlogits_consumer(
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
    col_start,
    width,
    items,
    scale,
    cap,
    HAS_BIAS: gl.constexpr,
    CAP: gl.constexpr,
    ENTROPY: gl.constexpr,
    SMOOTHING: gl.constexpr,
    HAS_CLASS_WEIGHT: gl.constexpr,
    ONLY_FLAGGED: gl.constexpr,
):
    """Gradient of 64 rows with respect to the logits of each tile, written once."""
    COLS: gl.constexpr = w_bufs.shape[1]
    ROWS: gl.constexpr = x_bufs.shape[1]
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLS, 16])
    row_layout: gl.constexpr = gl.SliceLayout(1, layout)
    col_layout: gl.constexpr = gl.SliceLayout(0, layout)
    row_blocks = gl.cdiv(N, 2 * ROWS)
    step = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        row_block = item % row_blocks
        if _wanted(redo_ptr, row_block, ONLY_FLAGGED):
            row = row_block * 2 * ROWS + half * ROWS
            col = col_start + (item // row_blocks) * COLS
            acc, step = _logits(x_bufs, w_bufs, ready, free, step, D, half, layout)
            offs_n = row + gl.arange(0, ROWS, row_layout)
            offs_v = col + gl.arange(0, COLS, col_layout)
            mask_n = offs_n < N
            row_ptr = coefficients_ptr + offs_n
            target = gl.load(target_ptr + offs_n, mask=mask_n, other=-1)
            ref = gl.load(row_ptr, mask=mask_n, other=0.0)
            a = gl.load(row_ptr + N, mask=mask_n, other=0.0)
            at_target = gl.load(row_ptr + 2 * N, mask=mask_n, other=0.0)
            z = _scale_and_cap(acc, bias_ptr, offs_v, col_start + width, scale, cap, HAS_BIAS, CAP)
            log_p = z - gl.expand_dims(ref, 1)
            g = gl.exp2(log_p * LOG2E)
            if ENTROPY:
                b = gl.load(row_ptr + 3 * N, mask=mask_n, other=0.0)
                slope = gl.expand_dims(a, 1) + gl.expand_dims(b, 1) * log_p
                g = gl.where(g > 0, g * slope, 0.0)
            else:
                g = g * gl.expand_dims(a, 1)
            if SMOOTHING:
                smooth = gl.load(row_ptr + 4 * N, mask=mask_n, other=0.0)
                if HAS_CLASS_WEIGHT:
                    share = gl.load(
                        class_weight_ptr + offs_v, mask=offs_v < col_start + width, other=0.0
                    )
                    g = g - gl.expand_dims(smooth, 1) * gl.expand_dims(share, 0)
                else:
                    g = g - gl.expand_dims(smooth, 1)
            if CAP:
                bent = z / cap
                g = g * (1.0 - bent * bent)
            is_target = gl.expand_dims(target, 1) == gl.expand_dims(offs_v, 0)
            g = gl.where(is_target, gl.expand_dims(at_target, 1), g)
            tma.store_wait(0)
            stage.index(half).store(g.to(out_desc.dtype))
            fence_async_shared()
            tma.async_copy_shared_to_global(out_desc, [row, col - col_start], stage.index(half))
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
    col_start,
    width,
    items,
    scale,
    cap,
    STAGES: gl.constexpr,
    HAS_BIAS: gl.constexpr,
    CAP: gl.constexpr,
    ENTROPY: gl.constexpr,
    SMOOTHING: gl.constexpr,
    HAS_CLASS_WEIGHT: gl.constexpr,
    ONLY_FLAGGED: gl.constexpr,
):
    x_bufs, w_bufs, ready, free = _make_ring(x_desc, w_desc, STAGES)
    stage = gl.allocate_shared_memory(
        out_desc.dtype, [2] + out_desc.block_type.shape, out_desc.layout
    )
    gl.warp_specialize(
        [
            (
                _dlogits_consumer,
                (
                    FIRST,
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
                    col_start,
                    width,
                    items,
                    scale,
                    cap,
                    HAS_BIAS,
                    CAP,
                    ENTROPY,
                    SMOOTHING,
                    HAS_CLASS_WEIGHT,
                    ONLY_FLAGGED,
                ),
            ),
            (
                _dlogits_consumer,
                (
                    SECOND,
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
                    col_start,
                    width,
                    items,
                    scale,
                    cap,
                    HAS_BIAS,
                    CAP,
                    ENTROPY,
                    SMOOTHING,
                    HAS_CLASS_WEIGHT,
                    ONLY_FLAGGED,
                ),
            ),
            (
                _produce,
                (
                    x_desc,
                    w_desc,
                    x_bufs,
                    w_bufs,
                    ready,
                    free,
                    redo_ptr,
                    N,
                    D,
                    width,
                    col_start,
                    items,
                    ONE,
                    ONLY_FLAGGED,
                ),
            ),
        ],
        [4, 1],
        [240, 24],
    )
