"""Triton kernels of one iteration of tsne: push, pull, step. No [N, N] matrix, no atomics.

Idea: repulsion needs every pair, attraction only the neighbours that count. So they are two
kernels, both bound by what the chip can issue:

- push: a program owns BLOCK_I samples and a share of all columns. Its tile of sums stays in
  registers, each lane's own until the end, so that a pair costs nine operations and a reciprocal
  root. Coordinates are padded with points so far away that they push nobody: the loop has no mask
  but on the diagonal.
- pull: a program owns a sample and goes over its list of neighbours, whose coordinates lie
  together so that one load gathers a point. Where the lists do not fit the memory budget, rows of
  distances are computed anew, a strip at a time.
- step: sums of the shares in their order, then gains, momentum and the move.

Every number is summed by one program in a fixed order: two runs are bit-equal.
"""

import triton
import triton.language as tl

from onetrip.ops.tsne.kernel_affinities import joint
from onetrip.tile.compile_case import CompileCase


@triton.jit
def similarity(d0, d1, d2, M: tl.constexpr):
    """Student's t of a difference: (1 + s) to the -1, in space (1 + s / 2) to the -3/2."""
    if M > 2:
        root = tl.rsqrt(0.5 * (d0 * d0 + 2.0 + d1 * d1 + d2 * d2))
        return root * root * root
    s = d0 * d0 + 1.0
    if M > 1:
        s += d1 * d1
    root = tl.rsqrt(s)
    return root * root


@triton.jit
def _push_tile(
    sums,
    y_ptr,
    points,
    offs_i,
    offs_j,
    stride,
    M: tl.constexpr,
    DIAGONAL: tl.constexpr,
):
    """Add what one tile of pairs pushes to the sums [BLOCK_I, BLOCK_J] of t and of coordinates."""
    total, push0, push1, push2 = sums
    y0_i, y1_i, y2_i = points
    d0 = y0_i - tl.load(y_ptr + offs_j)[None, :]  # [BLOCK_I, BLOCK_J]
    d1, d2 = d0, d0
    if M > 1:
        d1 = y1_i - tl.load(y_ptr + stride + offs_j)[None, :]
    if M > 2:
        d2 = y2_i - tl.load(y_ptr + 2 * stride + offs_j)[None, :]
    t = similarity(d0, d1, d2, M)
    if DIAGONAL:
        t = tl.where(offs_i[:, None] == offs_j[None, :], 0.0, t)
    far = t * t
    total += t
    push0 += far * d0
    if M > 1:
        push1 += far * d1
    if M > 2:
        push2 += far * d2
    return total, push0, push1, push2


@triton.jit
def _tsne_push_kernel(
    y_ptr,
    push_ptr,
    share_ptr,
    N,
    stride,
    columns,
    M: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_J: tl.constexpr,
):
    """Repulsion of BLOCK_I samples by a share of y [M, stride]; their part of the normaliser."""
    pid_i, pid_j = tl.program_id(0), tl.program_id(1)
    first_i = pid_i * BLOCK_I
    offs_i = first_i + tl.arange(0, BLOCK_I)
    inside = tl.arange(0, BLOCK_J)
    y0_i = tl.load(y_ptr + offs_i)[:, None]
    y1_i, y2_i = y0_i, y0_i
    if M > 1:
        y1_i = tl.load(y_ptr + stride + offs_i)[:, None]
    if M > 2:
        y2_i = tl.load(y_ptr + 2 * stride + offs_i)[:, None]
    points = y0_i, y1_i, y2_i
    nothing = tl.full((BLOCK_I, BLOCK_J), 0.0, dtype=tl.float32)
    sums = nothing, nothing, nothing, nothing
    begin = pid_j * columns
    end = tl.minimum(begin + columns, tl.cdiv(N, BLOCK_J) * BLOCK_J)
    # The tile of the diagonal comes last, so that the loops compare no pair with itself.
    own = first_i // BLOCK_J * BLOCK_J
    for first_j in range(begin, tl.minimum(end, own), BLOCK_J):
        sums = _push_tile(sums, y_ptr, points, offs_i, first_j + inside, stride, M, False)
    for first_j in range(tl.maximum(begin, own + BLOCK_J), end, BLOCK_J):
        sums = _push_tile(sums, y_ptr, points, offs_i, first_j + inside, stride, M, False)
    if (begin <= own) & (own < end):
        sums = _push_tile(sums, y_ptr, points, offs_i, own + inside, stride, M, True)
    total, push0, push1, push2 = sums
    push_ptr += pid_j * M * stride + offs_i
    tl.store(push_ptr, tl.sum(push0, axis=1))
    if M > 1:
        tl.store(push_ptr + stride, tl.sum(push1, axis=1))
    if M > 2:
        tl.store(push_ptr + 2 * stride, tl.sum(push2, axis=1))
    of_row = tl.where(offs_i < N, tl.sum(total, axis=1), 0.0)
    tl.store(share_ptr + pid_j * tl.num_programs(0) + pid_i, tl.sum(of_row, axis=0))


