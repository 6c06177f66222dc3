"""Triton kernels of kneighbors: from minima to candidates, bounded by what was really lost.

Idea: a score is wrong by at most `_error`, from norms and lost norms of the query and of the tile.
The k-th least of ``minimum + error`` over disjoint tiles is reached by k rows at least, so it is a
limit for the true k-th score; a tile, a group or a row with ``minimum - error`` above it holds no
neighbour. Tiles are looked at in blocks of queries, then the groups and rows of the few that are
left, a program a query. Nothing is sorted: the limit is found bit by bit, and it may be rounded up.

Scores stay as the product left them; rows of a group are scored again, in float32 of the same
float16 rows, so the same bound holds for them.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase

# The largest finite number stands for no limit.
_UNLIMITED = tl.constexpr(3.4028234e38)
_INFINITY = tl.constexpr(0x7F800000)


@triton.jit
def _error(norm, lost, tile_norm, tile_lost, product, sums, squares):
    """Bound of a score's error; `product` and `sums` scale what rounding and summing lost."""
    whole = norm + lost
    rounded = lost * tile_norm + whole * tile_lost
    return (
        product * rounded + sums * whole * (tile_norm + tile_lost) + squares * tile_norm * tile_norm
    )


@triton.jit
def _key(s):
    """Integers that are ordered as the floats are."""
    bits = s.to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def _kth_least(s, K: tl.constexpr):
    """A little above the K-th least of each column of s [P, Q], or no limit.

    The last 6 bits are not looked for: a part in 2^17 more.
    """
    keys = _key(s)
    least = tl.full([s.shape[1]], -2147483648, tl.int32)
    below = tl.sum((keys < 0).to(tl.int32), axis=0)
    least = tl.where(below < K, 0, least)
    for step in range(1, 26):
        trial = least + (1 << (31 - step))
        below = tl.sum((keys < trial[None, :]).to(tl.int32), axis=0)
        least = tl.where(below < K, trial, least)
    least = least + 63
    bits = least ^ ((least >> 31) & 0x7FFFFFFF)
    return tl.where(least >= _INFINITY, _UNLIMITED, bits.to(tl.float32, bitcast=True))


@triton.jit
def _kneighbors_select_kernel(
    tiles_ptr,
    norm_ptr,
    lost_ptr,
    tile_norm_ptr,
    tile_lost_ptr,
    chosen_ptr,
    counts_ptr,
    limits_ptr,
    Q,
    TILES,
    stride_t,
    product,
    sums,
    squares,
    relative,
    absolute,
    PRODUCTS: tl.constexpr,
    K: tl.constexpr,
    ROOM: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_T: tl.constexpr,
):
    """The limit of each query, and the tiles that may hold rows below it."""
    offs_q = tl.program_id(0).to(tl.int64) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    mask_q = offs_q < Q
    offs_t = tl.arange(0, BLOCK_T)
    if PRODUCTS:
        norm = tl.load(norm_ptr + offs_q, mask=mask_q, other=0.0)[None, :]
        lost = tl.load(lost_ptr + offs_q, mask=mask_q, other=0.0)[None, :]
    # The least of several tiles each, where there are more than BLOCK_T.
    above = tl.full([BLOCK_T, BLOCK_Q], float("inf"), tl.float32)
    for start in range(0, TILES, BLOCK_T):
        tiles = start + offs_t
        real = (tiles < TILES)[:, None] & mask_q[None, :]
        s = tl.load(
            tiles_ptr + tiles.to(tl.int64)[:, None] * stride_t + offs_q[None, :],
            mask=real,
            other=float("inf"),
        )
        if PRODUCTS:
            tile_norm = tl.load(tile_norm_ptr + tiles, mask=tiles < TILES, other=0.0)[:, None]
            tile_lost = tl.load(tile_lost_ptr + tiles, mask=tiles < TILES, other=0.0)[:, None]
            error = _error(norm, lost, tile_norm, tile_lost, product, sums, squares)
        else:
            error = relative * s + absolute
        above = tl.minimum(above, s + error)
    limit = _kth_least(above, K)  # [BLOCK_Q]
    count = tl.zeros([BLOCK_Q], dtype=tl.int32)
    for start in range(0, TILES, BLOCK_T):
        tiles = start + offs_t
        real = (tiles < TILES)[:, None] & mask_q[None, :]
        s = tl.load(
            tiles_ptr + tiles.to(tl.int64)[:, None] * stride_t + offs_q[None, :],
            mask=real,
            other=float("inf"),
        )
        if PRODUCTS:
            tile_norm = tl.load(tile_norm_ptr + tiles, mask=tiles < TILES, other=0.0)[:, None]
            tile_lost = tl.load(tile_lost_ptr + tiles, mask=tiles < TILES, other=0.0)[:, None]
            error = _error(norm, lost, tile_norm, tile_lost, product, sums, squares)
            # Written so that a NaN passes: what overflowed is decided elsewhere.
            passes = (real & ~(s - error > limit[None, :])).to(tl.int32)
        else:
            error = relative * s + absolute
            passes = (real & (s - error <= limit[None, :])).to(tl.int32)
        slot = count[None, :] + tl.cumsum(passes, 0) - 1
        tl.store(
            chosen_ptr + offs_q[None, :] * ROOM + slot,
            tiles[:, None] + tl.zeros_like(slot),
            mask=(passes > 0) & (slot < ROOM),
        )
        count += tl.sum(passes, axis=0)
    tl.store(counts_ptr + offs_q, count, mask=mask_q)
    tl.store(limits_ptr + offs_q, limit, mask=mask_q)


