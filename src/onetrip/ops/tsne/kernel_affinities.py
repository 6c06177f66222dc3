"""Triton kernels of tsne that run before the descent: distances, widths, and neighbours.

Idea: a strip of rows [BLOCK, N] of squared distances lives in scratch memory at a time. From it a
program finds the width of one sample's neighbourhood, all steps of Newton's iteration in one
launch, with the row in cache; and a second time, when all widths are known, the pairs whose joint
probability counts. Their lists, in the order of the samples, are what the descent reads.

Distances are sums of squared differences in float32, feature by feature. A product of samples would
run on tensor cores, and lose the short distances, which are those that count: for clusters four
spreads apart, its forces were off by 3e-5 of the largest. Sizes are padded to whole tiles, so that
the loop over features has no masks.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _tsne_distances_kernel(
    x_ptr,
    d_ptr,
    begin,
    stride,
    D,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Squared distances of samples from `begin` on to all of x [D, stride], a row each."""
    row = tl.program_id(1) * BLOCK_I + tl.arange(0, BLOCK_I)
    offs_j = tl.program_id(0) * BLOCK_J + tl.arange(0, BLOCK_J)
    i_ptr = x_ptr + begin + row
    j_ptr = x_ptr + offs_j
    d = tl.zeros((BLOCK_I, BLOCK_J), dtype=tl.float32)
    for _ in range(0, D):
        difference = tl.load(i_ptr)[:, None] - tl.load(j_ptr)[None, :]  # [BLOCK_I, BLOCK_J]
        d += difference * difference
        i_ptr += stride
        j_ptr += stride
    tl.store(d_ptr + row[:, None] * stride + offs_j[None, :], d)


