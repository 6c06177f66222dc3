"""Device functions of hdbscan: tiles of squared distances from float16 products, and their bounds.

Idea: a program centres its rows and every block of columns on the middle of its rows' box and
rounds them to float16. With x̂ and ŷ for what is rounded, the triangle inequality bounds the
distance: | |x − y| − |x̂ − ŷ| | ≤ |x − x̂| + |y − ŷ|. A residue is at most 2^-11 of its norm, and
|y| ≤ |x| + |x − y|: so the bound depends on the row and the distance alone, and a limit of a row
turns into one limit of its scores ``|ŷ|² − 2 x̂·ŷ``. Nothing is compared element by element but
a score and a number of its row.

Scaling: the caller scales the points by a power of two so that their box is at most 2^13 wide:
nothing overflows, and what underflows is off by 2^-25.

Points of float64 are rounded to float32 here. `off` says by how much that moves the distance of a
pair at most, and goes into every bound; it is zero where points are float32.
"""

from collections.abc import Mapping
from typing import Any

import triton
import triton.language as tl

from onetrip.core.selection import Config
from onetrip.tile.compile_case import TARGETS, CompileCase
from onetrip.tile.launches import blocks, next_power

# Blocks of columns whose boxes are looked at together: one bit each.
CHUNK = 32
# Programs that keep a large device busy.
_PROGRAMS = 512
# Targets, features, rows, columns and warps of tiles, as `select.py` has them: from 256 features on
# those of 200 KB of shared memory are others.
_ROOMY_TARGETS = ("sm_90", "sm_100")
_TILES = (
    (TARGETS, 16, 64, 64, 4),
    (TARGETS, 32, 64, 64, 4),
    (TARGETS, 64, 128, 64, 8),
    (TARGETS, 128, 128, 64, 8),
    (("sm_80", "gfx942", "gfx950"), 256, 64, 32, 8),
    (_ROOMY_TARGETS, 256, 128, 32, 8),
    (_ROOMY_TARGETS, 512, 64, 32, 8),
    (_ROOMY_TARGETS, 1024, 32, 32, 16),
)
# What kernels of tiles are given, by the names of their arguments.
_TYPES = {
    **dict.fromkeys(("x_ptr", "low_ptr", "high_ptr", "radius_ptr", "reach_ptr"), "*fp32"),
    **dict.fromkeys(("row_ptr", "count_ptr", "near_ptr", "pair_ptr", "first_ptr"), "*i32"),
    **dict.fromkeys(("last_ptr", "component_ptr", "limit_ptr", "floor_ptr"), "*i32"),
    **dict.fromkeys(("rows", "N", "D", "blocks", "steps", "KEEP", "room"), "i32"),
    **{"core_ptr": "*fp32", "off": "fp32"},
}


@triton.jit
def row_block(x_ptr, places, D, DP: tl.constexpr):
    """Rows at `places` [BLOCK_N]: their box [DP], its middle, rounded rows, |x̂|² and |x|."""
    offs_d = tl.arange(0, DP)
    start = tl.cast(places, tl.int64) * D
    x = tl.load(x_ptr + start[:, None] + offs_d[None, :], mask=(offs_d < D)[None, :], other=0.0)
    low = tl.min(x, axis=0)
    high = tl.max(x, axis=0)
    middle = (low + high) * 0.5
    local = x - middle[None, :]  # [BLOCK_N, DP]
    half = local.to(tl.float16)
    wide = half.to(tl.float32)
    square = tl.sum(wide * wide, axis=1)  # [BLOCK_N]
    norm = tl.sqrt(tl.sum(local * local, axis=1))  # [BLOCK_N]
    return low, high, middle, half, square, norm


