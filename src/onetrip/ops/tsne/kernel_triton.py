"""Triton kernels of tsne: widths, affinities and forces, without an [N, N] matrix.

Idea: one program owns BLOCK samples and goes over all others, a tile of pairs at a time. The tile
goes from distances to sums over its rows in registers. No two programs add to one number, so
there are no atomics and two runs are bit-equal; the price is that each pair is visited from both
of its sides.

Distances are sums of squared differences in float32, in x feature by feature and in the embedding
coordinate by coordinate. A product of samples would run on tensor cores, and lose the short
distances, which are those that count: for clusters four spreads apart, its forces were off by
3e-5 of the largest. Both conditional probabilities come from one tile of distances.
Where the affinities fit the memory budget, one launch keeps the tiles on and above the diagonal in
float32 and each iteration reads them, transposed below it: 4 N² bytes, for N = 20,000 0.5 ms on an
H100 where recomputing them from 128 features would take 3 ms. Neither is measured yet.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _distances(x_ptr, offs_i, offs_j, N, D):
    """Squared distances [BLOCK, BLOCK] of two ranges of samples of x [D, N], feature by feature."""
    mask_i, mask_j = offs_i < N, offs_j < N
    d = tl.zeros((offs_i.shape[0], offs_j.shape[0]), dtype=tl.float32)
    for _ in range(0, D):
        x_i = tl.load(x_ptr + offs_i, mask=mask_i, other=0.0)
        x_j = tl.load(x_ptr + offs_j, mask=mask_j, other=0.0)
        x_ptr += N
        difference = x_i[:, None] - x_j[None, :]  # [BLOCK, BLOCK]
        d += difference * difference
    return d


@triton.jit
def _tsne_nearest_kernel(
    x_ptr,
    nearest_ptr,
    N,
    D,
    BLOCK: tl.constexpr,
):
    offs_i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    nearest = tl.full((BLOCK,), float("inf"), dtype=tl.float32)
    for begin in range(0, N, BLOCK):
        offs_j = begin + tl.arange(0, BLOCK)
        d = _distances(x_ptr, offs_i, offs_j, N, D)
        others = (offs_i[:, None] != offs_j[None, :]) & (offs_j < N)[None, :]
        nearest = tl.minimum(nearest, tl.min(tl.where(others, d, float("inf")), axis=1))
    tl.store(nearest_ptr + offs_i, nearest, mask=offs_i < N)


@triton.jit
def _tsne_entropy_kernel(
    x_ptr,
    nearest_ptr,
    beta_ptr,
    sums_ptr,
    N,
    D,
    BLOCK: tl.constexpr,
):
    """Sums over all others of e, e u and e u² for e = exp(-β u), u the distance less the least."""
    offs_i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask_i = offs_i < N
    nearest = tl.load(nearest_ptr + offs_i, mask=mask_i, other=0.0)
    beta = tl.load(beta_ptr + offs_i, mask=mask_i, other=0.0)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    first = tl.zeros((BLOCK,), dtype=tl.float32)
    second = tl.zeros((BLOCK,), dtype=tl.float32)
    for begin in range(0, N, BLOCK):
        offs_j = begin + tl.arange(0, BLOCK)
        d = _distances(x_ptr, offs_i, offs_j, N, D)
        others = (offs_i[:, None] != offs_j[None, :]) & (offs_j < N)[None, :]
        u = tl.where(others, d - nearest[:, None], 0.0)
        e = tl.where(others, tl.exp(-beta[:, None] * u), 0.0)
        total += tl.sum(e, axis=1)
        first += tl.sum(e * u, axis=1)
        second += tl.sum(e * u * u, axis=1)
    tl.store(sums_ptr + offs_i, total, mask=mask_i)
    tl.store(sums_ptr + N + offs_i, first, mask=mask_i)
    tl.store(sums_ptr + 2 * N + offs_i, second, mask=mask_i)


@triton.jit
def _joint(
    x_ptr,
    beta_ptr,
    log_sum_ptr,
    offs_i,
    offs_j,
    N,
    D,
):
    """Joint probabilities [BLOCK, BLOCK] of two ranges of samples, 0 with oneself."""
    mask_i, mask_j = offs_i < N, offs_j < N
    d = _distances(x_ptr, offs_i, offs_j, N, D)
    beta_i = tl.load(beta_ptr + offs_i, mask=mask_i, other=0.0)[:, None]
    beta_j = tl.load(beta_ptr + offs_j, mask=mask_j, other=0.0)[None, :]
    log_sum_i = tl.load(log_sum_ptr + offs_i, mask=mask_i, other=0.0)[:, None]
    log_sum_j = tl.load(log_sum_ptr + offs_j, mask=mask_j, other=0.0)[None, :]
    p = tl.exp(-beta_i * d - log_sum_i) + tl.exp(-beta_j * d - log_sum_j)
    pairs = (offs_i[:, None] != offs_j[None, :]) & mask_i[:, None] & mask_j[None, :]
    return tl.where(pairs, p * (0.5 / N), 0.0)


@triton.jit
def _tile_number(i, j, count):
    """Place of the tile (i, j), i at most j, in a triangle of `count` rows of tiles."""
    i = i.to(tl.int64)
    return i * count - i * (i - 1) // 2 + (j - i)


@triton.jit
def _tsne_joint_kernel(
    x_ptr,
    beta_ptr,
    log_sum_ptr,
    p_ptr,
    N,
    D,
    BLOCK: tl.constexpr,
):
    pid_i = tl.program_id(0)
    count = tl.cdiv(N, BLOCK)
    inside = tl.arange(0, BLOCK)
    offs_i = pid_i * BLOCK + inside
    for pid_j in range(pid_i, count):
        offs_j = pid_j * BLOCK + inside
        p = _joint(x_ptr, beta_ptr, log_sum_ptr, offs_i, offs_j, N, D)
        tile_ptr = p_ptr + _tile_number(pid_i, pid_j, count) * (BLOCK * BLOCK)
        tl.store(tile_ptr + inside[:, None] * BLOCK + inside[None, :], p)


@triton.jit
def _tsne_forces_kernel(
    x_ptr,
    beta_ptr,
    log_sum_ptr,
    p_ptr,
    y_ptr,
    pull_ptr,
    push_ptr,
    sums_ptr,
    N,
    D,
    M: tl.constexpr,
    KEPT: tl.constexpr,
    WANTED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Attraction and repulsion of BLOCK samples of y [M, N], and their shares of four sums."""
    pid_i = tl.program_id(0)
    count = tl.cdiv(N, BLOCK)
    inside = tl.arange(0, BLOCK)
    offs_i = pid_i * BLOCK + inside
    mask_i = offs_i < N
    y0_i = tl.load(y_ptr + offs_i, mask=mask_i, other=0.0)[:, None]
    if M > 1:
        y1_i = tl.load(y_ptr + N + offs_i, mask=mask_i, other=0.0)[:, None]
    if M > 2:
        y2_i = tl.load(y_ptr + 2 * N + offs_i, mask=mask_i, other=0.0)[:, None]
    pull0 = tl.zeros((BLOCK,), dtype=tl.float32)
    pull1, pull2, push0, push1, push2 = pull0, pull0, pull0, pull0, pull0
    normaliser, p_log_t, p_log_p, mass = pull0, pull0, pull0, pull0
    for pid_j in range(0, count):
        offs_j = pid_j * BLOCK + inside
        mask_j = offs_j < N
        if KEPT:
            low, high = tl.minimum(pid_i, pid_j), tl.maximum(pid_i, pid_j)
            # Below the diagonal the tile of the mirror image is read transposed.
            stride_i = tl.where(pid_i <= pid_j, BLOCK, 1)
            stride_j = tl.where(pid_i <= pid_j, 1, BLOCK)
            tile_ptr = p_ptr + _tile_number(low, high, count) * (BLOCK * BLOCK)
            p = tl.load(tile_ptr + inside[:, None] * stride_i + inside[None, :] * stride_j)
        else:
            p = _joint(x_ptr, beta_ptr, log_sum_ptr, offs_i, offs_j, N, D)
        d0 = y0_i - tl.load(y_ptr + offs_j, mask=mask_j, other=0.0)[None, :]
        s = d0 * d0
        if M > 1:
            d1 = y1_i - tl.load(y_ptr + N + offs_j, mask=mask_j, other=0.0)[None, :]
            s += d1 * d1
        if M > 2:
            d2 = y2_i - tl.load(y_ptr + 2 * N + offs_j, mask=mask_j, other=0.0)[None, :]
            s += d2 * d2
        if M > 2:
            # Two degrees of freedom: (1 + s / 2) to the power of -3/2.
            root = 1.0 / tl.sqrt(1.0 + 0.5 * s)
            t = root * root * root
        else:
            t = 1.0 / (1.0 + s)
        pairs = (offs_i[:, None] != offs_j[None, :]) & mask_i[:, None] & mask_j[None, :]
        t = tl.where(pairs, t, 0.0)
        normaliser += tl.sum(t, axis=1)
        near = p * t
        far = t * t
        pull0 += tl.sum(near * d0, axis=1)
        push0 += tl.sum(far * d0, axis=1)
        if M > 1:
            pull1 += tl.sum(near * d1, axis=1)
            push1 += tl.sum(far * d1, axis=1)
        if M > 2:
            pull2 += tl.sum(near * d2, axis=1)
            push2 += tl.sum(far * d2, axis=1)
        if WANTED:
            some = p > 0.0
            mass += tl.sum(p, axis=1)
            p_log_p += tl.sum(tl.where(some, p * tl.log(tl.where(some, p, 1.0)), 0.0), axis=1)
            p_log_t += tl.sum(tl.where(some, p * tl.log(tl.where(some, t, 1.0)), 0.0), axis=1)
    tl.store(pull_ptr + offs_i, pull0, mask=mask_i)
    tl.store(push_ptr + offs_i, push0, mask=mask_i)
    if M > 1:
        tl.store(pull_ptr + N + offs_i, pull1, mask=mask_i)
        tl.store(push_ptr + N + offs_i, push1, mask=mask_i)
    if M > 2:
        tl.store(pull_ptr + 2 * N + offs_i, pull2, mask=mask_i)
        tl.store(push_ptr + 2 * N + offs_i, push2, mask=mask_i)
    tl.store(sums_ptr + offs_i, normaliser, mask=mask_i)
    if WANTED:
        tl.store(sums_ptr + N + offs_i, p_log_t, mask=mask_i)
        tl.store(sums_ptr + 2 * N + offs_i, p_log_p, mask=mask_i)
        tl.store(sums_ptr + 3 * N + offs_i, mass, mask=mask_i)