@triton.jit
def _tsne_widths_kernel(
    d_ptr,
    beta_ptr,
    log_sum_ptr,
    begin,
    N,
    stride,
    target,
    start,
    tolerance,
    MOST_STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Solve each row's entropy = `target` for β, by Newton's iteration on log β from `start`.

    Distances count from the nearest, so that the largest term is 1. Sums are float32, each lane's
    own until the end of the row; what follows from them is float64.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    i = begin + row
    d_ptr += row[:, None] * stride
    lanes = tl.arange(0, BLOCK)[None, :]
    nearest = tl.full((ROWS, BLOCK), float("inf"), dtype=tl.float32)
    for first in range(0, N, BLOCK):
        j = first + lanes
        d = tl.load(d_ptr + j, mask=(j < N) & (j != i[:, None]), other=float("inf"))
        nearest = tl.minimum(nearest, d)
    least = tl.min(nearest, axis=1)  # [ROWS]

    position = tl.full((ROWS,), 0.0, dtype=tl.float64) + start
    low, high = position - 36.0, position + 36.0
    beta = tl.full((ROWS,), 0.0, dtype=tl.float32)
    total = beta
    left = tl.where(i < N, MOST_STEPS, 0)
    nothing = tl.full((ROWS, BLOCK), 0.0, dtype=tl.float32)
    while tl.max(left, axis=0) > 0:
        beta = tl.exp(position).to(tl.float32)
        zeroth, linear, square = nothing, nothing, nothing
        for first in range(0, N, BLOCK):
            j = first + lanes
            others = (j < N) & (j != i[:, None])
            u = tl.load(d_ptr + j, mask=others, other=0.0) - least[:, None]
            e = tl.where(others, tl.exp(-beta[:, None] * u), 0.0)
            zeroth += e
            linear += e * u
            square += e * u * u
        total = tl.sum(zeroth, axis=1)
        mean = (tl.sum(linear, axis=1) / total).to(tl.float64)
        variance = (tl.sum(square, axis=1) / total).to(tl.float64) - mean * mean
        wide = beta.to(tl.float64)
        excess = tl.log(total.to(tl.float64)) + wide * mean - target
        done = (tl.abs(excess) <= tolerance) | (high - low <= 1e-9)
        low = tl.where(excess > 0.0, position, low)
        high = tl.where(excess > 0.0, high, position)
        ahead = excess / tl.maximum(wide * wide * variance, 1e-30)
        ahead = position + tl.minimum(tl.maximum(ahead, -4.0), 4.0)
        inside = (ahead > low) & (ahead < high)
        left = tl.where(done, 0, left - 1)
        # A row that is done stays where it is, and sums the same again.
        position = tl.where(left > 0, tl.where(inside, ahead, 0.5 * (low + high)), position)
    log_sum = tl.log(total.to(tl.float64)) - beta.to(tl.float64) * least.to(tl.float64)
    tl.store(beta_ptr + i, beta, mask=i < N)
    tl.store(log_sum_ptr + i, log_sum.to(tl.float32), mask=i < N)


@triton.jit
def joint(d_ptr, beta_ptr, log_sum_ptr, i, j, beta_i, log_sum_i, N):
    """p(j | i) + p(i | j), 2 N times the joint probabilities, of rows i [ROWS] and columns j."""
    others = (j < N)[None, :] & (j[None, :] != i[:, None]) & (i < N)[:, None]
    d = tl.load(d_ptr + j[None, :], mask=others, other=0.0)
    beta_j = tl.load(beta_ptr + j, mask=j < N, other=0.0)[None, :]
    log_sum_j = tl.load(log_sum_ptr + j, mask=j < N, other=0.0)[None, :]
    both = tl.exp(-beta_i[:, None] * d - log_sum_i[:, None]) + tl.exp(-beta_j * d - log_sum_j)
    return tl.where(others, both, 0.0)


@triton.jit
def _tsne_count_kernel(
    d_ptr,
    beta_ptr,
    log_sum_ptr,
    count_ptr,
    sums_ptr,
    begin,
    N,
    stride,
    least,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Count each row's pairs above `least`; sums [3, N] of their p and p log p, and of the rest."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    i = begin + row
    mask_i = i < N
    d_ptr += row[:, None] * stride
    beta_i = tl.load(beta_ptr + i, mask=mask_i, other=0.0)
    log_sum_i = tl.load(log_sum_ptr + i, mask=mask_i, other=0.0)
    count = tl.full((ROWS, BLOCK), 0, dtype=tl.int32)
    mass = tl.full((ROWS, BLOCK), 0.0, dtype=tl.float32)
    p_log_p, dropped = mass, mass
    for first in range(0, N, BLOCK):
        j = first + tl.arange(0, BLOCK)
        both = joint(d_ptr, beta_ptr, log_sum_ptr, i, j, beta_i, log_sum_i, N)
        kept = both > least
        p = both * (0.5 / N)
        count += kept.to(tl.int32)
        mass += tl.where(kept, p, 0.0)
        dropped += tl.where(kept, 0.0, p)
        p_log_p += tl.where(kept, p * tl.log(tl.where(kept, p, 1.0)), 0.0)
    tl.store(count_ptr + i, tl.sum(count, axis=1), mask=mask_i)
    tl.store(sums_ptr + i, tl.sum(mass, axis=1), mask=mask_i)
    tl.store(sums_ptr + N + i, tl.sum(p_log_p, axis=1), mask=mask_i)
    tl.store(sums_ptr + 2 * N + i, tl.sum(dropped, axis=1), mask=mask_i)


@triton.jit
def _tsne_fill_kernel(
    d_ptr,
    beta_ptr,
    log_sum_ptr,
    start_ptr,
    index_ptr,
    p_ptr,
    begin,
    N,
    stride,
    least,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the list of each row's pairs above `least`, in the order of the samples."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    i = begin + row
    mask_i = i < N
    d_ptr += row[:, None] * stride
    beta_i = tl.load(beta_ptr + i, mask=mask_i, other=0.0)
    log_sum_i = tl.load(log_sum_ptr + i, mask=mask_i, other=0.0)
    place = tl.load(start_ptr + i, mask=mask_i, other=0)
    for first in range(0, N, BLOCK):
        j = first + tl.arange(0, BLOCK)
        both = joint(d_ptr, beta_ptr, log_sum_ptr, i, j, beta_i, log_sum_i, N)
        kept = both > least
        one = kept.to(tl.int32)
        offs = place[:, None] + tl.cumsum(one, axis=1) - 1
        tl.store(index_ptr + offs, j[None, :] + tl.full((ROWS, 1), 0, dtype=tl.int32), mask=kept)
        tl.store(p_ptr + offs, both * (0.5 / N), mask=kept)
        place += tl.sum(one, axis=1)


@triton.jit
def tiles_before(strip, sides):
    """Tiles of all strips of rows above one: of a strip those from the diagonal on."""
    strip = tl.cast(strip, tl.int64)
    return strip * (2 * sides - strip + 1) // 2


@triton.jit
def _tsne_tiles_kernel(
    d_ptr,
    beta_ptr,
    log_sum_ptr,
    tile_ptr,
    begin,
    N,
    stride,
    sides,
    least,
    SIDE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write each row's part of the tiles on and above the diagonal."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    i = begin + row
    mask_i = i < N
    d_ptr += row[:, None] * stride
    beta_i = tl.load(beta_ptr + i, mask=mask_i, other=0.0)
    log_sum_i = tl.load(log_sum_ptr + i, mask=mask_i, other=0.0)
    strip = i // SIDE
    line = tile_ptr + tiles_before(strip, sides) * (SIDE * SIDE) + i % SIDE * SIDE
    for first in range(tl.min(strip, axis=0) * SIDE // BLOCK * BLOCK, N, BLOCK):
        j = first + tl.arange(0, BLOCK)
        both = joint(d_ptr, beta_ptr, log_sum_ptr, i, j, beta_i, log_sum_i, N)
        tile = j[None, :] // SIDE - strip[:, None]
        offs = tl.cast(tile, tl.int64) * (SIDE * SIDE) + (j % SIDE)[None, :]
        kept = (both > least) & (tile >= 0)
        tl.store(line[:, None] + offs, both * (0.5 / N), mask=kept)


_WIDTHS = {"d_ptr": "*fp32", "beta_ptr": "*fp32", "log_sum_ptr": "*fp32"}
_SIZES = {"begin": "i32", "N": "i32", "stride": "i32"}
_LISTS = {"start_ptr": "*i64", "index_ptr": "*i32", "p_ptr": "*fp32"}
_ALIGNED = ("begin", "stride")

COMPILE_CASES = (
    CompileCase(
        "distances",
        _tsne_distances_kernel,
        {"x_ptr": "*fp32", "d_ptr": "*fp32", "begin": "i32", "stride": "i32", "D": "i32"},
        {"BLOCK_I": 8, "BLOCK_J": 512},
        multiples_of_16=_ALIGNED,
    ),
    CompileCase(
        "widths",
        _tsne_widths_kernel,
        _WIDTHS | _SIZES | {"target": "fp32", "start": "fp32", "tolerance": "fp32"},
        {"MOST_STEPS": 60, "ROWS": 1, "BLOCK": 4096},
        num_warps=16,
        multiples_of_16=_ALIGNED,
    ),
    CompileCase(
        "count",
        _tsne_count_kernel,
        _WIDTHS | _SIZES | {"count_ptr": "*i32", "sums_ptr": "*fp32", "least": "fp32"},
        {"ROWS": 1, "BLOCK": 1024},
        multiples_of_16=_ALIGNED,
    ),
    CompileCase(
        "tiles",
        _tsne_tiles_kernel,
        _WIDTHS | _SIZES | {"tile_ptr": "*fp32", "sides": "i32", "least": "fp32"},
        {"SIDE": 64, "ROWS": 1, "BLOCK": 1024},
        multiples_of_16=_ALIGNED,
    ),
    CompileCase(
        "fill",
        _tsne_fill_kernel,
        _WIDTHS | _LISTS | _SIZES | {"least": "fp32"},
        {"ROWS": 1, "BLOCK": 1024},
        multiples_of_16=_ALIGNED,
    ),
)
