"""Triton kernels of tsne: attraction where most pairs count, from tiles of kept affinities.

Idea: lists take 8 bytes for each of two directions of a pair, tiles on and above the diagonal 4
bytes for both. A program reads a part of the tiles of two strips of rows, a long one and a short
one, so that all have the same work. Of each tile, what it pulls its rows by stays in registers
until the end of the strip; what it pulls its columns by is summed at once and stored, strip by
strip. A second kernel sums these.

Every number is summed by one program in a fixed order: two runs are bit-equal.
"""

import triton
import triton.language as tl

from onetrip.ops.tsne.kernel_affinities import tiles_before
from onetrip.ops.tsne.kernel_triton import similarity
from onetrip.ops.tsne.plan import SIDE
from onetrip.tile.compile_case import CompileCase

# Columns of a tile that a program pulls by at a time, and its warps.
PULL = {"COLUMNS": 32, "num_warps": 4}
# Strips whose pulls are summed together.
STRIPS = 32


@triton.jit
def _points(y_ptr, offs, stride, M: tl.constexpr):
    """Coordinates of samples, from the planes y [M, stride]."""
    y0 = tl.load(y_ptr + offs)
    y1, y2 = y0, y0
    if M > 1:
        y1 = tl.load(y_ptr + stride + offs)
    if M > 2:
        y2 = tl.load(y_ptr + 2 * stride + offs)
    return y0, y1, y2


@triton.jit
def _tsne_pull_tiles_kernel(
    y_ptr,
    tile_ptr,
    row_ptr,
    column_ptr,
    p_log_t_ptr,
    sides,
    stride,
    M: tl.constexpr,
    WANTED: tl.constexpr,
    SIDE: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """What tiles pull their rows by [parts, M, stride] and their columns by [sides, M, stride]."""
    short, part, parts = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    long = sides - 1 - short
    lanes, across = tl.arange(0, SIDE), tl.arange(0, COLUMNS)
    nothing = tl.full((SIDE, COLUMNS), 0.0, dtype=tl.float32)
    p_log_t = nothing
    each = SIDE // COLUMNS
    for turn in range(0, 1 + (short != long).to(tl.int32)):
        strip = tl.where(turn == 0, short, long)
        first = strip + (sides - strip) * part // parts
        last = strip + (sides - strip) * (part + 1) // parts
        y0_i, y1_i, y2_i = _points(y_ptr, strip * SIDE + lanes, stride, M)
        tiles = tile_ptr + (tiles_before(strip, sides) - strip) * (SIDE * SIDE)
        ptrs = tiles + lanes[:, None] * SIDE + across[None, :]
        pull0, pull1, pull2 = nothing, nothing, nothing
        pulled = column_ptr + tl.cast(strip, tl.int64) * M * stride
        for step in range(first * each, last * each):
            offs = tl.cast(step // each, tl.int64) * (SIDE * SIDE) + step % each * COLUMNS
            p = tl.load(ptrs + offs)
            offs_j = step * COLUMNS + across
            y0_j, y1_j, y2_j = _points(y_ptr, offs_j, stride, M)
            d0 = y0_i[:, None] - y0_j[None, :]
            d1 = y1_i[:, None] - y1_j[None, :]
            d2 = y2_i[:, None] - y2_j[None, :]
            t = similarity(d0, d1, d2, M)
            near = p * t
            pull0 += near * d0
            tl.store(pulled + offs_j, tl.sum(near * d0, axis=0))
            if M > 1:
                pull1 += near * d1
                tl.store(pulled + stride + offs_j, tl.sum(near * d1, axis=0))
            if M > 2:
                pull2 += near * d2
                tl.store(pulled + 2 * stride + offs_j, tl.sum(near * d2, axis=0))
            if WANTED:
                # Off the diagonal, for both directions. p that counts must not meet log 0.
                both = tl.where(step // each > strip, 2.0, 1.0) * p
                p_log_t += both * tl.log(tl.maximum(t, 1e-37))
        rows = row_ptr + part * M * stride + strip * SIDE + lanes
        tl.store(rows, tl.sum(pull0, axis=1))
        if M > 1:
            tl.store(rows + stride, tl.sum(pull1, axis=1))
        if M > 2:
            tl.store(rows + 2 * stride, tl.sum(pull2, axis=1))
    if WANTED:
        total = tl.sum(tl.sum(p_log_t, axis=1), axis=0)
        tl.store(p_log_t_ptr + part * tl.num_programs(0) + short, total)


@triton.jit
def _tsne_pulled_kernel(
    row_ptr,
    column_ptr,
    pull_ptr,
    stride,
    parts,
    M: tl.constexpr,
    SIDE: tl.constexpr,
    STRIPS: tl.constexpr,
):
    """Pull [M, stride] of a strip's samples: as rows of their tiles, and as columns of others'."""
    strip, coordinate = tl.program_id(0), tl.program_id(1)
    offs = coordinate * stride + strip * SIDE + tl.arange(0, SIDE)
    found = tl.full((STRIPS, SIDE), 0.0, dtype=tl.float32)
    for first in range(0, strip, STRIPS):
        above = first + tl.arange(0, STRIPS)
        ptrs = column_ptr + tl.cast(above, tl.int64)[:, None] * M * stride + offs[None, :]
        # Differences point the other way.
        found -= tl.load(ptrs, mask=(above < strip)[:, None], other=0.0)
    pull = tl.sum(found, axis=0)
    for part in range(0, parts):
        pull += tl.load(row_ptr + part * M * stride + offs)
    tl.store(pull_ptr + offs, pull)


_SUMS = {"row_ptr": "*fp32", "column_ptr": "*fp32", "stride": "i32"}

COMPILE_CASES = (
    *(
        CompileCase(
            f"pull-tiles-{M}",
            _tsne_pull_tiles_kernel,
            _SUMS | {"y_ptr": "*fp32", "tile_ptr": "*fp32", "p_log_t_ptr": "*fp32", "sides": "i32"},
            {"M": M, "WANTED": True, "SIDE": SIDE, "COLUMNS": PULL["COLUMNS"]},
            num_warps=PULL["num_warps"],
            multiples_of_16=("stride",),
        )
        for M in (2, 3)
    ),
    CompileCase(
        "pulled",
        _tsne_pulled_kernel,
        _SUMS | {"pull_ptr": "*fp32", "parts": "i32"},
        {"M": 2, "SIDE": SIDE, "STRIPS": STRIPS},
        multiples_of_16=("stride",),
    ),
)
