# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false
"""Triton kernels of the counts of multinomial naive Bayes for few classes: no order is needed.

Idea: a program owns a block of features and a part of the samples, and multiplies the one-hot
classes of BLOCK_N samples at a time, made in registers, by their features. The bits of a feature
are cut into as many bfloat16 as hold all of them, three for float32, so that every product is
exact; sums of FLUSH blocks are float32, and sums of those float64. Whole numbers are exact as they
are in `kernel_triton.py`, which sorts the samples by class and reads them in that order; that pays
where the classes do not fit one tile. Parts are added in order: two runs are bit-equal.

Up to 32 classes the products are those of warps, whose operands are registers: pieces never go
through shared memory. 64 classes take those of warp groups.

Traffic: the samples once, in their own order; sums of parts [parts, C, D], 13 MB for 5,000
features and 20 classes.
"""

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.multinomial_nb.alignment import common_measure, stages
from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch, next_power

# bfloat16 that hold all bits of a sample's dtype.
_PIECES = {
    torch.float32: 3,
    torch.float16: 2,
    torch.int16: 2,
    torch.bfloat16: 1,
    torch.int8: 1,
    torch.uint8: 1,
}
_MOST_CLASSES = 64
_FEWEST_CLASSES = 16  # of a product


@triton.jit
def _piece(bits, PIECE: tl.constexpr):
    """The upper half of float32's bits: sign, exponent and eight digits, cut off."""
    if PIECE == tl.bfloat16:
        return (bits >> 16).to(tl.int16).to(tl.bfloat16, bitcast=True)
    else:  # both returns are compiled where neither stands in a branch of its own
        return (bits & -65536).to(tl.float32, bitcast=True)


@triton.jit
def _rest(x, bits):
    """What a piece leaves of x, exactly."""
    return x - (bits & -65536).to(tl.float32, bitcast=True)


@triton.jit
def _multinomial_nb_one_hot_kernel(
    x_ptr,
    y_ptr,
    weight_ptr,
    partial_ptr,
    partial_weight_ptr,
    negative_ptr,
    N,
    measures,
    C,
    measures_xn,
    stride_xd,
    rows_per_part,
    MEASURE: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    PIECES: tl.constexpr,
    PIECE: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
    FLUSH: tl.constexpr,
):
    pid_d, part = tl.program_id(0), tl.program_id(1)
    D, stride_xn = measures * MEASURE, measures_xn * MEASURE
    offs_c = tl.arange(0, BLOCK_C)
    begin = part * rows_per_part
    end = tl.minimum(begin + rows_per_part, N)
    row_of_part = part.to(tl.int64) * C + offs_c
    if pid_d == tl.num_programs(0) - 1:
        # One program of a part weighs its classes.
        weights = tl.zeros([BLOCK_C, BLOCK_N], dtype=tl.float64)
        for row in range(begin, end, BLOCK_N):
            offs_n = row + tl.arange(0, BLOCK_N)
            mask_n = offs_n < end
            y = tl.load(y_ptr + offs_n, mask=mask_n, other=-1)
            weight = tl.full([BLOCK_N], 1.0, dtype=tl.float64)
            if HAS_WEIGHT:
                weight = tl.load(weight_ptr + offs_n, mask=mask_n, other=0.0).to(tl.float64)
            weights += tl.where(offs_c[:, None] == y[None, :], weight[None, :], 0.0)
        weights = tl.sum(weights, axis=1)
        tl.store(partial_weight_ptr + row_of_part, weights, mask=offs_c < C)
        return
    offs_d = pid_d * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_d = offs_d < D
    sums = tl.zeros([BLOCK_C, BLOCK_D], dtype=tl.float64)
    signs = tl.zeros([BLOCK_N, BLOCK_D], dtype=tl.int32)
    for first in range(begin, end, FLUSH * BLOCK_N):
        acc = tl.zeros([BLOCK_C, BLOCK_D], dtype=tl.float32)
        last = tl.minimum(first + FLUSH * BLOCK_N, end)
        for row in range(first, last, BLOCK_N):
            offs_n = row + tl.arange(0, BLOCK_N)
            mask_n = offs_n < last
            y = tl.load(y_ptr + offs_n, mask=mask_n, other=-1).to(tl.int32)
            x_ptrs = x_ptr + offs_n[:, None].to(tl.int64) * stride_xn + offs_d[None, :] * stride_xd
            mask = mask_n[:, None] & mask_d[None, :]
            x = tl.load(x_ptrs, mask=mask, other=0.0).to(tl.float32)  # [BLOCK_N, BLOCK_D]
            if HAS_WEIGHT:
                weight = tl.load(weight_ptr + offs_n, mask=mask_n, other=0.0)
                x = x * weight[:, None].to(tl.float32)
            marks = (offs_c[:, None] == y[None, :]).to(PIECE)  # [BLOCK_C, BLOCK_N]
            bits = x.to(tl.int32, bitcast=True)
            signs |= bits
            # The smallest pieces first; each block begins at zero.
            if PIECES == 1:
                block = tl.dot(marks, _piece(bits, PIECE))
            else:
                rest = _rest(x, bits)
                rest_bits = rest.to(tl.int32, bitcast=True)
                if PIECES == 2:
                    block = tl.dot(marks, _piece(rest_bits, PIECE))
                else:
                    last_bits = _rest(rest, rest_bits).to(tl.int32, bitcast=True)
                    block = tl.dot(marks, _piece(last_bits, PIECE))
                    block = tl.dot(marks, _piece(rest_bits, PIECE), block)
                block = tl.dot(marks, _piece(bits, PIECE), block)
            acc = tl.fma(block, 1.0, acc)
        sums += acc.to(tl.float64)
    tl.atomic_add(negative_ptr, 1, mask=tl.min(tl.min(signs, axis=1), axis=0) < 0)
    mask_sums = (offs_c < C)[:, None] & mask_d[None, :]
    tl.store(partial_ptr + row_of_part[:, None] * D + offs_d[None, :], sums, mask=mask_sums)


