# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Gluon kernel of kmeans for Hopper that multiplies a tile ahead of the one that it compares.

As `kernel_gluon.py`, for up to 128 features, with four differences. Half of that kernel's
comparisons run behind a wait for products under which they should run: the assembler moves them
there. Here they stand in a loop of one turn, whose count it does not know, and nothing moves out of
a loop. The rows that come next begin before those that were searched write their labels. The second
consumer begins a tile after the first. And scores are integers:

A bias in the level of every centre makes scores positive, so their bits compare as integers, of
which the chip takes the least of three in one instruction. The least of a slot in a tile carries
the tile's number in its last bits; what they blur stands in the limit. A score costs one addition
and 1.3 minima, 1.4 operations with all that is done for a slot.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from onetrip.ops.kmeans.kernel_gluon import (
    COLS,
    CONSUMERS,
    FIRST,
    ROWS,
    SECOND,
    _await,
    _halves,
    _tile,
)
from onetrip.ops.kmeans.kernel_triton import CERTAIN, OPEN
from onetrip.tile.compile_case import CompileCase

# Centres of a tile, which are compared as two tiles of COLS.
WIDE = gl.constexpr(128)
# More than the product of any row with any centre, whose lengths are scaled to 2^13 at most.
BIAS = 1.01 * 2.0**26
# Tiles that fill what the rows leave of the shared memory.
AHEAD_STAGES = 4
_MOST = gl.constexpr(2147483647)


