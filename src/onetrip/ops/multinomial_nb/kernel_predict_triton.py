# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernels of the likeliest class: one trip over the samples, decisions of float64.

Idea: the logarithms of probabilities are centred over the classes, which changes no decision and
makes scores as small as their differences. They and the samples are split into two of float16
each, ``v = high + 2⁻¹¹ low``; three products run on tensor cores, exact but for their sums. A
further line holds the largest modulus over the classes of each feature: its product with the
samples' moduli bounds the sum of moduli of every score, and so its rounding error. Classes are cut
into tiles; a tile leaves its best two scores of each sample.

Another kernel takes the best of the tiles. Where the second best comes closer than the errors, the
sample goes on a list, and a last kernel evaluates those on the list in float64. The list is
filled in no certain order, but a sample's class does not depend on its place: two runs are equal.
The host waits for nothing in between.
"""

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.ops.multinomial_nb.alignment import common_measure, stages
from onetrip.ops.multinomial_nb.select import score_classes
from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch, next_power

_UNIT = 2.0**-24
# Programs of the last kernel at most: it does not know how long the list is.
_EXACT_PROGRAMS = 1056
_HALVES = {"BLOCK_C": 16, "BLOCK_D": 32}
_MERGED = 512
_EXACT = {"BLOCK_N": 2, "BLOCK_C": 32, "BLOCK_D": 32}


@triton.jit
def _multinomial_nb_halves_kernel(
    log_prob_ptr,
    log_prior_ptr,
    high_ptr,
    low_ptr,
    prior_ptr,
    seen_ptr,
    largest_ptr,
    D,
    C,
    lines,
    features,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
    CLASSES: tl.constexpr,
):
    """Halves [lines, features] of centred logarithms, and a line of moduli; the prior [C].

    Adds 1 to `seen_ptr[1]` where something is not finite. `largest_ptr` gets the largest modulus of
    a logarithm and of the prior.
    """
    offs_d = tl.program_id(0) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_d = offs_d < D
    total = tl.zeros([BLOCK_D], dtype=tl.float64)
    for c in range(0, C, BLOCK_C):
        offs_c = c + tl.arange(0, BLOCK_C)
        mask = (offs_c < C)[:, None] & mask_d[None, :]
        w_ptrs = log_prob_ptr + offs_c[:, None].to(tl.int64) * D + offs_d[None, :]
        total += tl.sum(tl.load(w_ptrs, mask=mask, other=0.0), axis=0)
    # A sum is finite where all its terms are: logarithms of probabilities are above -800.
    finite = tl.min((tl.abs(total) < 1e300).to(tl.int32), axis=0)
    tl.atomic_add(seen_ptr + 1, 1, mask=finite == 0)
    mean = total / C
    moduli = tl.zeros([BLOCK_D], dtype=tl.float64)
    inside = offs_d < features
    for c in range(0, lines, BLOCK_C):
        offs_c = c + tl.arange(0, BLOCK_C)
        mask = (offs_c < C)[:, None] & mask_d[None, :]
        w_ptrs = log_prob_ptr + offs_c[:, None].to(tl.int64) * D + offs_d[None, :]
        w = tl.load(w_ptrs, mask=mask, other=0.0)  # [BLOCK_C, BLOCK_D]
        w = tl.where(mask, w - mean[None, :], 0.0)
        moduli = tl.maximum(moduli, tl.max(tl.abs(w), axis=0))
        high = w.to(tl.float32).to(tl.float16)
        low = ((w - high.to(tl.float64)) * 2048.0).to(tl.float32).to(tl.float16)
        places = offs_c[:, None] * features + offs_d[None, :]
        tl.store(high_ptr + places, high, mask=inside[None, :])
        tl.store(low_ptr + places, low, mask=inside[None, :])
    # Rounded up; what subnormal halves lose of a feature counts with it.
    line = (1.002 * moduli + 0.0000152587890625).to(tl.float32).to(tl.float16)
    tl.store(high_ptr + lines * features + offs_d, tl.where(mask_d, line, 0.0), mask=inside)
    tl.atomic_max(largest_ptr, tl.max(moduli, axis=0).to(tl.float32))
    if tl.program_id(0) == 0:
        offs = tl.arange(0, CLASSES)
        prior = tl.load(log_prior_ptr + offs, mask=offs < C, other=0.0)
        prior = tl.where(offs < C, prior - tl.sum(prior, axis=0) / C, 0.0)
        tl.store(prior_ptr + offs, prior.to(tl.float32), mask=offs < C)
        tl.atomic_max(largest_ptr + 1, tl.max(tl.abs(prior), axis=0).to(tl.float32))


@triton.jit
def _multinomial_nb_scores_kernel(
    x_ptr,
    high_ptr,
    low_ptr,
    prior_ptr,
    best_ptr,
    second_ptr,
    label_ptr,
    moduli_ptr,
    N,
    measures,
    C,
    measures_xn,
    stride_xd,
    features,
    MEASURE: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    # Tiles of one sample's classes run together: its features come from memory once.
    tile, pid_n = tl.program_id(0), tl.program_id(1)
    D, stride_xn = measures * MEASURE, measures_xn * MEASURE
    offs_n = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_c = tile * BLOCK_C + tl.arange(0, BLOCK_C)
    offs_d = tl.arange(0, BLOCK_D)
    mask_n = offs_n < N
    x_ptrs = x_ptr + offs_n[:, None].to(tl.int64) * stride_xn + offs_d[None, :] * stride_xd
    w_offsets = offs_c[:, None] * features + offs_d[None, :]
    # The narrowest product has this many columns; one of them is the line of moduli.
    offs_l = tl.arange(0, 16)[:, None]
    line_offsets = tl.num_programs(0) * BLOCK_C * features + offs_d[None, :] + 0 * offs_l
    # Samples stand in rows: halves are made in the registers that products take them from, and all
    # that is done to a sample is done there, or its tile would be laid out for two readers.
    acc = tl.zeros([BLOCK_N, BLOCK_C], dtype=tl.float32)
    moduli = tl.zeros([BLOCK_N, 16], dtype=tl.float32)
    for d in range(0, D, BLOCK_D):
        mask = mask_n[:, None] & (offs_d < D - d)[None, :]
        x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_D]
        high = tl.load(high_ptr + w_offsets)  # [BLOCK_C, BLOCK_D]
        low = tl.load(low_ptr + w_offsets)  # [BLOCK_C, BLOCK_D]
        line = tl.load(high_ptr + line_offsets, mask=offs_l == 0, other=0.0)  # [16, BLOCK_D]
        x_high = x.to(tl.float16)
        x_low = ((x - x_high.to(tl.float32)) * 2048.0).to(tl.float16)
        # Each block begins at zero: its error grows with BLOCK_D, not with D.
        block = tl.dot(x_low, tl.trans(high))
        block = tl.dot(x_high, tl.trans(low), block) * (1.0 / 2048.0)
        block = tl.dot(x_high, tl.trans(high), block)
        acc = tl.fma(block, 1.0, acc)
        moduli = tl.dot(tl.abs(x_high), tl.trans(line), moduli)
        x_ptrs += BLOCK_D * stride_xd
        w_offsets += BLOCK_D
        line_offsets += BLOCK_D
    if tile == 0:
        tl.store(moduli_ptr + offs_n, tl.sum(moduli, axis=1), mask=mask_n)
    prior = tl.load(prior_ptr + offs_c, mask=offs_c < C, other=0.0)
    scores = tl.where((offs_c < C)[None, :], acc + prior[None, :], float("-inf"))
    best, label = tl.max(scores, axis=1, return_indices=True)
    others = tl.where(tl.arange(0, BLOCK_C)[None, :] == label[:, None], float("-inf"), scores)
    place = tile.to(tl.int64) * N + offs_n
    tl.store(best_ptr + place, best, mask=mask_n)
    tl.store(second_ptr + place, tl.max(others, axis=1), mask=mask_n)
    tl.store(label_ptr + place, tile * BLOCK_C + label, mask=mask_n)


@triton.jit
def _multinomial_nb_merge_kernel(
    best_ptr,
    second_ptr,
    label_ptr,
    moduli_ptr,
    largest_ptr,
    out_ptr,
    list_ptr,
    seen_ptr,
    N,
    D,
    tiles,
    relative_error,
    BLOCK_N: tl.constexpr,
):
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    best = tl.load(best_ptr + offs_n, mask=mask_n, other=0.0)
    second = tl.load(second_ptr + offs_n, mask=mask_n, other=0.0)
    label = tl.load(label_ptr + offs_n, mask=mask_n, other=0)
    place = offs_n.to(tl.int64)
    for _ in range(1, tiles):
        place += N
        other = tl.load(best_ptr + place, mask=mask_n, other=0.0)
        other_second = tl.load(second_ptr + place, mask=mask_n, other=0.0)
        other_label = tl.load(label_ptr + place, mask=mask_n, other=0)
        second = tl.maximum(tl.minimum(best, other), tl.maximum(second, other_second))
        label = tl.where(other > best, other_label, label)
        best = tl.maximum(best, other)
    tl.store(out_ptr + offs_n, label.to(tl.int64), mask=mask_n)
    error = tl.load(moduli_ptr + offs_n, mask=mask_n, other=0.0) * relative_error
    # Subnormal halves of samples, and the rounding of the prior.
    error += 5.8e-11 * D * tl.load(largest_ptr) + 4.8e-7 * tl.load(largest_ptr + 1)
    # What is not a number is not sure.
    sure = best - second > 2.0 * error
    unsure = (mask_n & (sure == 0)).to(tl.int32)
    count = tl.sum(unsure, axis=0)
    if count > 0:
        first = tl.atomic_add(seen_ptr, count)
        slots = first + tl.cumsum(unsure, axis=0) - 1
        tl.store(list_ptr + slots, offs_n, mask=unsure > 0)


@triton.jit
def _multinomial_nb_exact_kernel(
    x_ptr,
    log_prob_ptr,
    log_prior_ptr,
    list_ptr,
    seen_ptr,
    out_ptr,
    D,
    C,
    stride_xn,
    stride_xd,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    listed = tl.load(seen_ptr)
    offs_d = tl.arange(0, BLOCK_D)
    for first in range(tl.program_id(0) * BLOCK_N, listed, tl.num_programs(0) * BLOCK_N):
        slots = first + tl.arange(0, BLOCK_N)
        rows = tl.load(list_ptr + slots, mask=slots < listed, other=0)
        x_rows = x_ptr + rows[:, None].to(tl.int64) * stride_xn
        best = tl.full([BLOCK_N], float("-inf"), dtype=tl.float64)
        label = tl.zeros([BLOCK_N], dtype=tl.int32)
        for c in range(0, C, BLOCK_C):
            offs_c = c + tl.arange(0, BLOCK_C)
            mask_c = offs_c < C
            w_rows = log_prob_ptr + offs_c[:, None].to(tl.int64) * D
            acc = tl.zeros([BLOCK_N, BLOCK_C, BLOCK_D], dtype=tl.float64)
            for d in range(0, D, BLOCK_D):
                mask_d = offs_d < D - d
                x_ptrs = x_rows + (d + offs_d)[None, :] * stride_xd
                x = tl.load(x_ptrs, mask=mask_d[None, :], other=0.0).to(tl.float64)
                mask_w = mask_c[:, None] & mask_d[None, :]
                w = tl.load(w_rows + (d + offs_d)[None, :], mask=mask_w, other=0.0)
                acc += x[:, None, :] * w[None, :, :]
            prior = tl.load(log_prior_ptr + offs_c, mask=mask_c, other=0.0)
            scores = tl.sum(acc, axis=2) + prior[None, :]
            finite = (tl.abs(scores) < float("inf")).to(tl.int32)
            tl.atomic_add(seen_ptr + 1, 1, mask=tl.min(tl.min(finite, axis=1), axis=0) == 0)
            scores = tl.where(mask_c[None, :], scores, float("-inf"))
            found, where = tl.max(scores, axis=1, return_indices=True)
            label = tl.where(found > best, c + where, label)
            best = tl.maximum(best, found)
        tl.store(out_ptr + rows, label.to(tl.int64), mask=slots < listed)


def likeliest_class_and_doubts(
    x: Tensor,
    log_prob: Tensor,
    log_prior: Tensor,
    certified: bool,
    *,
    block_n: int | None = None,
    block_d: int = 64,
    num_warps: int | None = None,
    num_stages: int = 3,
) -> tuple[Tensor, Tensor]:
    """The class [N] of each sample of x [N, D]; doubts, and places that are not finite [2].

    Arguments as `predict.likeliest_class`, more than one class. Doubts are samples that were
    evaluated in float64, or with `certified` false, should have been. Where the second number is
    not zero, a class has a probability of zero, or a sample that was evaluated in float64 is not
    finite, and the first answer is void.
    """
    (N, D), C = x.shape, log_prob.shape[0]
    block_c = score_classes(C)
    # Four warps for 64 classes: eight would pass sums around between products.
    block_n = block_n or max(64, block_c)
    num_warps = num_warps or max(4, block_c // 16)
    tiles = blocks(C, block_c)
    lines, features = tiles * block_c, blocks(D, block_d) * block_d
    measure = common_measure(x)
    log_prob, log_prior = log_prob.contiguous(), log_prior.contiguous()
    high, low = torch.empty(2, lines + 1, features, dtype=torch.float16, device=x.device)
    prior = torch.empty(C, dtype=torch.float32, device=x.device)
    zeros = torch.zeros(4, dtype=torch.int32, device=x.device)
    seen, largest = zeros[:2], zeros[2:].view(torch.float32)
    on_device = torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
    with on_device:
        launch(
            _multinomial_nb_halves_kernel,
            (blocks(features, _HALVES["BLOCK_D"]),),
            *(log_prob, log_prior, high, low, prior, seen, largest, D, C, lines, features),
            **_HALVES,
            CLASSES=next_power(C),
        )
        # A device has work to do while the host gets the rest ready.
        best, second = torch.empty(2, tiles, N, dtype=torch.float32, device=x.device)
        label = torch.empty(tiles, N, dtype=torch.int32, device=x.device)
        moduli = torch.empty(N, dtype=torch.float32, device=x.device)
        launch(
            _multinomial_nb_scores_kernel,
            (tiles, blocks(N, block_n)),
            *(x, high, low, prior, best, second, label, moduli, N, D // measure, C),
            *(x.stride(0) // measure, x.stride(1), features),
            MEASURE=measure,
            BLOCK_N=block_n,
            BLOCK_C=block_c,
            BLOCK_D=block_d,
            num_warps=num_warps,
            num_stages=stages(x, num_stages),
        )
        classes = torch.empty(N, dtype=torch.int64, device=x.device)
        doubts = torch.empty(N, dtype=torch.int32, device=x.device)
        launch(
            _multinomial_nb_merge_kernel,
            (blocks(N, _MERGED),),
            *(best, second, label, moduli, largest, classes, doubts, seen, N, D, tiles),
            relative_error(D, block_d),
            BLOCK_N=_MERGED,
        )
        if certified:
            launch(
                _multinomial_nb_exact_kernel,
                (min(_EXACT_PROGRAMS, blocks(N, _EXACT["BLOCK_N"])),),
                *(x, log_prob, log_prior, doubts, seen, classes, D, C, *x.stride()),
                **_EXACT,
            )
    return classes, seen


def relative_error(D: int, block_d: int) -> float:
    """Bound of the error of a score over its sum of moduli.

    Splitting leaves 2⁻²² of each factor and their low product, another 2⁻²². A block sums
    `block_d` products, and as many of low halves 2⁻¹¹ smaller, where a tensor core may truncate;
    blocks are added in float32. The sum of moduli is itself a product of halves, a hundredth high.

    >>> relative_error(5000, 64) < 2.0**-16
    True
    """
    blocks = -(-D // block_d)
    return 1.01 * (3 * 4 + 2 * (block_d + 8) + blocks + 4) * _UNIT


COMPILE_CASES = (
    CompileCase(
        "halves",
        _multinomial_nb_halves_kernel,
        {"log_prob_ptr": "*fp64", "log_prior_ptr": "*fp64", "high_ptr": "*fp16"}
        | {"low_ptr": "*fp16", "prior_ptr": "*fp32", "seen_ptr": "*i32", "largest_ptr": "*fp32"}
        | {"D": "i32", "C": "i32", "lines": "i32", "features": "i32"},
        {**_HALVES, "CLASSES": 32},
        multiples_of_16=("D", "lines", "features"),
    ),
    *(
        CompileCase(
            f"scores-{dtype}-{block_c}",
            _multinomial_nb_scores_kernel,
            {"x_ptr": f"*{dtype}", "high_ptr": "*fp16", "low_ptr": "*fp16", "prior_ptr": "*fp32"}
            | {"best_ptr": "*fp32", "second_ptr": "*fp32", "label_ptr": "*i32"}
            | {"moduli_ptr": "*fp32", "N": "i32", "measures": "i32", "C": "i32"}
            | {"measures_xn": "i32", "features": "i32"},
            {"stride_xd": 1, "MEASURE": 8, "BLOCK_C": block_c, "BLOCK_D": 64}
            | {"BLOCK_N": max(64, block_c)},
            num_warps=max(4, block_c // 16),
            num_stages=3,
            # Tiles of 128 classes need more shared memory than gfx942 has, and spill on sm_80.
            targets=("sm_80", "sm_90", "sm_100"),
            multiples_of_16=("features",),
            max_spills=100 if block_c == 128 else 0,
        )
        for dtype in ("fp32", "u8")
        for block_c in (16, 32, 64, 128)
    ),
    CompileCase(
        "merge",
        _multinomial_nb_merge_kernel,
        {"best_ptr": "*fp32", "second_ptr": "*fp32", "label_ptr": "*i32", "moduli_ptr": "*fp32"}
        | {"largest_ptr": "*fp32", "out_ptr": "*i64", "list_ptr": "*i32", "seen_ptr": "*i32"}
        | {"N": "i32", "D": "i32", "tiles": "i32", "relative_error": "fp32"},
        {"BLOCK_N": _MERGED},
    ),
    CompileCase(
        "exact",
        _multinomial_nb_exact_kernel,
        {"x_ptr": "*fp32", "log_prob_ptr": "*fp64", "log_prior_ptr": "*fp64"}
        | {"list_ptr": "*i32", "seen_ptr": "*i32", "out_ptr": "*i64"}
        | {"D": "i32", "C": "i32", "stride_xn": "i32"},
        {"stride_xd": 1, **_EXACT},
        multiples_of_16=("D", "stride_xn"),
        max_spills=2,
    ),
)
