# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernels of the likeliest class: one trip over the samples, decisions of float64.

Idea: the logarithms of probabilities are centred over the classes, which changes no decision and
makes scores as small as their differences. They and the samples are split into two of float16
each, ``v = high + 2⁻¹¹ low``; three products run on tensor cores, exact but for their sums. A
further column holds the largest modulus over the classes of each feature: its product bounds the
sum of moduli of every score, and so its rounding error. Classes are cut into tiles; a tile leaves
its best two scores of each sample.

A second kernel takes the best of the tiles. Where the second best comes closer than the errors,
the sample goes on a list, and a third kernel evaluates those on the list in float64. The list is
filled in no certain order, but a sample's class does not depend on its place: two runs are equal.
The host waits for nothing in between.
"""

import contextlib
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.tile.compile_case import CompileCase

_UNIT = 2.0**-24
# Programs of the third kernel: it does not know how long the list is.
_EXACT_PROGRAMS = 1056
_EXACT = {"BLOCK_N": 2, "BLOCK_C": 32, "BLOCK_D": 32}


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
    D,
    C,
    stride_xn,
    stride_xd,
    stride_wd,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    # Tiles of one sample's classes run together: its features come from memory once.
    tile, pid_n = tl.program_id(0), tl.program_id(1)
    offs_n = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_c = tile * BLOCK_C + tl.arange(0, BLOCK_C)
    offs_d = tl.arange(0, BLOCK_D)
    mask_n = offs_n < N
    x_ptrs = x_ptr + offs_n[:, None].to(tl.int64) * stride_xn + offs_d[None, :] * stride_xd
    w_offsets = offs_d[:, None] * stride_wd + offs_c[None, :]
    acc = tl.zeros([BLOCK_N, BLOCK_C], dtype=tl.float32)
    least = tl.zeros([BLOCK_N, BLOCK_D], dtype=tl.float32)
    for d in range(0, D, BLOCK_D):
        mask = mask_n[:, None] & (offs_d < D - d)[None, :]
        x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_D]
        high = tl.load(high_ptr + w_offsets)  # [BLOCK_D, BLOCK_C]
        low = tl.load(low_ptr + w_offsets)  # [BLOCK_D, BLOCK_C]
        least = tl.minimum(least, x)
        x_high = x.to(tl.float16)
        x_low = ((x - x_high.to(tl.float32)) * 2048.0).to(tl.float16)
        # Each block begins at zero: its error grows with BLOCK_D, not with D.
        block = tl.dot(x_low, high)
        block = tl.dot(x_high, low, block) * (1.0 / 2048.0)
        block = tl.dot(x_high, high, block)
        acc = tl.fma(block, 1.0, acc)
        x_ptrs += BLOCK_D * stride_xd
        w_offsets += BLOCK_D * stride_wd
    if tile == C // BLOCK_C:
        moduli = tl.sum(tl.where((offs_c == C)[None, :], acc, 0.0), axis=1)
        # The bound is one of samples without negative numbers.
        moduli = tl.where(tl.min(least, axis=1) < 0.0, float("inf"), moduli)
        tl.store(moduli_ptr + offs_n, moduli, mask=mask_n)
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
    least_error_ptr,
    out_ptr,
    list_ptr,
    listed_ptr,
    N,
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
    error += tl.load(least_error_ptr)
    # What is not a number is not sure.
    sure = best - second > 2.0 * error
    unsure = (mask_n & (sure == 0)).to(tl.int32)
    count = tl.sum(unsure, axis=0)
    if count > 0:
        first = tl.atomic_add(listed_ptr, count)
        slots = first + tl.cumsum(unsure, axis=0) - 1
        tl.store(list_ptr + slots, offs_n, mask=unsure > 0)


@triton.jit
def _multinomial_nb_exact_kernel(
    x_ptr,
    log_prob_ptr,
    log_prior_ptr,
    list_ptr,
    listed_ptr,
    out_ptr,
    D,
    C,
    stride_xn,
    stride_xd,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    listed = tl.load(listed_ptr)
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
            scores = tl.where(mask_c[None, :], scores, float("-inf"))
            found, where = tl.max(scores, axis=1, return_indices=True)
            label = tl.where(found > best, c + where, label)
            best = tl.maximum(best, found)
        tl.store(out_ptr + rows, label.to(tl.int64), mask=slots < listed)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Centred logarithms of probabilities, split, with a column of moduli behind the classes.

    `high`, `low` [D padded, C padded], float16; `prior` [C], float32; `least_error` [1], float32:
    the part of the error of a score that does not depend on the sample.
    """

    high: Tensor
    low: Tensor
    prior: Tensor
    least_error: Tensor


