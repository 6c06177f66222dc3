# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Gluon kernel of kmeans for Hopper: the search of `kernel_triton.py`, in roles.

A producer warp streams tiles of centres through a ring, and each consumer's next rows, with the
bulk copy engine. A consumer is a warpgroup with 64 rows in registers. Consumers take turns at the
tensor cores, so the products of one run under the comparisons of the others: left to themselves
they fall into step, multiply together and compare together, and the two times add up (measured on
an H100: 0.34 ms a pass of 10^9 scores and 128 features, and 0.42). Programs are persistent: rows
arrive while those before them are searched.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from onetrip.tile.compile_case import CompileCase, descriptor_type

# Rows of a consumer, centres of a tile; consumers of a program.
ROWS = gl.constexpr(64)
COLS = gl.constexpr(64)
# A thread holds columns 8g + s of a tile, for two s: their g goes into the last bits.
_BITS = gl.constexpr(3)
_KEEP = gl.constexpr(-8)
_NONE = gl.constexpr(2147483647)
_BLUR = gl.constexpr(1.01 * 2.0**-20)


@gluon.jit
def _produce(x_desc, c_desc, x_bufs, c_bufs, x_ready, x_free, ready, free, items, tiles):
    """Producer warp: rows of every consumer once an item, then all tiles of centres."""
    CONSUMERS: gl.constexpr = x_bufs.shape[0]
    STAGES: gl.constexpr = c_bufs.shape[0]
    step = 0
    turn = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        for who in gl.static_range(CONSUMERS):
            mbarrier.wait(x_free.index(who), (turn & 1) ^ 1)
            mbarrier.expect(x_ready.index(who), x_desc.block_type.nbytes)
            row = (item * CONSUMERS + who) * ROWS
            tma.async_copy_global_to_shared(x_desc, [row, 0], x_ready.index(who), x_bufs.index(who))
        turn += 1
        for tile in range(tiles):
            slot = step % STAGES
            mbarrier.wait(free.index(slot), ((step // STAGES) & 1) ^ 1)
            mbarrier.expect(ready.index(slot), c_desc.block_type.nbytes)
            tma.async_copy_global_to_shared(
                c_desc, [tile * COLS, 0], ready.index(slot), c_bufs.index(slot)
            )
            step += 1


@gluon.jit
def _product(x, c_bufs, ready, free, turns, who: gl.constexpr, step, layout: gl.constexpr):
    """Products [ROWS, COLS] of the rows with the tile of a step, when it is this one's turn.

    The first consumer waits for the last one's step before, every other for the one before it.
    """
    STAGES: gl.constexpr = c_bufs.shape[0]
    CONSUMERS: gl.constexpr = turns.shape[0]
    slot = step % STAGES
    mbarrier.wait(ready.index(slot), (step // STAGES) & 1)
    FIRST_PHASE: gl.constexpr = 1 if who == 0 else 0
    mbarrier.wait(turns.index(who), (step & 1) ^ FIRST_PHASE)
    acc = gl.zeros([ROWS, COLS], gl.float32, layout)
    c = c_bufs.index(slot).permute((1, 0))
    acc = warpgroup_mma(x, c, acc, use_acc=False, is_async=True)
    acc = warpgroup_mma_wait(0, deps=(acc,))
    mbarrier.arrive(turns.index((who + 1) % CONSUMERS))
    mbarrier.arrive(free.index(slot))
    return acc


@gluon.jit
def _halves(tile):
    pairs = gl.reshape(tile, [tile.shape[0], 2, tile.shape[1] // 2, tile.shape[2]])
    return gl.split(gl.permute(pairs, [0, 2, 3, 1]))


@gluon.jit
def _two_least(best, second, other_best, other_second):
    larger = gl.maximum(best, other_best)
    return gl.minimum(best, other_best), gl.minimum(larger, gl.minimum(second, other_second))


@gluon.jit
def _two_of_tile(acc, level_ptr, tile, layout: gl.constexpr):
    """The least two of every eighth column [ROWS, 8], numbers in their last bits."""
    offs_k = gl.arange(0, COLS, gl.SliceLayout(0, layout))
    number = gl.expand_dims(offs_k // 8, 0)
    level = gl.load(level_ptr + tile * COLS + offs_k)
    score = gl.expand_dims(level, 0) - acc
    # (score & keep) | number in one instruction, where the compiler makes two of constants.
    score = gl.inline_asm_elementwise(
        "lop3.b32 $0, $1, $2, $3, 0xEA;",
        "=r,r,r,r",
        [score, gl.full([ROWS, COLS], _KEEP, gl.int32, layout), number],
        dtype=gl.float32,
        is_pure=True,
        pack=1,
    )
    less, more = _halves(gl.reshape(score, [ROWS, COLS // 8, 8]))
    less, more = gl.minimum(less, more), gl.maximum(less, more)
    for _ in gl.static_range(_BITS - 1):
        less, other_less = _halves(less)
        more, other_more = _halves(more)
        less, more = _two_least(less, more, other_less, other_more)
    return gl.reshape(less, [ROWS, 8]), gl.reshape(more, [ROWS, 8])


@gluon.jit
def _append(wanted, rows, values, count_ptr, rows_ptr, values_ptr):
    """Append the wanted of some rows and their values to a list, in any order."""
    layout: gl.constexpr = gl.BlockedLayout([1], [32], [4], [0])  # one that scans
    number = gl.convert_layout(wanted.to(gl.int32), layout)
    found = gl.sum(number, axis=0)
    if found > 0:
        place = gl.atomic_add(count_ptr, found) + gl.associative_scan(number, 0, _plus) - 1
        one = number > 0
        gl.store(rows_ptr + place, gl.convert_layout(rows, layout), mask=one)
        gl.store(values_ptr + place, gl.convert_layout(values, layout), mask=one)


@gluon.jit
def _plus(a, b):
    return a + b


@gluon.jit
def _search(
    who: gl.constexpr,
    x_bufs,
    c_bufs,
    x_ready,
    x_free,
    ready,
    free,
    turns,
    norm_ptr,
    residue_ptr,
    level_ptr,
    reach_ptr,
    label_ptr,
    doubt_ptr,
    limit_ptr,
    pair_ptr,
    other_ptr,
    count_ptr,
    scale,
    N,
    items,
    tiles,
    CERTIFIED: gl.constexpr,
):
    """Consumer warpgroup: the two least scores of its rows, their label, what is in doubt."""
    CONSUMERS: gl.constexpr = x_bufs.shape[0]
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLS, 16])
    x_layout: gl.constexpr = gl.DotOperandLayout(0, layout, 2)
    # Rows to warps and groups of four threads, pairs of columns to the threads of a group.
    kept: gl.constexpr = gl.DistributedLinearLayout(
        [[0, 1], [8, 0]], [[0, 2], [0, 4], [1, 0], [2, 0], [4, 0]], [[16, 0], [32, 0]], [], [64, 8]
    )
    row_layout: gl.constexpr = gl.SliceLayout(1, kept)
    step = 0
    turn = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        mbarrier.wait(x_ready.index(who), turn & 1)
        x = (x_bufs.index(who).load(x_layout) * scale).to(gl.float16)
        mbarrier.arrive(x_free.index(who))
        turn += 1
        best = gl.full([ROWS, 8], float("inf"), gl.float32, kept)
        second = gl.full([ROWS, 8], float("inf"), gl.float32, kept)
        at = gl.zeros([ROWS, 8], gl.int32, kept)
        for tile in range(tiles):
            acc = _product(x, c_bufs, ready, free, turns, who, step, layout)
            tile_best, tile_second = _two_of_tile(acc, level_ptr, tile, layout)
            tile_best = gl.convert_layout(tile_best, kept)
            tile_second = gl.convert_layout(tile_second, kept)
            at = gl.where(tile_best < best, tile, at)
            best, second = _two_least(best, second, tile_best, tile_second)
            step += 1

        offs_n = (item * CONSUMERS + who) * ROWS + gl.arange(0, ROWS, row_layout)
        mask_n = offs_n < N
        least = gl.min(best, axis=1)
        number = best.to(gl.int32, bitcast=True) & ~_KEEP
        slot = gl.expand_dims(gl.arange(0, 8, gl.SliceLayout(0, kept)), 0)
        column = at * COLS + number * 8 + slot
        label = gl.min(gl.where(best == gl.expand_dims(least, 1), column, _NONE), axis=1)
        gl.store(label_ptr + offs_n, label, mask=mask_n)
        if CERTIFIED:
            norm = gl.load(norm_ptr + offs_n, mask=mask_n, other=0.0) * scale
            residue = gl.load(residue_ptr + offs_n, mask=mask_n, other=0.0)
            reach = gl.load(reach_ptr) * residue + gl.load(reach_ptr + 1) * norm
            reach += gl.load(reach_ptr + 2)
            limit = least + _BLUR * gl.abs(least) + reach
            # Not "is within": a bound that is not a number certifies nothing.
            beyond = best - _BLUR * gl.abs(best) > gl.expand_dims(limit, 1)
            known = second - _BLUR * gl.abs(second) > gl.expand_dims(limit, 1)
            hidden = gl.max((known == 0).to(gl.int32), axis=1) > 0
            candidates = gl.sum((beyond == 0).to(gl.int32), axis=1)
            is_pair = mask_n & (hidden == 0) & (candidates == 2)
            is_open = mask_n & (hidden | ((candidates != 1) & (candidates != 2)))
            own = column == gl.expand_dims(label, 1)
            other = gl.min(gl.where(beyond | own, _NONE, column), axis=1)
            _append(is_pair, offs_n, other, count_ptr + 1, pair_ptr, other_ptr)
            _append(is_open, offs_n, limit, count_ptr, doubt_ptr, limit_ptr)


@gluon.jit
def _kmeans_hopper_kernel(
    x_desc,
    c_desc,
    norm_ptr,
    residue_ptr,
    level_ptr,
    reach_ptr,
    label_ptr,
    doubt_ptr,
    limit_ptr,
    pair_ptr,
    other_ptr,
    count_ptr,
    scale,
    N,
    items,
    tiles,
    CERTIFIED: gl.constexpr,
    CONSUMERS: gl.constexpr,
    STAGES: gl.constexpr,
):
    x_bufs = gl.allocate_shared_memory(
        x_desc.dtype, [CONSUMERS] + x_desc.block_type.shape, x_desc.layout
    )
    c_bufs = gl.allocate_shared_memory(
        c_desc.dtype, [STAGES] + c_desc.block_type.shape, c_desc.layout
    )
    x_ready = gl.allocate_shared_memory(gl.int64, [CONSUMERS, 1], mbarrier.MBarrierLayout())
    x_free = gl.allocate_shared_memory(gl.int64, [CONSUMERS, 1], mbarrier.MBarrierLayout())
    turns = gl.allocate_shared_memory(gl.int64, [CONSUMERS, 1], mbarrier.MBarrierLayout())
    ready = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    free = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for who in gl.static_range(CONSUMERS):
        mbarrier.init(x_ready.index(who), count=1)
        mbarrier.init(x_free.index(who), count=1)
        mbarrier.init(turns.index(who), count=1)
    for slot in gl.static_range(STAGES):
        mbarrier.init(ready.index(slot), count=1)
        mbarrier.init(free.index(slot), count=CONSUMERS)
    # A tuple in a variable would turn its constexprs into run-time values: hence spelled out.
    if CONSUMERS == 3:
        gl.warp_specialize(
            [
                (_search, (FIRST, x_bufs, c_bufs, x_ready, x_free, ready, free, turns, norm_ptr,
                           residue_ptr, level_ptr, reach_ptr, label_ptr, doubt_ptr, limit_ptr,
                           pair_ptr, other_ptr, count_ptr, scale, N, items, tiles, CERTIFIED)),
                (_search, (SECOND, x_bufs, c_bufs, x_ready, x_free, ready, free, turns, norm_ptr,
                           residue_ptr, level_ptr, reach_ptr, label_ptr, doubt_ptr, limit_ptr,
                           pair_ptr, other_ptr, count_ptr, scale, N, items, tiles, CERTIFIED)),
                (_search, (THIRD, x_bufs, c_bufs, x_ready, x_free, ready, free, turns, norm_ptr,
                           residue_ptr, level_ptr, reach_ptr, label_ptr, doubt_ptr, limit_ptr,
                           pair_ptr, other_ptr, count_ptr, scale, N, items, tiles, CERTIFIED)),
                (_produce, (x_desc, c_desc, x_bufs, c_bufs, x_ready, x_free, ready, free, items,
                            tiles)),
            ],
            [4, 4, 1],
            [160, 160, 24],
        )  # fmt: skip
    else:
        gl.warp_specialize(
            [
                (_search, (FIRST, x_bufs, c_bufs, x_ready, x_free, ready, free, turns, norm_ptr,
                           residue_ptr, level_ptr, reach_ptr, label_ptr, doubt_ptr, limit_ptr,
                           pair_ptr, other_ptr, count_ptr, scale, N, items, tiles, CERTIFIED)),
                (_search, (SECOND, x_bufs, c_bufs, x_ready, x_free, ready, free, turns, norm_ptr,
                           residue_ptr, level_ptr, reach_ptr, label_ptr, doubt_ptr, limit_ptr,
                           pair_ptr, other_ptr, count_ptr, scale, N, items, tiles, CERTIFIED)),
                (_produce, (x_desc, c_desc, x_bufs, c_bufs, x_ready, x_free, ready, free, items,
                            tiles)),
            ],
            [4, 1],
            [240, 24],
        )  # fmt: skip


FIRST = gl.constexpr(0)
SECOND = gl.constexpr(1)
THIRD = gl.constexpr(2)

_FLOATS = ("norm_ptr", "residue_ptr", "level_ptr", "reach_ptr", "limit_ptr")
_INTS = ("label_ptr", "doubt_ptr", "pair_ptr", "other_ptr", "count_ptr")


def _tile(dtype: gl.dtype, name: str, columns: int) -> str:
    block = [64, columns]
    return descriptor_type(name, block, gl.NVMMASharedLayout.get_default_for(block, dtype))


COMPILE_CASES = tuple(
    CompileCase(
        f"features-{width}",
        _kmeans_hopper_kernel,
        {
            **dict.fromkeys(_FLOATS, "*fp32"),
            **dict.fromkeys(_INTS, "*i32"),
            **dict.fromkeys(("N", "items", "tiles"), "i32"),
            "scale": "fp32",
            "x_desc": _tile(gl.float32, "fp32", width),
            "c_desc": _tile(gl.float16, "fp16", width),
        },
        {"CERTIFIED": True, "CONSUMERS": consumers, "STAGES": stages},
        targets=("sm_90",),
    )
    for width, consumers, stages in ((32, 3, 8), (64, 3, 8), (128, 3, 5), (256, 2, 3))
)