@triton.jit
def _multinomial_nb_parts_kernel(
    partial_ptr,
    partial_weight_ptr,
    feature_count_ptr,
    class_count_ptr,
    out_features_ptr,
    out_classes_ptr,
    D,
    C,
    parts,
    BLOCK_D: tl.constexpr,
):
    c = tl.program_id(0).to(tl.int64)
    offs_d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    mask_d = offs_d < D
    acc = tl.load(feature_count_ptr + c * D + offs_d, mask=mask_d, other=0.0)
    total = tl.load(class_count_ptr + c)
    row = c
    for _ in range(0, parts):
        acc += tl.load(partial_ptr + row * D + offs_d, mask=mask_d, other=0.0)
        total += tl.load(partial_weight_ptr + row)
        row += C
    tl.store(out_features_ptr + c * D + offs_d, acc, mask=mask_d)
    if tl.program_id(1) == 0:
        tl.store(out_classes_ptr + c, total)


def count(
    x: Tensor,
    y: Tensor,
    feature_count: Tensor,
    class_count: Tensor,
    sample_weight: Tensor | None,
    config: Config,
    negative: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return feature_count [C, D] and class_count [C], with the rows of x [N, D] added.

    `negative` [1], int32, becomes more than it was where a sample, weighted, has a negative sign.
    """
    (N, D), C = x.shape, class_count.numel()
    if 0 in (N, C):
        return feature_count.clone(), class_count.clone()
    measure = common_measure(x)
    blocks_d = max(1, blocks(D, config["BLOCK_D"]))
    chunk = config["FLUSH"] * config["BLOCK_N"]
    wanted = max(1, config["programs"] // blocks_d)
    rows_per_part = blocks(blocks(N, wanted), chunk) * chunk
    parts = blocks(N, rows_per_part)
    partial = torch.empty(parts, C, D, dtype=torch.float64, device=x.device)
    partial_weight = torch.empty(parts, C, dtype=torch.float64, device=x.device)
    weight = None if sample_weight is None else sample_weight.contiguous()
    if negative is None:
        negative = torch.zeros(1, dtype=torch.int32, device=x.device)
    on_device = torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
    with on_device:
        launch(
            _multinomial_nb_one_hot_kernel,
            (blocks_d + 1, parts),
            *(x, y.contiguous(), partial_weight if weight is None else weight),
            *(partial, partial_weight, negative, N, D // measure, C),
            *(x.stride(0) // measure, x.stride(1), rows_per_part),
            MEASURE=measure,
            HAS_WEIGHT=weight is not None,
            PIECES=_PIECES[x.dtype] if weight is None else _PIECES[torch.float32],
            # The interpreter's products of bfloat16 are wrong; in float32 a piece is what it is.
            PIECE=tl.bfloat16 if x.is_cuda else tl.float32,
            BLOCK_N=config["BLOCK_N"],
            BLOCK_C=min(max(next_power(C), _FEWEST_CLASSES), _MOST_CLASSES),
            BLOCK_D=config["BLOCK_D"],
            FLUSH=config["FLUSH"],
            num_warps=config["num_warps"],
            num_stages=stages(x, config["num_stages"]),
        )
        # A device has samples to add while the host gets the rest ready.
        features, classes = torch.empty_like(partial[0]), torch.empty_like(partial_weight[0])
        launch(
            _multinomial_nb_parts_kernel,
            (C, blocks_d),
            *(partial, partial_weight, feature_count.contiguous(), class_count.contiguous()),
            *(features, classes, D, C, parts),
            BLOCK_D=config["BLOCK_D"],
        )
    return features, classes


_TILE = {"BLOCK_N": 32, "BLOCK_D": 64, "FLUSH": 16}

COMPILE_CASES = (
    *(
        CompileCase(
            f"one-hot-{dtype}{'-weighted' if weighted else ''}-{classes}",
            _multinomial_nb_one_hot_kernel,
            {"x_ptr": f"*{dtype}", "y_ptr": "*i64", "weight_ptr": "*fp32"}
            | {"partial_ptr": "*fp64", "partial_weight_ptr": "*fp64", "negative_ptr": "*i32"}
            | {"N": "i32", "measures": "i32", "C": "i32", "measures_xn": "i32"}
            | {"rows_per_part": "i32"},
            {
                "stride_xd": 1,
                "MEASURE": 8,
                "HAS_WEIGHT": weighted,
                "PIECES": pieces,
                "PIECE": tl.bfloat16,
                "BLOCK_C": classes,
            }
            | _TILE,
            num_warps=4,
            num_stages=4,
            multiples_of_16=("rows_per_part",),
            max_spills=24 if weighted else 8,  # on sm_80, before the loop
        )
        for dtype, pieces, weighted in (("fp32", 3, False), ("fp32", 3, True), ("u8", 1, False))
        for classes in (16, 32, 64)
    ),
    CompileCase(
        "parts",
        _multinomial_nb_parts_kernel,
        {"partial_ptr": "*fp64", "partial_weight_ptr": "*fp64", "feature_count_ptr": "*fp64"}
        | {"class_count_ptr": "*fp64", "out_features_ptr": "*fp64", "out_classes_ptr": "*fp64"}
        | {"D": "i32", "C": "i32", "parts": "i32"},
        {"BLOCK_D": 64},
        multiples_of_16=("D",),
    ),
)
