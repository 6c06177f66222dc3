# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Gluon device functions for Hopper: a ring of tiles and the products that consume it.

Idea: three roles in one program. A producer warp streams tiles of hidden states and head through
a ring of shared-memory buffers with the bulk copy engine. Two consumer warpgroups multiply, each
64 rows of the same 128 x 256 tile, and turn their float32 accumulators into what is needed. They
wait for data and not for each other, so the exponentials of one overlap with the products of the
other as far as the ring is deep.

Order: a work item is one block of 128 rows and `GROUP` consecutive tiles of 256 columns; programs
take items rows first within a chunk of `CHUNK` row blocks. So the programs that run together read
the same few columns of the head, and the chunk's hidden states stay in the L2 cache: with all 64
row blocks of 8192 tokens in one chunk they do not fit, and come from memory again for every tile.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

LOG2E = gl.constexpr(1.4426950408889634)
# Rows of one consumer warpgroup, columns and depth of a tile.
HALF = gl.constexpr(64)
COLS = gl.constexpr(256)
DEPTH = gl.constexpr(64)


@gluon.jit
def locate(item, row_blocks, groups, CHUNK: gl.constexpr):
    """Row block and column group of a work item: rows first within a chunk of row blocks."""
    chunk = item // (CHUNK * groups)
    within = item - chunk * CHUNK * groups
    rows = gl.minimum(CHUNK, row_blocks - chunk * CHUNK)
    return chunk * CHUNK + within % rows, within // rows


@gluon.jit
def wanted(redo_ptr, row_block, ONLY_FLAGGED: gl.constexpr):
    """Whether a row block is to be computed: always, or only where its flag is set."""
    answer = True
    if ONLY_FLAGGED:
        answer = gl.load(redo_ptr + row_block) != 0
    return answer


@gluon.jit
def make_ring(x_desc, w_desc, STAGES: gl.constexpr):
    """Buffers and barriers of the ring; a slot holds two [64, 64] and one [256, 64] tile."""
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
def produce(
    x_desc,
    w_desc,
    x_bufs,
    w_bufs,
    ready,
    free,
    redo_ptr,
    N,
    D,
    col_start,
    width,
    items,
    GROUP: gl.constexpr,
    CHUNK: gl.constexpr,
    ONLY_FLAGGED: gl.constexpr,
):
    """Producer warp: keep the ring full, in the order in which the consumers read it."""
    STAGES: gl.constexpr = ready.shape[0]
    row_blocks = gl.cdiv(N, 2 * HALF)
    tiles = gl.cdiv(width, COLS)
    step = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        row_block, group = locate(item, row_blocks, gl.cdiv(tiles, GROUP), CHUNK)
        row = row_block * 2 * HALF
        first = group * GROUP
        last = gl.minimum(first + GROUP, tiles)
        if not wanted(redo_ptr, row_block, ONLY_FLAGGED):
            last = first
        for tile in range(first, last):
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
def tile_product(x_bufs, w_bufs, ready, free, step, D, half: gl.constexpr, layout: gl.constexpr):
    """Consumer warpgroup: its 64 rows times one tile of columns.

    Returns the float32 accumulator [64, 256] and the ring's next step. One product stays in
    flight while the slot of the one before it is given back.
    """
    STAGES: gl.constexpr = ready.shape[0]
    acc = gl.zeros([HALF, COLS], gl.float32, layout)
    for d in range(0, D, DEPTH):
        slot = step % STAGES
        mbarrier.wait(ready.index(slot), (step // STAGES) & 1)
        x = x_bufs.index(2 * slot + half)  # [64, 64]
        w = w_bufs.index(slot).permute((1, 0))  # [64, 256]
        acc = warpgroup_mma(x, w, acc, use_acc=d > 0, is_async=True)
        acc = warpgroup_mma_wait(1, deps=(acc,))
        if d > 0:
            mbarrier.arrive(free.index((step + STAGES - 1) % STAGES))
        step += 1
    acc = warpgroup_mma_wait(0, deps=(acc,))
    mbarrier.arrive(free.index((step + STAGES - 1) % STAGES))
    return acc, step


@gluon.jit
def soft_cap(z, cap):
    """``cap * tanh(z / cap)`` with an absolute error of about 1e-7 of the cap.

    Enough for the exponentials of half-precision logits, at a third of the registers that
    `onetrip.tile.soft_cap` takes to be exact near zero as well. Not for comparing them.
    """
    t = gl.exp2(z * (2.0 * LOG2E / cap))
    return cap - 2.0 * cap / (1.0 + t)


@gluon.jit
def add_bias_and_scale(
    z,
    bias_ptr,
    offs_v,
    V,
    scale,
    HAS_BIAS: gl.constexpr,
    HAS_SCALE: gl.constexpr,
):
    """Bias and scale, in that order."""
    if HAS_BIAS:
        bias = gl.load(bias_ptr + offs_v, mask=offs_v < V, other=0.0).to(gl.float32)
        z = z + gl.expand_dims(bias, 0)
    if HAS_SCALE:
        z = z * scale
    return z


@gluon.jit
def put_at_target(z, value, target, col, offs_v):
    """Put `value` [64] into the target's column of each row.

    Few tiles hold a target of their rows: asking first spares the others two operations an
    element, in kernels whose arithmetic beside the product is a dozen.
    """
    inside = (target >= col) & (target < col + COLS)
    if gl.max(inside.to(gl.int32), axis=0) > 0:
        is_target = gl.expand_dims(target, 1) == gl.expand_dims(offs_v, 0)
        z = gl.where(is_target, gl.expand_dims(value, 1), z)
    return z