@triton.jit
def _gather(point_ptr, j, M: tl.constexpr):
    """Coordinates of samples j [ROWS, BLOCK], whose points lie one after the other."""
    if M == 1:
        y0 = tl.load(point_ptr + j)
        return y0, y0, y0
    elif M == 2:
        pair = tl.arange(0, 2)
        y0, y1 = tl.split(tl.load(point_ptr + j[:, :, None] * 2 + pair[None, None, :]))
        return y0, y1, y0
    else:
        y0 = tl.load(point_ptr + j * 4)
        y1 = tl.load(point_ptr + j * 4 + 1)
        y2 = tl.load(point_ptr + j * 4 + 2)
        return y0, y1, y2


@triton.jit
def _own(y_ptr, i, N, stride, M: tl.constexpr):
    """Coordinates of samples i [ROWS], from the planes y [M, stride]."""
    y0 = tl.load(y_ptr + i, mask=i < N, other=0.0)[:, None]
    y1, y2 = y0, y0
    if M > 1:
        y1 = tl.load(y_ptr + stride + i, mask=i < N, other=0.0)[:, None]
    if M > 2:
        y2 = tl.load(y_ptr + 2 * stride + i, mask=i < N, other=0.0)[:, None]
    return y0, y1, y2


@triton.jit
def _pull_block(sums, point_ptr, own, j, p, M: tl.constexpr, WANTED: tl.constexpr):
    """Add what samples j with affinities p [ROWS, BLOCK] pull, and p log t, to the sums."""
    pull0, pull1, pull2, p_log_t = sums
    y0_i, y1_i, y2_i = own
    y0_j, y1_j, y2_j = _gather(point_ptr, j, M)
    d0, d1, d2 = y0_i - y0_j, y1_i - y1_j, y2_i - y2_j
    t = similarity(d0, d1, d2, M)
    near = p * t
    pull0 += near * d0
    if M > 1:
        pull1 += near * d1
    if M > 2:
        pull2 += near * d2
    if WANTED:
        # t of a finite distance may round to 0, where p that counts must not meet log 0.
        p_log_t += p * tl.log(tl.maximum(t, 1e-37))
    return pull0, pull1, pull2, p_log_t


@triton.jit
def _store_pull(sums, pull_ptr, p_log_t_ptr, i, N, stride, M: tl.constexpr, WANTED: tl.constexpr):
    pull0, pull1, pull2, p_log_t = sums
    mask_i = i < N
    tl.store(pull_ptr + i, tl.sum(pull0, axis=1), mask=mask_i)
    if M > 1:
        tl.store(pull_ptr + stride + i, tl.sum(pull1, axis=1), mask=mask_i)
    if M > 2:
        tl.store(pull_ptr + 2 * stride + i, tl.sum(pull2, axis=1), mask=mask_i)
    if WANTED:
        tl.store(p_log_t_ptr + i, tl.sum(p_log_t, axis=1), mask=mask_i)


