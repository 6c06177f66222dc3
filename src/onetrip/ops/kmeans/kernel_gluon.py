# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Gluon kernel of kmeans for Hopper: the search of `kernel_triton.py`, in roles.

A producer warp streams tiles of centres through a ring, and each consumer's next rows, with the
bulk copy engine. A consumer is a warpgroup with 64 rows in registers and two tiles of products:
those of one run on the tensor cores while the other's are compared. Consumers with one tile each
fall into step, multiply together and compare together, and the two times add up. Programs are
persistent: rows arrive while those before them are searched.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from onetrip.ops.kmeans.kernel_triton import CERTAIN, OPEN, halvings
from onetrip.tile.compile_case import CompileCase, descriptor_type

# Rows of a consumer, centres of a tile, consumers of a program.
ROWS = gl.constexpr(64)
COLS = gl.constexpr(64)
CONSUMERS = gl.constexpr(2)
_NONE = gl.constexpr(2147483647)


@gluon.jit
def _produce(x_desc, c_desc, x_bufs, c_bufs, x_ready, x_free, ready, free, items, tiles):
    """Producer warp: rows of every consumer once an item, then all tiles of centres."""
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
def _await(ready, step):
    """Wait for the tile of a step."""
    STAGES: gl.constexpr = ready.shape[0]
    mbarrier.wait(ready.index(step % STAGES), (step // STAGES) & 1)


@gluon.jit
def _start(x, c_bufs, step, layout: gl.constexpr):
    """Begin the products [ROWS, COLS] of the rows with the tile of a step."""
    c = c_bufs.index(step % c_bufs.shape[0]).permute((1, 0))
    acc = gl.zeros([ROWS, COLS], gl.float32, layout)
    return warpgroup_mma(x, c, acc, use_acc=False, is_async=True)


@gluon.jit
def _finish(acc, free, step, of_place, best, second, at):
    """Wait for the products of a step, and give its tile back.

    What was compared meanwhile is passed through: the compiler would else compare after the wait.
    """
    acc, of_place, best, second, at = warpgroup_mma_wait(0, deps=(acc, of_place, best, second, at))
    mbarrier.arrive(free.index(step % free.shape[0]))
    return acc, of_place, best, second, at


@gluon.jit
def _halves(tile):
    pairs = gl.reshape(tile, [tile.shape[0], 2, tile.shape[1] // 2, tile.shape[2]])
    return gl.split(gl.permute(pairs, [0, 2, 3, 1]))


@gluon.jit
def _two_least(best, second, other_best, other_second):
    larger = gl.maximum(best, other_best)
    return gl.minimum(best, other_best), gl.minimum(larger, gl.minimum(second, other_second))


@gluon.jit
def _least_of_slots(score):
    """The least of every eighth column [ROWS, 8] of scores [ROWS, COLS]."""
    HALVINGS: gl.constexpr = halvings(COLS // 8)
    least = gl.reshape(score, [ROWS, COLS // 8, 8])
    for _ in gl.static_range(HALVINGS):
        least, other = _halves(least)
        least = gl.minimum(least, other)
    return gl.reshape(least, [ROWS, 8])


@gluon.jit
def _two_of_slots(score, layout: gl.constexpr):
    """The least two of every eighth column [ROWS, 8], numbers in their last bits."""
    HALVINGS: gl.constexpr = halvings(COLS // 8) - 1
    number = gl.expand_dims(gl.arange(0, COLS, gl.SliceLayout(0, layout)) // 8, 0)
    bits = score.to(gl.int32, bitcast=True) & -(COLS // 8) | number
    score = bits.to(gl.float32, bitcast=True)
    less, more = _halves(gl.reshape(score, [ROWS, COLS // 8, 8]))
    less, more = gl.minimum(less, more), gl.maximum(less, more)
    for _ in gl.static_range(HALVINGS):
        less, other_less = _halves(less)
        more, other_more = _halves(more)
        less, more = _two_least(less, more, other_less, other_more)
    return gl.reshape(less, [ROWS, 8]), gl.reshape(more, [ROWS, 8])


@gluon.jit
def _compare(
    product, level_ptr, tile, of_place, best, second, at, layout: gl.constexpr, kept: gl.constexpr
):
    """Take the scores of a tile into the least of each place and the two least tiles of slots."""
    level = gl.load(level_ptr + tile * COLS + gl.arange(0, COLS, gl.SliceLayout(0, layout)))
    score = gl.expand_dims(level, 0) - product
    of_tile = gl.convert_layout(_least_of_slots(score), kept)
    at = gl.where(of_tile < best, tile, at)
    second = gl.minimum(second, gl.maximum(best, of_tile))
    return gl.minimum(of_place, score), gl.minimum(best, of_tile), second, at


@gluon.jit
def _search(
    who: gl.constexpr,
    x_bufs,
    c_bufs,
    x_ready,
    x_free,
    ready,
    free,
    norm_ptr,
    residue_ptr,
    level_ptr,
    reach_ptr,
    label_ptr,
    limit_ptr,
    other_ptr,
    scale,
    N,
    items,
    tiles,
):
    """Consumer warpgroup: the two least scores of its rows, their label, what is in doubt."""
    GROUPS: gl.constexpr = COLS // 8
    # Last bits that hold a number are at most so much of a score; 1 % covers the rest.
    BLUR: gl.constexpr = 1.01 * GROUPS * 2.0**-23
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLS, 16])
    x_layout: gl.constexpr = gl.DotOperandLayout(0, layout, 2)
    # Rows to warps and groups of four threads, pairs of columns to the threads of a group.
    kept: gl.constexpr = gl.DistributedLinearLayout(
        [[0, 1], [8, 0]], [[0, 2], [0, 4], [1, 0], [2, 0], [4, 0]], [[16, 0], [32, 0]], [], [64, 8]
    )
    row_layout: gl.constexpr = gl.SliceLayout(1, kept)
    of_residue = gl.load(reach_ptr)
    of_norm = gl.load(reach_ptr + 1)
    of_level = gl.load(reach_ptr + 2)
    step = 0
    turn = 0
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        mbarrier.wait(x_ready.index(who), turn & 1)
        x = (x_bufs.index(who).load(x_layout) * scale).to(gl.float16)
        mbarrier.arrive(x_free.index(who))
        turn += 1
        # Asked for now, these are there when the tiles have passed.
        offs_n = (item * CONSUMERS + who) * ROWS + gl.arange(0, ROWS, row_layout)
        mask_n = offs_n < N
        norm = gl.load(norm_ptr + offs_n, mask=mask_n, other=0.0) * scale
        residue = gl.load(residue_ptr + offs_n, mask=mask_n, other=0.0)
        of_place = gl.full([ROWS, COLS], float("inf"), gl.float32, layout)
        best = gl.full([ROWS, 8], float("inf"), gl.float32, kept)
        second = gl.full([ROWS, 8], float("inf"), gl.float32, kept)
        at = gl.zeros([ROWS, 8], gl.int32, kept)
        # The products of one tile run under the comparisons of the one before. To wait for the tile
        # after both comes between, as a branch that the compiler moves no comparison across.
        _await(ready, step)
        even = _start(x, c_bufs, step, layout)
        _await(ready, step + 1)
        even, of_place, best, second, at = _finish(even, free, step, of_place, best, second, at)
        for tile in range(0, tiles - 2, 2):
            odd = _start(x, c_bufs, step + 1, layout)
            of_place, best, second, at = _compare(
                even, level_ptr, tile, of_place, best, second, at, layout, kept
            )
            _await(ready, step + 2)
            odd, of_place, best, second, at = _finish(
                odd, free, step + 1, of_place, best, second, at
            )
            even = _start(x, c_bufs, step + 2, layout)
            of_place, best, second, at = _compare(
                odd, level_ptr, tile + 1, of_place, best, second, at, layout, kept
            )
            _await(ready, step + 3)
            even, of_place, best, second, at = _finish(
                even, free, step + 2, of_place, best, second, at
            )
            step += 2
        odd = _start(x, c_bufs, step + 1, layout)
        of_place, best, second, at = _compare(
            even, level_ptr, tiles - 2, of_place, best, second, at, layout, kept
        )
        odd, of_place, best, second, at = _finish(odd, free, step + 1, of_place, best, second, at)
        of_place, best, second, at = _compare(
            odd, level_ptr, tiles - 1, of_place, best, second, at, layout, kept
        )
        step += 2
        best, of_others = _two_of_slots(of_place, layout)
        best = gl.convert_layout(best, kept)
        second = gl.minimum(second, gl.convert_layout(of_others, kept))

        least = gl.min(best, axis=1)
        number = best.to(gl.int32, bitcast=True) & (GROUPS - 1)
        slot = gl.expand_dims(gl.arange(0, 8, gl.SliceLayout(0, kept)), 0)
        column = at * COLS + number * 8 + slot
        label = gl.min(gl.where(best == gl.expand_dims(least, 1), column, _NONE), axis=1)
        gl.store(label_ptr + offs_n, label, mask=mask_n)
        reach = of_residue * residue + of_norm * norm + of_level
        limit = least + BLUR * gl.abs(least) + reach
        # Not "is within": a bound that is not a number certifies nothing.
        beyond = best - BLUR * gl.abs(best) > gl.expand_dims(limit, 1)
        known = second - BLUR * gl.abs(second) > gl.expand_dims(limit, 1)
        hidden = gl.max((known == 0).to(gl.int32), axis=1) > 0
        candidates = gl.sum((beyond == 0).to(gl.int32), axis=1)
        own = column == gl.expand_dims(label, 1)
        other = gl.min(gl.where(beyond | own, _NONE, column), axis=1)
        other = gl.where(candidates == 1, CERTAIN, gl.where(candidates == 2, other, OPEN))
        gl.store(other_ptr + offs_n, gl.where(hidden, OPEN, other), mask=mask_n)
        gl.store(limit_ptr + offs_n, limit, mask=mask_n)


@gluon.jit
def _kmeans_hopper_kernel(
    x_desc,
    c_desc,
    norm_ptr,
    residue_ptr,
    level_ptr,
    reach_ptr,
    label_ptr,
    limit_ptr,
    other_ptr,
    scale,
    N,
    items,
    tiles,
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
    ready = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    free = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for who in gl.static_range(CONSUMERS):
        mbarrier.init(x_ready.index(who), count=1)
        mbarrier.init(x_free.index(who), count=1)
    for slot in gl.static_range(STAGES):
        mbarrier.init(ready.index(slot), count=1)
        mbarrier.init(free.index(slot), count=CONSUMERS)
    # A tuple in a variable would turn its constexprs into run-time values: hence spelled out.
    gl.warp_specialize(
        [
            (_search, (FIRST, x_bufs, c_bufs, x_ready, x_free, ready, free, norm_ptr,
                       residue_ptr, level_ptr, reach_ptr, label_ptr, limit_ptr, other_ptr,
                       scale, N, items, tiles)),
            (_search, (SECOND, x_bufs, c_bufs, x_ready, x_free, ready, free, norm_ptr,
                       residue_ptr, level_ptr, reach_ptr, label_ptr, limit_ptr, other_ptr,
                       scale, N, items, tiles)),
            (_produce, (x_desc, c_desc, x_bufs, c_bufs, x_ready, x_free, ready, free, items,
                        tiles)),
        ],
        [4, 1],
        [240, 24],
    )  # fmt: skip


# Features of a row, and tiles of centres that fill what such rows leave of the shared memory.
_WIDTH, STAGES = 256, 3

FIRST = gl.constexpr(0)
SECOND = gl.constexpr(1)

_FLOATS = ("norm_ptr", "residue_ptr", "level_ptr", "reach_ptr", "limit_ptr")
_INTS = ("label_ptr", "other_ptr")


def _tile(dtype: gl.dtype, name: str, columns: int, rows: int = 64) -> str:
    block = [rows, columns]
    return descriptor_type(name, block, gl.NVMMASharedLayout.get_default_for(block, dtype))


COMPILE_CASES = (
    CompileCase(
        f"features-{_WIDTH}",
        _kmeans_hopper_kernel,
        {
            **dict.fromkeys(_FLOATS, "*fp32"),
            **dict.fromkeys(_INTS, "*i32"),
            **dict.fromkeys(("N", "items", "tiles"), "i32"),
            "scale": "fp32",
            "x_desc": _tile(gl.float32, "fp32", _WIDTH),
            "c_desc": _tile(gl.float16, "fp16", _WIDTH),
        },
        {"STAGES": STAGES},
        targets=("sm_90",),
    ),
)