def likeliest_class_and_doubts(
    x: Tensor,
    log_prob: Tensor,
    log_prior: Tensor,
    certified: bool,
    *,
    block_n: int = 128,
    block_d: int = 64,
    num_warps: int = 8,
    num_stages: int = 3,
) -> tuple[Tensor, Tensor]:
    """The class [N] of each sample of x [N, D], and how many were evaluated in float64 [1].

    Arguments as `predict.likeliest_class`; finite probabilities, more than one class.
    """
    (N, D), C = x.shape, log_prob.shape[0]
    block_c = min(128, max(16, triton.next_power_of_2(C + 1)))
    tiles = triton.cdiv(C + 1, block_c)
    layer = _layer(log_prob, log_prior, triton.cdiv(D, block_d) * block_d, tiles * block_c)
    best, second = torch.empty(2, tiles, N, dtype=torch.float32, device=x.device)
    label = torch.empty(tiles, N, dtype=torch.int32, device=x.device)
    moduli = torch.empty(N, dtype=torch.float32, device=x.device)
    classes = torch.empty(N, dtype=torch.int64, device=x.device)
    doubts = torch.empty(N, dtype=torch.int32, device=x.device)
    listed = torch.zeros(1, dtype=torch.int32, device=x.device)
    on_device = torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
    with on_device:
        _multinomial_nb_scores_kernel[(tiles, triton.cdiv(N, block_n))](
            x,
            layer.high,
            layer.low,
            layer.prior,
            best,
            second,
            label,
            moduli,
            N,
            D,
            C,
            *x.stride(),
            tiles * block_c,
            BLOCK_N=block_n,
            BLOCK_C=block_c,
            BLOCK_D=block_d,
            num_warps=num_warps,
            num_stages=num_stages,
        )
        _multinomial_nb_merge_kernel[(triton.cdiv(N, 512),)](
            best,
            second,
            label,
            moduli,
            layer.least_error,
            classes,
            doubts,
            listed,
            N,
            tiles,
            relative_error(D, block_d),
            BLOCK_N=512,
        )
        if certified:
            _multinomial_nb_exact_kernel[(_EXACT_PROGRAMS,)](
                x,
                log_prob.contiguous(),
                log_prior.contiguous(),
                doubts,
                listed,
                classes,
                D,
                C,
                *x.stride(),
                **_EXACT,
            )
    return classes, listed


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


def _layer(log_prob: Tensor, log_prior: Tensor, features: int, columns: int) -> _Layer:
    """What the first kernel reads of the classes."""
    C, D = log_prob.shape
    centred = log_prob - log_prob.mean(0)  # [C, D]
    prior = log_prior - log_prior.mean()
    moduli = centred.abs().amax(0)  # [D]
    high = torch.zeros(features, columns, dtype=torch.float16, device=log_prob.device)
    low = torch.zeros_like(high)
    high[:D, :C] = centred.T
    low[:D, :C] = (centred.T - high[:D, :C]) * 2048.0
    # Rounded up; what subnormal halves lose of a feature counts with it.
    high[:D, C] = 1.002 * moduli + 2.0**-16
    # The rest: subnormal halves of samples, and the prior's rounding.
    least_error = 2.0**-34 * moduli.sum() + 2.0**-21 * prior.abs().amax()
    return _Layer(high, low, prior.float(), least_error.float().reshape(1))


_STRIDES = {"stride_xn": "i32"}

COMPILE_CASES = (
    *(
        CompileCase(
            f"scores-{dtype}-{block_c}",
            _multinomial_nb_scores_kernel,
            {"x_ptr": f"*{dtype}", "high_ptr": "*fp16", "low_ptr": "*fp16", "prior_ptr": "*fp32"}
            | {"best_ptr": "*fp32", "second_ptr": "*fp32", "label_ptr": "*i32"}
            | {"moduli_ptr": "*fp32", "N": "i32", "D": "i32", "C": "i32", "stride_xn": "i32"}
            | {"stride_wd": "i32"},
            {"stride_xd": 1, "BLOCK_N": 128, "BLOCK_C": block_c, "BLOCK_D": 64},
            num_warps=8,
            num_stages=3,
            multiples_of_16=("D", "stride_xn", "stride_wd"),
        )
        for dtype in ("fp32", "u8")
        for block_c in (32, 128)
    ),
    CompileCase(
        "merge",
        _multinomial_nb_merge_kernel,
        {"best_ptr": "*fp32", "second_ptr": "*fp32", "label_ptr": "*i32", "moduli_ptr": "*fp32"}
        | {"least_error_ptr": "*fp32", "out_ptr": "*i64", "list_ptr": "*i32"}
        | {"listed_ptr": "*i32", "N": "i32", "tiles": "i32", "relative_error": "fp32"},
        {"BLOCK_N": 512},
    ),
    CompileCase(
        "exact",
        _multinomial_nb_exact_kernel,
        {"x_ptr": "*fp32", "log_prob_ptr": "*fp64", "log_prior_ptr": "*fp64"}
        | {"list_ptr": "*i32", "listed_ptr": "*i32", "out_ptr": "*i64"}
        | {"D": "i32", "C": "i32", "stride_xn": "i32"},
        {"stride_xd": 1, **_EXACT},
        multiples_of_16=("D", "stride_xn"),
    ),
)
