"""Triton kernels of the counts of multinomial naive Bayes.

Idea: an order of the samples in which those of a class stand together (a sort of the N labels,
nothing beside the samples themselves) turns the counts into sums of runs of rows. A run is at
most ROWS rows of one class; a program owns a run and a block of features, adds its rows in
float32 registers and stores one partial row. A second kernel adds the partial rows of each class
in float64, in order. No atomics: the same bits every time. No product with one-hot classes, so
counts are exact at the precision of the samples, not of a tensor core.

Traffic: the samples once, gathered by whole segments of BLOCK_D features; partial rows
[N / ROWS + C, D], written and read once: 0.4 % of the samples at ROWS = 512.

Tried: nothing else yet; it has not run on a device.
"""

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.tile.compile_case import CompileCase


@triton.jit
def _multinomial_nb_runs_kernel(
    x_ptr,
    order_ptr,
    weight_ptr,
    start_ptr,
    end_ptr,
    partial_ptr,
    partial_weight_ptr,
    D,
    stride_xn,
    stride_xd,
    HAS_WEIGHT: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    pid_run = tl.program_id(0).to(tl.int64)
    pid_d = tl.program_id(1)
    start = tl.load(start_ptr + pid_run)
    end = tl.load(end_ptr + pid_run)
    offs_d = pid_d * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_d = offs_d < D
    acc = tl.zeros([BLOCK_D], dtype=tl.float32)
    total = tl.zeros([BLOCK_N], dtype=tl.float64)
    for first in range(start, end, BLOCK_N):
        offs_n = first + tl.arange(0, BLOCK_N)
        mask_n = offs_n < end
        rows = tl.load(order_ptr + offs_n, mask=mask_n, other=0).to(tl.int64)
        mask = mask_n[:, None] & mask_d[None, :]
        x_ptrs = x_ptr + rows[:, None] * stride_xn + offs_d[None, :] * stride_xd
        x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_D]
        if HAS_WEIGHT:
            weight = tl.load(weight_ptr + rows, mask=mask_n, other=0.0)
            x = x * weight[:, None].to(tl.float32)
            total += weight.to(tl.float64)
        else:
            total += mask_n.to(tl.float64)
        acc += tl.sum(x, axis=0)
    tl.store(partial_ptr + pid_run * D + offs_d, acc, mask=mask_d)
    if pid_d == 0:
        tl.store(partial_weight_ptr + pid_run, tl.sum(total, axis=0))


@triton.jit
def _multinomial_nb_classes_kernel(
    partial_ptr,
    partial_weight_ptr,
    first_run_ptr,
    feature_count_ptr,
    class_count_ptr,
    out_features_ptr,
    out_classes_ptr,
    D,
    BLOCK_D: tl.constexpr,
):
    pid_c = tl.program_id(0).to(tl.int64)
    pid_d = tl.program_id(1)
    offs_d = pid_d * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_d = offs_d < D
    first = tl.load(first_run_ptr + pid_c)
    last = tl.load(first_run_ptr + pid_c + 1)
    acc = tl.load(feature_count_ptr + pid_c * D + offs_d, mask=mask_d, other=0.0)
    total = tl.load(class_count_ptr + pid_c)
    for run in range(first, last):
        partial = tl.load(partial_ptr + run * D + offs_d, mask=mask_d, other=0.0)
        acc += partial.to(tl.float64)
        total += tl.load(partial_weight_ptr + run)
    tl.store(out_features_ptr + pid_c * D + offs_d, acc, mask=mask_d)
    if pid_d == 0:
        tl.store(out_classes_ptr + pid_c, total)


def count(
    x: Tensor,
    y: Tensor,
    feature_count: Tensor,
    class_count: Tensor,
    sample_weight: Tensor | None,
    config: Config,
) -> tuple[Tensor, Tensor]:
    """Return feature_count [C, D] and class_count [C], with the rows of x [N, D] added."""
    (N, D), C = x.shape, class_count.numel()
    features = torch.empty(C, D, dtype=torch.float64, device=x.device)
    classes = torch.empty(C, dtype=torch.float64, device=x.device)
    order, start, end, first_run = _runs(y, C, config["ROWS"])
    partial = torch.empty(len(start), D, dtype=torch.float32, device=x.device)
    partial_weight = torch.empty(len(start), dtype=torch.float64, device=x.device)
    blocks_d = max(triton.cdiv(D, config["BLOCK_D"]), 1)  # class_count has no features
    on_device = torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
    with on_device:
        if N:
            _multinomial_nb_runs_kernel[(len(start), blocks_d)](
                x,
                order,
                partial_weight if sample_weight is None else sample_weight.contiguous(),
                start,
                end,
                partial,
                partial_weight,
                D,
                *x.stride(),
                HAS_WEIGHT=sample_weight is not None,
                BLOCK_N=config["BLOCK_N"],
                BLOCK_D=config["BLOCK_D"],
                num_warps=config["num_warps"],
            )
        if C:
            _multinomial_nb_classes_kernel[(C, blocks_d)](
                partial,
                partial_weight,
                first_run,
                feature_count.contiguous(),
                class_count.contiguous(),
                features,
                classes,
                D,
                BLOCK_D=config["BLOCK_D"],
            )
    return features, classes


def _runs(y: Tensor, C: int, rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Order of the samples by class, start and end of each run in it, first run of each class.

    The number of runs is bounded, not known: those beyond the last are empty, and nobody waits
    for the device to count them.
    """
    N, device = len(y), y.device
    sorted_y, order = torch.sort(y, stable=True)
    boundary = torch.searchsorted(sorted_y, torch.arange(C + 1, device=device, dtype=y.dtype))
    runs_of_class = (boundary.diff() + rows - 1) // rows
    first_run = torch.zeros(C + 1, dtype=torch.int64, device=device)
    torch.cumsum(runs_of_class, 0, out=first_run[1:])
    run = torch.arange(C + -(-N // rows), device=device)
    owner = torch.searchsorted(first_run[1:], run, right=True)
    known = owner.clamp(max=max(C - 1, 0))
    start = boundary[known] + (run - first_run[known]) * rows
    end = torch.minimum(start + rows, boundary[known + 1])
    end = torch.where(owner < C, end, start)
    return order.to(torch.int32), start.to(torch.int32), end.to(torch.int32), first_run


_TILE = {"BLOCK_N": 16, "BLOCK_D": 256}

COMPILE_CASES = (
    *(
        CompileCase(
            f"runs-{dtype}{'-weighted' if weighted else ''}",
            _multinomial_nb_runs_kernel,
            {
                "x_ptr": f"*{dtype}",
                "order_ptr": "*i32",
                "weight_ptr": "*fp32",
                "start_ptr": "*i32",
                "end_ptr": "*i32",
                "partial_ptr": "*fp32",
                "partial_weight_ptr": "*fp64",
                "D": "i32",
                "stride_xn": "i32",
            },
            {"stride_xd": 1, "HAS_WEIGHT": weighted, **_TILE},
            multiples_of_16=("D", "stride_xn"),
        )
        for dtype in ("fp32", "fp16", "bf16", "u8")
        for weighted in (False, True)
    ),
    CompileCase(
        "classes",
        _multinomial_nb_classes_kernel,
        {
            "partial_ptr": "*fp32",
            "partial_weight_ptr": "*fp64",
            "first_run_ptr": "*i64",
            "feature_count_ptr": "*fp64",
            "class_count_ptr": "*fp64",
            "out_features_ptr": "*fp64",
            "out_classes_ptr": "*fp64",
            "D": "i32",
        },
        {"BLOCK_D": 256},
        multiples_of_16=("D",),
    ),
)