@triton.jit
def _kneighbors_gather_kernel(
    x_ptr,
    y_ptr,
    bias_ptr,
    groups_ptr,
    norm_ptr,
    lost_ptr,
    tile_norm_ptr,
    tile_lost_ptr,
    chosen_ptr,
    counts_ptr,
    limits_ptr,
    listed_ptr,
    candidates_ptr,
    found_ptr,
    N,
    D,
    first,
    stride_g,
    product,
    sums,
    squares,
    FACTOR: tl.constexpr,
    EXCLUDE_SELF: tl.constexpr,
    ROOM: tl.constexpr,
    GROUPS: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """The rows of one query's chosen tiles whose score may be below its limit."""
    GROUP: tl.constexpr = BLOCK_N // GROUPS
    # Rows of four groups that lie between each other's.
    RUN: tl.constexpr = 4 * GROUP
    query = tl.program_id(0).to(tl.int64)
    norm = tl.load(norm_ptr + query)
    lost = tl.load(lost_ptr + query)
    limit = tl.load(limits_ptr + query)
    count = tl.load(counts_ptr + query)
    offs_l = tl.arange(0, BLOCK_L)
    listed = tl.zeros([], dtype=tl.int32)
    for start in range(0, GROUPS * tl.minimum(count, ROOM), BLOCK_L):
        at = start + offs_l
        real = at < GROUPS * tl.minimum(count, ROOM)
        tile = tl.load(chosen_ptr + query * ROOM + at // GROUPS, mask=real, other=0).to(tl.int64)
        tile_norm, tile_lost = (
            tl.load(tile_norm_ptr + tile),
            tl.load(tile_lost_ptr + tile),
        )
        error = _error(norm, lost, tile_norm, tile_lost, product, sums, squares)
        group = GROUPS * tile + at % GROUPS
        least = tl.load(groups_ptr + group * stride_g + query, mask=real, other=float("inf"))
        # Written so that a NaN passes, here and below.
        passes = (real & ~(least - error > limit)).to(tl.int32)
        slot = listed + tl.cumsum(passes, 0) - 1
        to = listed_ptr + query * ROOM + slot
        tl.store(to, group.to(tl.int32), mask=(passes > 0) & (slot < ROOM))
        listed += tl.sum(passes, axis=0)
    tl.debug_barrier()
    kept = tl.minimum(listed, ROOM)
    offs_r = tl.arange(0, BLOCK_R)
    offs_d = tl.arange(0, BLOCK_D)
    inside = offs_r % GROUP
    found = tl.zeros([], dtype=tl.int32)
    for start in range(0, kept, BLOCK_R // GROUP):
        at = start + offs_r // GROUP
        real = at < kept
        group = tl.load(listed_ptr + query * ROOM + at, mask=real, other=0).to(tl.int64)
        tile = group // GROUPS
        row = group // 4 * RUN + 8 * (inside // 2) + 2 * (group % 4) + inside % 2
        tile_norm, tile_lost = (
            tl.load(tile_norm_ptr + tile),
            tl.load(tile_lost_ptr + tile),
        )
        error = _error(norm, lost, tile_norm, tile_lost, product, sums, squares)
        acc = tl.zeros([BLOCK_R], dtype=tl.float32)
        for d in range(0, D, BLOCK_D):
            x = tl.load(x_ptr + query * D + d + offs_d).to(tl.float32)
            y_ptrs = y_ptr + row[:, None] * D + (d + offs_d)[None, :]
            y = tl.load(y_ptrs, mask=real[:, None], other=0.0)  # [BLOCK_R, BLOCK_D]
            acc += tl.sum(y.to(tl.float32) * x[None, :], axis=1)
        s = tl.load(bias_ptr + row) + FACTOR * acc
        passes = real & (row < N) & ~(s - error > limit)
        if EXCLUDE_SELF:
            passes = passes & (row != first + query)
        passes = passes.to(tl.int32)
        slot = found + tl.cumsum(passes, 0) - 1
        to = candidates_ptr + query * ROOM + slot
        tl.store(to, row.to(tl.int32), mask=(passes > 0) & (slot < ROOM))
        found += tl.sum(passes, axis=0)
    # More than there is room for: the query is marked as one of too many candidates.
    overflows = (count > ROOM) | (listed > ROOM)
    tl.store(found_ptr + query, tl.where(overflows, ROOM + 1, found))


_BOUND = dict.fromkeys(("product", "sums", "squares"), "fp32")
_FLOATS = dict.fromkeys(
    ("norm_ptr", "lost_ptr", "tile_norm_ptr", "tile_lost_ptr", "limits_ptr"), "*fp32"
)
_LISTS = dict.fromkeys(("chosen_ptr", "counts_ptr"), "*i32")

_SELECT = {
    **_FLOATS,
    **_LISTS,
    **_BOUND,
    "tiles_ptr": "*fp32",
    **dict.fromkeys(("relative", "absolute"), "fp32"),
    **dict.fromkeys(("Q", "TILES", "stride_t"), "i32"),
}
_GATHER = {
    **_FLOATS,
    **_LISTS,
    **_BOUND,
    **dict.fromkeys(("x_ptr", "y_ptr"), "*fp16"),
    **dict.fromkeys(("bias_ptr", "groups_ptr"), "*fp32"),
    **dict.fromkeys(("listed_ptr", "candidates_ptr", "found_ptr"), "*i32"),
    **dict.fromkeys(("N", "D", "first", "stride_g"), "i32"),
}

_GATHER_BLOCKS = {"GROUPS": 8, "BLOCK_N": 128, "BLOCK_L": 64, "BLOCK_R": 16, "BLOCK_D": 128}

COMPILE_CASES = (
    *(
        CompileCase(
            f"select-{'products' if products else 'differences'}-{k}",
            _kneighbors_select_kernel,
            _SELECT,
            {
                "PRODUCTS": products,
                "K": k,
                "ROOM": 512,
                "BLOCK_Q": queries,
                "BLOCK_T": tiles,
            },
            num_warps=4,
        )
        for products, k, queries, tiles in (
            (True, 10, 8, 256),
            (True, 64, 8, 512),
            (False, 10, 1, 1024),
        )
    ),
    CompileCase(
        "gather",
        _kneighbors_gather_kernel,
        _GATHER,
        {"FACTOR": -2.0, "EXCLUDE_SELF": False, "ROOM": 512, **_GATHER_BLOCKS},
        num_warps=1,
        multiples_of_16=("D", "stride_g"),
    ),
)
