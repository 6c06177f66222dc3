"""Triton kernel of kneighbors: of a tile of scores, only the least of each group is written.

Idea: a list of the nearest in registers costs more than the product that feeds it. So the product
keeps nothing: it writes the least score of every tile of BLOCK_N corpus rows, and of each of the
GROUPS groups of a tile. The k nearest lie in at most k groups, and the k-th least of the tiles'
minima is a score that at least k rows reach: what follows finds the groups by it.

Tiling: [BLOCK_Q, BLOCK_N] scores in float32 of float16 rows; the queries stay in shared memory
where D allows it and tiles of the corpus stream past. A tensor core's accumulator gives a thread
the columns 8j + 2g and 8j + 2g + 1 of a row, for all j and one g of four. A run of j and one g are
a group, so its least is found without leaving the thread. One product's sum, a minimum, no list.

On an H100, 100k x 100k x 128: 2.6 TFLOP, 3.7 ms at the rate of float16. Seen 4.7 ms with 256 x 128
(and 32 rows a group); 5.4 with 128 x 128, 5.5 with 256 x 64 or 128 x 256, where the tiles of the
corpus, 128 of whose products a byte from L2 feeds, are what takes the time.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import TARGETS, CompileCase


@triton.jit
def _kneighbors_minima_kernel(
    x_ptr,
    y_ptr,
    bias_ptr,
    groups_ptr,
    tiles_ptr,
    TILES,
    tiles_of_a_part,
    first,
    stride_g,
    D,
    FACTOR: tl.constexpr,
    EXCLUDE_SELF: tl.constexpr,
    WHOLE: tl.constexpr,
    GROUPS: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Minima of bias + FACTOR · x·y for queries [BLOCK_Q] over one part of the tiles."""
    begin = tl.program_id(1) * tiles_of_a_part
    end = tl.minimum(begin + tiles_of_a_part, TILES)
    offs_q = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    offs_n = tl.arange(0, BLOCK_N)
    offs_d = tl.arange(0, BLOCK_D)
    offs_g = tl.arange(0, GROUPS)
    wide_stride = tl.cast(stride_g, tl.int64)
    x_ptrs = x_ptr + offs_q.to(tl.int64)[:, None] * D + offs_d[None, :]
    if WHOLE:
        x = tl.load(x_ptrs)  # [BLOCK_Q, BLOCK_D]
    for tile in range(begin, end):
        rows = (tile * BLOCK_N + offs_n).to(tl.int64)
        y_ptrs = y_ptr + rows[None, :] * D + offs_d[:, None]
        if WHOLE:
            acc = tl.dot(x, tl.load(y_ptrs))  # [BLOCK_Q, BLOCK_N]
        else:
            acc = tl.zeros([BLOCK_Q, BLOCK_N], dtype=tl.float32)
            for d in range(0, D, BLOCK_D):
                acc = tl.dot(tl.load(x_ptrs + d), tl.load(y_ptrs + d), acc)
        s = tl.load(bias_ptr + rows)[None, :] + FACTOR * acc
        if EXCLUDE_SELF:
            s = tl.where(rows[None, :] == (first + offs_q)[:, None], float("inf"), s)
        in_pairs = tl.reshape(s, [BLOCK_Q, GROUPS // 4, BLOCK_N // GROUPS // 2, 4, 2])
        in_pairs = tl.min(in_pairs, axis=4)
        groups = tl.reshape(tl.min(in_pairs, axis=2), [BLOCK_Q, GROUPS])
        least = tl.min(groups, axis=1)  # [BLOCK_Q]
        to = groups_ptr + (GROUPS * tile + offs_g).to(tl.int64)[None, :] * stride_g
        tl.store(to + offs_q[:, None], groups)
        tl.store(tiles_ptr + tile * wide_stride + offs_q, least)


_SIGNATURE = {
    **dict.fromkeys(("x_ptr", "y_ptr"), "*fp16"),
    **dict.fromkeys(("bias_ptr", "groups_ptr", "tiles_ptr"), "*fp32"),
    **dict.fromkeys(("TILES", "tiles_of_a_part", "first", "stride_g", "D"), "i32"),
}

COMPILE_CASES = tuple(
    CompileCase(
        f"minima-{rows}x{columns}x{depth}-{groups}",
        _kneighbors_minima_kernel,
        _SIGNATURE,
        {
            "FACTOR": -2.0,
            "EXCLUDE_SELF": alone,
            "WHOLE": whole,
            "GROUPS": groups,
            "BLOCK_Q": rows,
            "BLOCK_N": columns,
            "BLOCK_D": depth,
        },
        num_warps=8,
        num_stages=2 if depth > 128 or rows < 256 else 3,
        multiples_of_16=("stride_g", "D"),
        targets=targets,
    )
    for rows, columns, groups, depth, whole, alone, targets in (
        (256, 128, 8, 128, True, False, ("sm_90",)),
        (256, 128, 16, 128, True, True, ("sm_90",)),
        (256, 64, 8, 256, True, False, ("sm_90",)),
        (256, 128, 8, 64, False, False, ("sm_80", "sm_90")),
        (128, 128, 8, 128, True, False, TARGETS),
    )
)