@triton.jit
def column_block(x_ptr, block, N, D, BLOCK_M: tl.constexpr, DP: tl.constexpr):
    """A block of columns [BLOCK_M, DP], the last point again beyond N."""
    offs_d = tl.arange(0, DP)
    offs_m = tl.minimum(block * BLOCK_M + tl.arange(0, BLOCK_M), N - 1)
    start = x_ptr + tl.cast(offs_m, tl.int64)[:, None] * D
    return tl.load(start + offs_d[None, :], mask=(offs_d < D)[None, :], other=0.0)


@triton.jit
def scores(y, half, middle, block, N, BLOCK_M: tl.constexpr):
    """``|ŷ|² − 2 x̂·ŷ`` of rows and a block of columns [BLOCK_N, BLOCK_M], infinity beyond N."""
    inside = block * BLOCK_M + tl.arange(0, BLOCK_M) < N
    rounded = (y - middle[None, :]).to(tl.float16)  # [BLOCK_M, DP]
    wide = rounded.to(tl.float32)
    square = tl.where(inside, tl.sum(wide * wide, axis=1), float("inf"))  # [BLOCK_M]
    return square[None, :] - 2.0 * tl.dot(half, tl.trans(rounded))


@triton.jit
def near_blocks(
    low_ptr,
    high_ptr,
    radius_ptr,
    low,
    high,
    middle,
    radius,
    chunk,
    wanted,
    off,
    D,
    blocks,
    DP: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Which blocks of a chunk may hold a point within `wanted` (squared) of the rows [CHUNK].

    Rows and blocks have a box, and a ball around its middle: in many dimensions boxes that are
    far apart still overlap in most.
    """
    # Boxes are of points that are moved. Below zero, nothing is wanted.
    within = tl.sqrt(tl.maximum(wanted, 0.0)) + off
    wanted = tl.where(wanted < 0.0, wanted, within * within)
    offs_d = tl.arange(0, DP)
    block = chunk * CHUNK + tl.arange(0, CHUNK)
    mask = (block < blocks)[:, None] & (offs_d < D)[None, :]
    at = block[:, None] * D + offs_d[None, :]
    below = tl.load(low_ptr + at, mask=mask, other=0.0)
    above = tl.load(high_ptr + at, mask=mask, other=0.0)
    apart = tl.maximum(tl.maximum(below - high[None, :], low[None, :] - above), 0.0)
    between = (below + above) * 0.5 - middle[None, :]  # [CHUNK, DP]
    # Somewhat nearer than computed: pairs are summed in another order.
    gap = tl.sum(apart * apart, axis=1) * 0.9999
    reach = radius + tl.load(radius_ptr + block, mask=block < blocks, other=0.0)
    ball = tl.maximum(tl.sqrt(tl.sum(between * between, axis=1)) * 0.9999 - reach * 1.0001, 0.0)
    return (block < blocks) & (tl.maximum(gap, ball * ball) <= wanted)


@triton.jit
def as_bits(chosen, CHUNK: tl.constexpr):
    """A number with the bits of the chosen [CHUNK]."""
    one = tl.full([CHUNK], 1, tl.uint32)
    return tl.sum(tl.where(chosen, one << tl.arange(0, CHUNK).to(tl.uint32), 0), axis=0)


@triton.jit
def lowest_bit(bits):
    """Number of the lowest bit that is set, zero where none is."""
    alone = tl.maximum(bits ^ (bits & (bits - 1)), 1)
    # The exponent of a power of two: a logarithm takes thirty steps, each waiting for the last.
    return (alone.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127


@triton.jit
def kth_least(values, K, BLOCK_N: tl.constexpr):
    """K-th smallest of every row of values, equal ones counted each [BLOCK_N]."""
    found = tl.zeros([BLOCK_N], dtype=values.dtype) + float("inf")
    count = tl.zeros([BLOCK_N], dtype=tl.int32)
    for _ in range(0, K):
        least = tl.min(values, axis=1)
        found = tl.where(count < K, least, found)
        same = values == least[:, None]
        count += tl.sum(same.to(tl.int32), axis=1)
        values = tl.where(same, float("inf"), values)
    return found


@triton.jit
def _units(norm, D):
    """Relative error of a rounded coordinate; of a product's sum; and both times the row's norm."""
    rounding = 4.8923e-4  # 2^-11, and 2^-20 for what centring rounds
    summing = (D + 8) * 2.3842e-7  # tensor cores truncate: two bits more than float32 has
    tiny = tl.sqrt(tl.cast(D, tl.float32)) * 2.9803e-8  # 2^-25 a coordinate, below the normal range
    size = norm * 1.001 + tiny
    return rounding, summing, 2.0 * (rounding * size + tiny), 8.0 * summing * size * size


@triton.jit
def at_most(square, norm, D, off):
    """No greater is the squared distance of a pair whose computed one is `square`."""
    rounding, summing, moved, lost = _units(norm, D)
    hat = tl.sqrt(tl.maximum(square + lost, 0.0) / (1.0 - 2.0 * summing))
    distance = (hat + moved) / (1.0 - rounding) + off
    return distance * distance * (1.0 + (D + 8) * 1.2e-7)


@triton.jit
def at_least(square, norm, D, off):
    """No less is the squared distance of a pair whose computed one is `square`."""
    rounding, summing, moved, lost = _units(norm, D)
    hat = tl.sqrt(tl.maximum(square - lost, 0.0) / (1.0 + 2.0 * summing))
    distance = tl.maximum(tl.maximum(hat - moved, 0.0) / (1.0 + rounding) - off, 0.0)
    return distance * distance * (1.0 - (D + 8) * 1.2e-7 - 1e-6)


@triton.jit
def computed_at_most(limit, norm, D, off):
    """No greater is the computed square of a pair whose squared distance is at most `limit`."""
    rounding, summing, moved, lost = _units(norm, D)
    distance = tl.sqrt(limit * (1.0 + (D + 8) * 1.2e-7)) + off
    hat = distance * (1.0 + rounding) + moved
    return hat * hat * (1.0 + 2.0 * summing + 1e-6) + lost


@triton.jit
def differences(x_ptr, first, second, mask, D):
    """Squared distances of pairs of places, summed feature by feature: the same from either end."""
    total = tl.zeros(first.shape, dtype=x_ptr.dtype.element_ty)
    rows = x_ptr + tl.cast(first, tl.int64) * D
    columns = x_ptr + tl.cast(second, tl.int64) * D
    for d in range(0, D):
        apart = tl.load(rows + d, mask=mask, other=0.0) - tl.load(columns + d, mask=mask, other=0.0)
        total += apart * apart
    return total


def parts(programs: int, steps: int) -> int:
    """How many programs share the columns of the same rows, where there are few rows."""
    return max(1, min(steps, _PROGRAMS // max(programs, 1)))


def sizes_of_tiles(N: int, D: int, config: Config) -> tuple[int, int, dict[str, Any]]:
    """Blocks of columns, a power of two of chunks that holds them, and options of a launch."""
    columns = blocks(N, config["BLOCK_M"])
    # A product of tensor cores takes at least 16 features.
    options: dict[str, Any] = {"CHUNK": CHUNK, "DP": max(16, next_power(D)), **config}
    return columns, next_power(blocks(columns, CHUNK)), options


def tile_cases(
    name: str, kernel: Any, spills: int, max_spills: Mapping[int, int], **constexprs: int
) -> tuple[CompileCase, ...]:
    """A kernel's case for each tile of `select.py`; most spills by features, else `spills`."""
    return tuple(
        CompileCase(
            f"{name}-{DP}-{BLOCK_N}",
            kernel,
            {name: _TYPES[name] for name in kernel.arg_names if name in _TYPES},
            {"CHUNK": CHUNK, "BLOCK_N": BLOCK_N, "BLOCK_M": BLOCK_M, "DP": DP, **constexprs},
            num_warps,
            targets=targets,
            multiples_of_16=("D",),
            max_spills=max_spills.get(DP, spills),
        )
        for targets, DP, BLOCK_N, BLOCK_M, num_warps in _TILES
    )
