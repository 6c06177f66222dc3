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
    UNROLL: tl.constexpr,
):
    """Squared distances of samples from `begin` on to all of x [D, stride], a row each."""
    row = tl.program_id(1) * BLOCK_I + tl.arange(0, BLOCK_I)
    offs_j = tl.program_id(0) * BLOCK_J + tl.arange(0, BLOCK_J)
    i_ptr = x_ptr + begin + row
    j_ptr = x_ptr + offs_j
    d = tl.zeros((BLOCK_I, BLOCK_J), dtype=tl.float32)
    for _ in tl.range(0, D, loop_unroll_factor=UNROLL):
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
    BLOCK: tl.constexpr,
):
    """Solve one row's entropy = `target` for β, by Newton's iteration on log β from `start`.

    Distances count from the nearest, so that the largest term is 1. Sums are float32, each lane's
    own until the end of the row; what follows from them is float64.
    """
    row = tl.program_id(0)
    i = begin + row
    d_ptr += row * stride
    lanes = tl.arange(0, BLOCK)
    nearest = tl.full((BLOCK,), float("inf"), dtype=tl.float32)
    for first in range(0, N, BLOCK):
        j = first + lanes
        d = tl.load(d_ptr + j, mask=(j < N) & (j != i), other=float("inf"))
        nearest = tl.minimum(nearest, d)
    least = tl.min(nearest, axis=0)

    position = tl.full((), 0.0, dtype=tl.float64) + start
    low, high = position - 36.0, position + 36.0
    beta = tl.exp(position).to(tl.float32)
    total = tl.full((), 1.0, dtype=tl.float32)
    left = tl.full((), MOST_STEPS, dtype=tl.int32)
    nothing = tl.zeros((BLOCK,), dtype=tl.float32)
    while left > 0:
        beta = tl.exp(position).to(tl.float32)
        zeroth, linear, square = nothing, nothing, nothing
        for first in range(0, N, BLOCK):
            j = first + lanes
            others = (j < N) & (j != i)
            u = tl.load(d_ptr + j, mask=others, other=0.0) - least
            e = tl.where(others, tl.exp(-beta * u), 0.0)
            zeroth += e
            linear += e * u
            square += e * u * u
        total = tl.sum(zeroth, axis=0)
        mean = (tl.sum(linear, axis=0) / total).to(tl.float64)
        variance = (tl.sum(square, axis=0) / total).to(tl.float64) - mean * mean
        wide = beta.to(tl.float64)
        excess = tl.log(total.to(tl.float64)) + wide * mean - target
        done = (tl.abs(excess) <= tolerance) | (high - low <= 1e-9)
        low = tl.where(excess > 0.0, position, low)
        high = tl.where(excess > 0.0, high, position)
        ahead = excess / tl.maximum(wide * wide * variance, 1e-30)
        ahead = position + tl.minimum(tl.maximum(ahead, -4.0), 4.0)
        inside = (ahead > low) & (ahead < high)
        position = tl.where(inside, ahead, 0.5 * (low + high))
        left = tl.where(done, 0, left - 1)
    log_sum = tl.log(total.to(tl.float64)) - beta.to(tl.float64) * least.to(tl.float64)
    tl.store(beta_ptr + i, beta)
    tl.store(log_sum_ptr + i, log_sum.to(tl.float32))


@triton.jit
def joint(d_ptr, beta_ptr, log_sum_ptr, i, j, beta_i, log_sum_i, N):
    """p(j | i) + p(i | j), 2 N times the joint probabilities, from i's row of distances."""
    others = (j < N) & (j != i)
    d = tl.load(d_ptr + j, mask=others, other=0.0)
    beta_j = tl.load(beta_ptr + j, mask=others, other=0.0)
    log_sum_j = tl.load(log_sum_ptr + j, mask=others, other=0.0)
    both = tl.exp(-beta_i * d - log_sum_i) + tl.exp(-beta_j * d - log_sum_j)
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
    BLOCK: tl.constexpr,
):
    """Count one row's pairs above `least`; sums [3, N] of their p and p log p, and of the rest."""
    row = tl.program_id(0)
    i = begin + row
    d_ptr += row * stride
    beta_i, log_sum_i = tl.load(beta_ptr + i), tl.load(log_sum_ptr + i)
    count = tl.zeros((BLOCK,), dtype=tl.int32)
    mass = tl.zeros((BLOCK,), dtype=tl.float32)
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
    tl.store(count_ptr + i, tl.sum(count, axis=0))
    tl.store(sums_ptr + i, tl.sum(mass, axis=0))
    tl.store(sums_ptr + N + i, tl.sum(p_log_p, axis=0))
    tl.store(sums_ptr + 2 * N + i, tl.sum(dropped, axis=0))


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
    BLOCK: tl.constexpr,
):
    """Write the list of one row's pairs above `least`, in the order of the samples."""
    row = tl.program_id(0)
    i = begin + row
    d_ptr += row * stride
    beta_i, log_sum_i = tl.load(beta_ptr + i), tl.load(log_sum_ptr + i)
    place = tl.load(start_ptr + i)
    for first in range(0, N, BLOCK):
        j = first + tl.arange(0, BLOCK)
        both = joint(d_ptr, beta_ptr, log_sum_ptr, i, j, beta_i, log_sum_i, N)
        kept = both > least
        one = kept.to(tl.int32)
        offs = place + tl.cumsum(one, axis=0) - 1
        tl.store(index_ptr + offs, j, mask=kept)
        tl.store(p_ptr + offs, both * (0.5 / N), mask=kept)
        place += tl.sum(one, axis=0)


_WIDTHS = {"d_ptr": "*fp32", "beta_ptr": "*fp32", "log_sum_ptr": "*fp32"}
_SIZES = {"begin": "i32", "N": "i32", "stride": "i32"}
_LISTS = {"start_ptr": "*i64", "index_ptr": "*i32", "p_ptr": "*fp32"}
_ALIGNED = ("begin", "stride")

COMPILE_CASES = (
    CompileCase(
        "distances",
        _tsne_distances_kernel,
        {"x_ptr": "*fp32", "d_ptr": "*fp32", "begin": "i32", "stride": "i32", "D": "i32"},
        {"BLOCK_I": 16, "BLOCK_J": 512, "UNROLL": 4},
        multiples_of_16=_ALIGNED,
    ),
    CompileCase(
        "widths",
        _tsne_widths_kernel,
        _WIDTHS | _SIZES | {"target": "fp32", "start": "fp32", "tolerance": "fp32"},
        {"MOST_STEPS": 60, "BLOCK": 4096},
        num_warps=16,
        multiples_of_16=_ALIGNED,
    ),
    CompileCase(
        "count",
        _tsne_count_kernel,
        _WIDTHS | _SIZES | {"count_ptr": "*i32", "sums_ptr": "*fp32", "least": "fp32"},
        {"BLOCK": 1024},
        multiples_of_16=_ALIGNED,
    ),
    CompileCase(
        "fill",
        _tsne_fill_kernel,
        _WIDTHS | _LISTS | _SIZES | {"least": "fp32"},
        {"BLOCK": 1024},
        multiples_of_16=_ALIGNED,
    ),
)