@triton.jit
def _tsne_pull_kernel(
    y_ptr,
    point_ptr,
    pull_ptr,
    p_log_t_ptr,
    start_ptr,
    index_ptr,
    p_ptr,
    N,
    stride,
    M: tl.constexpr,
    WANTED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Attraction of each sample by its list of neighbours."""
    i = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    own = _own(y_ptr, i, N, stride, M)
    place = tl.load(start_ptr + i, mask=i < N, other=0)
    size = (tl.load(start_ptr + i + 1, mask=i < N, other=0) - place).to(tl.int32)[:, None]
    index_ptr += place[:, None]
    p_ptr += place[:, None]
    nothing = tl.full((ROWS, BLOCK), 0.0, dtype=tl.float32)
    sums = nothing, nothing, nothing, nothing
    for first in range(0, tl.max(tl.max(size, axis=1), axis=0), BLOCK):
        offs = first + tl.arange(0, BLOCK)[None, :]
        if ROWS == 1:
            # Lists are padded to whole blocks by entries of no weight.
            j = tl.load(index_ptr + offs)
            p = tl.load(p_ptr + offs)
        else:
            j = tl.load(index_ptr + offs, mask=offs < size, other=0)
            p = tl.load(p_ptr + offs, mask=offs < size, other=0.0)
        sums = _pull_block(sums, point_ptr, own, j, p, M, WANTED)
    _store_pull(sums, pull_ptr, p_log_t_ptr, i, N, stride, M, WANTED)


@triton.jit
def _tsne_pull_all_kernel(
    y_ptr,
    point_ptr,
    pull_ptr,
    p_log_t_ptr,
    d_ptr,
    beta_ptr,
    log_sum_ptr,
    begin,
    N,
    stride,
    M: tl.constexpr,
    WANTED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Attraction of each sample by all others, from its row of distances."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    i = begin + row
    d_ptr += row[:, None] * stride
    own = _own(y_ptr, i, N, stride, M)
    beta_i = tl.load(beta_ptr + i, mask=i < N, other=0.0)
    log_sum_i = tl.load(log_sum_ptr + i, mask=i < N, other=0.0)
    nothing = tl.full((ROWS, BLOCK), 0.0, dtype=tl.float32)
    sums = nothing, nothing, nothing, nothing
    for first in range(0, N, BLOCK):
        j = first + tl.arange(0, BLOCK)
        both = joint(d_ptr, beta_ptr, log_sum_ptr, i, j, beta_i, log_sum_i, N)
        # Lanes beyond the last sample have no weight, and a place to read.
        near = tl.minimum(j, N - 1)[None, :]
        sums = _pull_block(sums, point_ptr, own, near, both * (0.5 / N), M, WANTED)
    _store_pull(sums, pull_ptr, p_log_t_ptr, i, N, stride, M, WANTED)


@triton.jit
def _tsne_step_kernel(
    y_ptr,
    point_ptr,
    update_ptr,
    gain_ptr,
    pull_ptr,
    push_ptr,
    share_ptr,
    norm_ptr,
    N,
    stride,
    shares,
    splits,
    factor,
    exaggeration,
    momentum,
    rate,
    WIDTH: tl.constexpr,
    LOOKS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Move one coordinate of BLOCK samples; every program sums the normaliser for itself."""
    coordinate = tl.program_id(1)
    lanes = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), dtype=tl.float64)
    for first in range(0, shares, BLOCK):
        offs = first + lanes
        total += tl.load(share_ptr + offs, mask=offs < shares, other=0.0).to(tl.float64)
    normaliser = tl.sum(total, axis=0).to(tl.float32)
    offs_i = tl.program_id(0) * BLOCK + lanes
    mask_i = offs_i < N
    offs = coordinate * stride + offs_i
    push = tl.zeros((BLOCK,), dtype=tl.float32)
    for split in range(0, splits):
        push += tl.load(push_ptr + split * tl.num_programs(1) * stride + offs, mask=mask_i)
    pull = tl.load(pull_ptr + offs, mask=mask_i, other=0.0)
    update = tl.load(update_ptr + offs, mask=mask_i, other=0.0)
    gain = tl.load(gain_ptr + offs, mask=mask_i, other=0.0)
    gradient = factor * (exaggeration * pull - push / normaliser)
    # A coordinate that turned around has gone too far; one that did not may go faster.
    gain = tl.maximum(tl.where(update * gradient < 0.0, gain + 0.2, gain * 0.8), 0.01)
    gradient *= gain
    update = momentum * update - rate * gradient
    y = tl.load(y_ptr + offs, mask=mask_i, other=0.0) + update
    tl.store(update_ptr + offs, update, mask=mask_i)
    tl.store(gain_ptr + offs, gain, mask=mask_i)
    tl.store(y_ptr + offs, y, mask=mask_i)
    tl.store(point_ptr + offs_i * WIDTH + coordinate, y, mask=mask_i)
    if LOOKS:
        square = tl.sum(tl.where(mask_i, gradient * gradient, 0.0), axis=0)
        tl.store(norm_ptr + tl.program_id(0) * tl.num_programs(1) + coordinate, square)