@gluon.jit
def _produce(x_desc, c_desc, x_bufs, c_bufs, x_ready, x_free, ready, free, items, tiles):
    """Producer warp: rows of every consumer once an item, then all tiles of centres.

    After the last item its rows and two tiles come once more: consumers always begin a tile ahead.
    """
    STAGES: gl.constexpr = c_bufs.shape[0]
    step = 0
    own = gl.cdiv(items - gl.program_id(0), gl.num_programs(0))
    for turn in range(own + 1):
        item = gl.minimum(gl.program_id(0) + turn * gl.num_programs(0), items - 1)
        for who in gl.static_range(CONSUMERS):
            mbarrier.wait(x_free.index(who), (turn & 1) ^ 1)
            mbarrier.expect(x_ready.index(who), x_desc.block_type.nbytes)
            row = (item * CONSUMERS + who) * ROWS
            tma.async_copy_global_to_shared(x_desc, [row, 0], x_ready.index(who), x_bufs.index(who))
        for tile in range(gl.where(turn < own, tiles, 2)):
            slot = step % STAGES
            mbarrier.wait(free.index(slot), ((step // STAGES) & 1) ^ 1)
            mbarrier.expect(ready.index(slot), c_desc.block_type.nbytes)
            tma.async_copy_global_to_shared(
                c_desc, [tile * WIDE, 0], ready.index(slot), c_bufs.index(slot)
            )
            step += 1


@gluon.jit
def _rows(who: gl.constexpr, x_bufs, x_ready, x_free, turn, scale, layout: gl.constexpr):
    """The rows [ROWS, D] of a turn, in half precision."""
    mbarrier.wait(x_ready.index(who), turn & 1)
    x = (x_bufs.index(who).load(gl.DotOperandLayout(0, layout, 2)) * scale).to(gl.float16)
    mbarrier.arrive(x_free.index(who))
    return x


@gluon.jit
def _scores(product, free, step, level_ptr, tile, layout: gl.constexpr, half: gl.constexpr):
    """Wait for the products of a tile; its scores, as integers, in two tiles [ROWS, COLS]."""
    level = gl.load(level_ptr + tile * WIDE + gl.arange(0, WIDE, gl.SliceLayout(0, layout)))
    product, level = warpgroup_mma_wait(0, deps=(product, level))
    mbarrier.arrive(free.index(step % free.shape[0]))
    score = (gl.expand_dims(level, 0) - product).to(gl.int32, bitcast=True)
    low, high = gl.split(gl.permute(gl.reshape(score, [ROWS, 2, COLS]), [0, 2, 1]))
    return gl.convert_layout(low, half), gl.convert_layout(high, half)


@gluon.jit
def _start(x, c_bufs, step, layout: gl.constexpr):
    """Begin the products of the rows with the tile of a step."""
    c = c_bufs.index(step % c_bufs.shape[0]).permute((1, 0))
    acc = gl.zeros([ROWS, WIDE], gl.float32, layout)
    return warpgroup_mma(x, c, acc, use_acc=False, is_async=True)


@gluon.jit
def _least_of_three(a, b, c):
    """One instruction; the assembler sees it in two minima only where they stand together."""
    return gl.inline_asm_elementwise(
        "{ .reg .s32 t; min.s32 t, $1, $2; min.s32 $0, t, $3; }",
        "=r,r,r,r", [a, b, c], dtype=gl.int32, is_pure=True, pack=1,
    )  # fmt: skip


@gluon.jit
def _least_of_slots(score, kept: gl.constexpr):
    """The least of every eighth column [ROWS, 8] of scores [ROWS, COLS], by four minima."""
    low, high = _halves(gl.reshape(score, [ROWS, COLS // 8, 8]))
    low_a, low_b = _halves(low)
    high_a, high_b = _halves(high)
    a, b = _halves(low_a)
    c, d = _halves(low_b)
    e, f = _halves(high_a)
    g, h = _halves(high_b)
    least = _least_of_three(_least_of_three(a, b, c), _least_of_three(d, e, f), gl.minimum(g, h))
    return gl.convert_layout(gl.reshape(least, [ROWS, 8]), kept)


@gluon.jit
def _compare(even, odd, tile, of_place, best, second, TILES: gl.constexpr, kept: gl.constexpr):
    """Take two tiles of scores into the least of places and the two least tiles of slots."""
    of_even = _least_of_slots(even, kept) & -TILES | tile
    of_odd = _least_of_slots(odd, kept) & -TILES | (tile + 1)
    less = gl.minimum(of_even, of_odd)
    more = gl.maximum(of_even, of_odd)
    second = _least_of_three(second, more, gl.maximum(best, less))
    return _least_of_three(of_place, even, odd), gl.minimum(best, less), second


@gluon.jit
def _two_least(less, more, other_less, other_more):
    larger = gl.maximum(less, other_less)
    return gl.minimum(less, other_less), _least_of_three(larger, more, other_more)


@gluon.jit
def _two_of_slots(of_place, layout: gl.constexpr, kept: gl.constexpr):
    """The least two places of every slot [ROWS, 8], their numbers in the last bits."""
    GROUPS: gl.constexpr = COLS // 8
    number = gl.expand_dims(gl.arange(0, COLS, gl.SliceLayout(0, layout)) // 8, 0)
    keys = gl.reshape(of_place & -GROUPS | number, [ROWS, GROUPS, 8])
    less, more = gl.reduce((keys, gl.full_like(keys, _MOST)), 1, _two_least)
    return gl.convert_layout(less, kept), gl.convert_layout(more, kept)


@gluon.jit
def _nearer(least, column, near, other, rest, least_b, column_b, near_b, other_b, rest_b):
    """Two sets of slots as one: the least two with their columns, and the least of all others."""
    first = least <= least_b
    loser = gl.maximum(least, least_b)
    of_loser = gl.where(first, column_b, column)
    lower = gl.minimum(near, near_b)
    of_lower = gl.where(near <= near_b, other, other_b)
    rest = _least_of_three(rest, rest_b, gl.maximum(near, near_b))
    rest = gl.minimum(rest, gl.maximum(loser, lower))
    column = gl.where(first, column, column_b)
    other = gl.where(loser <= lower, of_loser, of_lower)
    return gl.minimum(least, least_b), column, gl.minimum(loser, lower), other, rest


@gluon.jit
def _write(
    of_place, best, second, offs_n, mask_n, reach, label_ptr, limit_ptr, other_ptr,
    TILES: gl.constexpr, layout: gl.constexpr, kept: gl.constexpr,
):  # fmt: skip
    """Labels of rows that have passed all tiles, and what is in doubt."""
    # Last bits that hold a number are at most so much of a score; 1 % covers the rest.
    BLUR: gl.constexpr = 1.01 * TILES * 2.0**-23
    least, of_others = _two_of_slots(of_place, layout, kept)
    slot = gl.expand_dims(gl.arange(0, 8, gl.SliceLayout(0, kept)), 0)
    column = (best & (TILES - 1)) * COLS + (least & (COLS // 8 - 1)) * 8 + slot
    least, label, near, other, rest = gl.reduce(
        (least, column, gl.full_like(least, _MOST), column, gl.minimum(second, of_others)),
        1, _nearer,
    )  # fmt: skip
    least = least.to(gl.float32, bitcast=True)
    limit = least + BLUR * least + reach
    # Not "is within": a bound that is not a number certifies nothing.
    known = (1.0 - BLUR) * rest.to(gl.float32, bitcast=True) > limit
    alone = (1.0 - BLUR) * near.to(gl.float32, bitcast=True) > limit
    other = gl.where(known, gl.where(alone, CERTAIN, other), OPEN)
    gl.store(label_ptr + offs_n, label, mask=mask_n)
    gl.store(other_ptr + offs_n, other, mask=mask_n)
    gl.store(limit_ptr + offs_n, limit, mask=mask_n)


@gluon.jit
def _search(
    who: gl.constexpr, x_bufs, c_bufs, x_ready, x_free, ready, free, begun, norm_ptr, residue_ptr,
    level_ptr, reach_ptr, label_ptr, limit_ptr, other_ptr, scale, N, items, tiles,
    TILES: gl.constexpr,
):  # fmt: skip
    """Consumer warpgroup: the two least scores of its rows, their label, what is in doubt."""
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, WIDE, 16])
    half: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, COLS, 16])
    # Rows to warps and groups of four threads, pairs of columns to the threads of a group.
    kept: gl.constexpr = gl.DistributedLinearLayout(
        [[0, 1], [8, 0]], [[0, 2], [0, 4], [1, 0], [2, 0], [4, 0]], [[16, 0], [32, 0]], [], [64, 8]
    )
    row_layout: gl.constexpr = gl.SliceLayout(1, kept)
    of_residue = gl.load(reach_ptr)
    of_norm = gl.load(reach_ptr + 1)
    of_level = gl.load(reach_ptr + 2)
    once = gl.load(reach_ptr + 3).to(gl.int32)
    step = 0
    turn = 0
    x = _rows(who, x_bufs, x_ready, x_free, turn, scale, layout)
    _await(ready, step)
    if who == SECOND:
        # A tile behind the first, and so for good: in step, both would use the tensor cores at one
        # time and make scores at another.
        mbarrier.wait(begun.index(0), 0)
    product = _start(x, c_bufs, step, layout)
    _await(ready, step + 1)
    low, high = _scores(product, free, step, level_ptr, 0, layout, half)
    if who == FIRST:
        mbarrier.arrive(begun.index(0))
    for item in range(gl.program_id(0), items, gl.num_programs(0)):
        # Asked for now, these are there when the tiles have passed.
        offs_n = (item * CONSUMERS + who) * ROWS + gl.arange(0, ROWS, row_layout)
        mask_n = offs_n < N
        norm = gl.load(norm_ptr + offs_n, mask=mask_n, other=0.0) * scale
        residue = gl.load(residue_ptr + offs_n, mask=mask_n, other=0.0)
        reach = of_residue * residue + of_norm * norm + of_level
        of_place = gl.full([ROWS, COLS], _MOST, gl.int32, half)
        best = gl.full([ROWS, 8], _MOST, gl.int32, kept)
        second = gl.full([ROWS, 8], _MOST, gl.int32, kept)
        for tile in range(tiles - 1):
            product = _start(x, c_bufs, step + 1, layout)
            # A loop, so that all of this stands before the wait for the products.
            for _ in range(once):
                of_place, best, second = _compare(
                    low, high, 2 * tile, of_place, best, second, TILES, kept
                )
            step += 1
            _await(ready, step + 1)
            low, high = _scores(product, free, step, level_ptr, tile + 1, layout, half)
        turn += 1
        x = _rows(who, x_bufs, x_ready, x_free, turn, scale, layout)
        product = _start(x, c_bufs, step + 1, layout)
        for _ in range(once):
            of_place, best, second = _compare(
                low, high, 2 * (tiles - 1), of_place, best, second, TILES, kept
            )
        _write(
            of_place, best, second, offs_n, mask_n, reach, label_ptr, limit_ptr, other_ptr,
            TILES, half, kept,
        )  # fmt: skip
        step += 1
        _await(ready, step + 1)
        low, high = _scores(product, free, step, level_ptr, 0, layout, half)


@gluon.jit
def _kmeans_ahead_kernel(
    x_desc, c_desc, norm_ptr, residue_ptr, level_ptr, reach_ptr, label_ptr, limit_ptr, other_ptr,
    scale, N, items, tiles, STAGES: gl.constexpr, TILES: gl.constexpr,
):  # fmt: skip
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
    begun = gl.allocate_shared_memory(gl.int64, [1, 1], mbarrier.MBarrierLayout())
    mbarrier.init(begun.index(0), count=1)
    for who in gl.static_range(CONSUMERS):
        mbarrier.init(x_ready.index(who), count=1)
        mbarrier.init(x_free.index(who), count=1)
    for slot in gl.static_range(STAGES):
        mbarrier.init(ready.index(slot), count=1)
        mbarrier.init(free.index(slot), count=CONSUMERS)
    # A tuple in a variable would turn its constexprs into run-time values: hence spelled out.
    gl.warp_specialize(
        [
            (_search, (FIRST, x_bufs, c_bufs, x_ready, x_free, ready, free, begun,
                       norm_ptr, residue_ptr, level_ptr, reach_ptr, label_ptr, limit_ptr, other_ptr,
                       scale, N, items, tiles, TILES)),
            (_search, (SECOND, x_bufs, c_bufs, x_ready, x_free, ready, free, begun,
                       norm_ptr, residue_ptr, level_ptr, reach_ptr, label_ptr, limit_ptr, other_ptr,
                       scale, N, items, tiles, TILES)),
            (_produce, (x_desc, c_desc, x_bufs, c_bufs, x_ready, x_free, ready, free, items,
                        tiles)),
        ],
        [4, 1],
        [240, 24],
    )  # fmt: skip


_FLOATS = ("norm_ptr", "residue_ptr", "level_ptr", "reach_ptr", "limit_ptr")

COMPILE_CASES = tuple(
    CompileCase(
        f"features-{width}",
        _kmeans_ahead_kernel,
        {
            **dict.fromkeys(_FLOATS, "*fp32"),
            **dict.fromkeys(("label_ptr", "other_ptr"), "*i32"),
            **dict.fromkeys(("N", "items", "tiles"), "i32"),
            "scale": "fp32",
            "x_desc": _tile(gl.float32, "fp32", width),
            "c_desc": _tile(gl.float16, "fp16", width, 128),
        },
        {"STAGES": AHEAD_STAGES, "TILES": 128},
        targets=("sm_90",),
    )
    for width in (32, 64, 128)
)