_WIDTHS = {"x_ptr": "*fp32", "beta_ptr": "*fp32", "log_sum_ptr": "*fp32", "p_ptr": "*fp32"}
_FORCES = {"y_ptr": "*fp32", "pull_ptr": "*fp32", "push_ptr": "*fp32", "sums_ptr": "*fp32"}
_SIZES = {"N": "i32", "D": "i32"}
_TILE = {"BLOCK": 32}

COMPILE_CASES = (
    CompileCase(
        "nearest",
        _tsne_nearest_kernel,
        {"x_ptr": "*fp32", "nearest_ptr": "*fp32", **_SIZES},
        _TILE,
        num_warps=4,
    ),
    CompileCase(
        "entropy",
        _tsne_entropy_kernel,
        {"x_ptr": "*fp32", "nearest_ptr": "*fp32", "beta_ptr": "*fp32", "sums_ptr": "*fp32"}
        | _SIZES,
        _TILE,
        num_warps=4,
    ),
    CompileCase("joint", _tsne_joint_kernel, {**_WIDTHS, **_SIZES}, _TILE, num_warps=4),
    *(
        CompileCase(
            f"forces-{M}-{'kept' if kept else 'recomputed'}",
            _tsne_forces_kernel,
            {**_WIDTHS, **_FORCES, **_SIZES},
            {**_TILE, "M": M, "KEPT": kept, "WANTED": True},
            num_warps=4,
        )
        for M in (2, 3)
        for kept in (False, True)
    ),
)