_LISTS = {"start_ptr": "*i64", "index_ptr": "*i32", "p_ptr": "*fp32"}
_WIDTHS = {"d_ptr": "*fp32", "beta_ptr": "*fp32", "log_sum_ptr": "*fp32"}
_PULL = {"y_ptr": "*fp32", "point_ptr": "*fp32", "pull_ptr": "*fp32", "p_log_t_ptr": "*fp32"}
_PUSH = {"y_ptr": "*fp32", "push_ptr": "*fp32", "share_ptr": "*fp32"}
_STEP = {"point_ptr": "*fp32", "update_ptr": "*fp32", "gain_ptr": "*fp32", "norm_ptr": "*fp32"}
_RATES = {"factor": "fp32", "exaggeration": "fp32", "momentum": "fp32", "rate": "fp32"}

COMPILE_CASES = (
    *(
        CompileCase(
            f"push-{M}",
            _tsne_push_kernel,
            _PUSH | {"N": "i32", "stride": "i32", "columns": "i32"},
            {"M": M, "BLOCK_I": 32, "BLOCK_J": 32},
            num_warps=1,
            multiples_of_16=("stride", "columns"),
        )
        for M in (2, 3)
    ),
    *(
        CompileCase(
            f"pull-{M}",
            _tsne_pull_kernel,
            _PULL | _LISTS | {"N": "i32", "stride": "i32"},
            {"M": M, "WANTED": True, "ROWS": 1, "BLOCK": 128},
            num_warps=1,
            multiples_of_16=("stride",),
        )
        for M in (2, 3)
    ),
    *(
        CompileCase(
            f"pull-all-{M}",
            _tsne_pull_all_kernel,
            _PULL | _WIDTHS | {"begin": "i32", "N": "i32", "stride": "i32"},
            {"M": M, "WANTED": True, "ROWS": 1, "BLOCK": 1024},
            multiples_of_16=("begin", "stride"),
        )
        for M in (2, 3)
    ),
    CompileCase(
        "step",
        _tsne_step_kernel,
        _PUSH
        | _STEP
        | {"pull_ptr": "*fp32", "N": "i32", "stride": "i32", "shares": "i32", "splits": "i32"}
        | _RATES,
        {"WIDTH": 2, "LOOKS": True, "BLOCK": 256},
        num_warps=4,
        multiples_of_16=("stride",),
    ),
)
