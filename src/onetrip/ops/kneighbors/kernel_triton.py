"""Triton kernels of kneighbors: lists of the nearest by score, kept in registers.

Idea: a program owns a block of queries and a part of the corpus. It forms tiles of scores on the
tensor cores, and every score that is below the worst of its query's list takes that one's place.
What a program writes is its lists: [Q, parts, WIDTH], not [Q, N]. After the first tiles almost no
score enters, so a tile costs one product, one minimum and one comparison. The list is unsorted and
its worst entry is replaced, which needs no shifting of registers.

Tiling: [BLOCK_Q, BLOCK_N] scores in float32, D in steps of BLOCK_D; a list of WIDTH (a power of
two, the neighbours and some to spare) beside it. The corpus is centred on its way into the product.
For a handful of queries the product would wait for the corpus: `_kneighbors_few_kernel` sums
squared differences instead and reads the corpus at bandwidth.

Expected on an H100, from the ceilings: 100k x 100k x 128 is 2.6 TFLOP, 6.4 ms at TF32's rate; the
minimum reads 10^10 scores from registers, a few ms more. Not measured yet.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _least_of_each(s, offs):
    """Least score of each row of s [Q, N] and its column, the first of equals."""
    least = tl.min(s, axis=1)
    at = tl.min(tl.where(s == least[:, None], offs[None, :], 2147483647), axis=1)
    return least, at


@triton.jit
def _kneighbors_fwd_kernel(
    x_ptr,
    y_ptr,
    offset_ptr,
    bias_ptr,
    factor_ptr,
    scores_ptr,
    indices_ptr,
    Q,
    N,
    D,
    first,
    rows_of_a_part,
    stride_xq,
    stride_yn,
    stride_yd,
    EXCLUDE_SELF: tl.constexpr,
    PRECISION: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Lists of queries [BLOCK_Q] over one part of the corpus: bias + factor · x·(y - offset)."""
    pid_q = tl.program_id(0)
    part = tl.program_id(1)
    offs_q = pid_q.to(tl.int64) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    offs_d = tl.arange(0, BLOCK_D)
    offs_w = tl.arange(0, WIDTH)
    mask_q = offs_q < Q
    begin = part * rows_of_a_part
    end = tl.minimum(begin + rows_of_a_part, N)
    best = tl.full([BLOCK_Q, WIDTH], float("inf"), tl.float32)
    best_at = tl.full([BLOCK_Q, WIDTH], -1, tl.int32)
    worst = tl.full([BLOCK_Q], float("inf"), tl.float32)
    for start in range(begin, end, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask_n = offs_n < end
        y_ptrs = y_ptr + offs_n.to(tl.int64)[None, :] * stride_yn
        acc = tl.zeros([BLOCK_Q, BLOCK_N], dtype=tl.float32)
        for d in range(0, D, BLOCK_D):
            mask_d = offs_d < D - d
            x = tl.load(
                x_ptr + offs_q[:, None] * stride_xq + d + offs_d[None, :],
                mask=mask_q[:, None] & mask_d[None, :],
                other=0.0,
            )  # [BLOCK_Q, BLOCK_D]
            y = tl.load(
                y_ptrs + (d + offs_d)[:, None] * stride_yd,
                mask=mask_d[:, None] & mask_n[None, :],
                other=0.0,
            ).to(tl.float32)  # [BLOCK_D, BLOCK_N]
            # Past D both are zero; past N the score is masked.
            y -= tl.load(offset_ptr + d + offs_d, mask=mask_d, other=0.0)[:, None]
            acc = tl.dot(x, y, acc, input_precision=PRECISION)
        bias = tl.load(bias_ptr + offs_n, mask=mask_n, other=0.0)
        factor = tl.load(factor_ptr + offs_n, mask=mask_n, other=0.0)
        s = bias[None, :] + factor[None, :] * acc  # [BLOCK_Q, BLOCK_N]
        s = tl.where(mask_n[None, :], s, float("inf"))
        if EXCLUDE_SELF:
            s = tl.where(offs_n[None, :] == (offs_q + first)[:, None], float("inf"), s)
        least, at = _least_of_each(s, offs_n)
        entering = tl.max((least < worst).to(tl.int32), axis=0)
        while entering > 0:
            enters = least < worst
            # The first of the worst entries makes room.
            place = tl.min(tl.where(best == worst[:, None], offs_w[None, :], WIDTH), axis=1)
            here = enters[:, None] & (offs_w[None, :] == place[:, None])
            best = tl.where(here, least[:, None], best)
            best_at = tl.where(here, at[:, None], best_at)
            worst = tl.max(best, axis=1)
            s = tl.where(offs_n[None, :] == at[:, None], float("inf"), s)
            least, at = _least_of_each(s, offs_n)
            entering = tl.max((least < worst).to(tl.int32), axis=0)
    out = (offs_q * tl.num_programs(1) + part)[:, None] * WIDTH + offs_w[None, :]
    tl.store(scores_ptr + out, best, mask=mask_q[:, None])
    tl.store(indices_ptr + out, best_at, mask=mask_q[:, None])


@triton.jit
def _kneighbors_few_kernel(
    x_ptr,
    y_ptr,
    scores_ptr,
    indices_ptr,
    N,
    D,
    first,
    rows_of_a_part,
    stride_xq,
    stride_yn,
    stride_yd,
    EXCLUDE_SELF: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """The list of one query over one part of the corpus: squared differences, no product."""
    query = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    offs_d = tl.arange(0, BLOCK_D)
    offs_w = tl.arange(0, WIDTH)
    begin = part * rows_of_a_part
    end = tl.minimum(begin + rows_of_a_part, N)
    best = tl.full([WIDTH], float("inf"), tl.float32)
    best_at = tl.full([WIDTH], -1, tl.int32)
    worst = tl.max(best, axis=0)
    for start in range(begin, end, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask_n = offs_n < end
        y_ptrs = y_ptr + offs_n.to(tl.int64)[:, None] * stride_yn
        acc = tl.zeros([BLOCK_N], dtype=tl.float32)
        for d in range(0, D, BLOCK_D):
            mask_d = offs_d < D - d
            x = tl.load(x_ptr + query * stride_xq + d + offs_d, mask=mask_d, other=0.0)
            y = tl.load(
                y_ptrs + (d + offs_d)[None, :] * stride_yd,
                mask=mask_n[:, None] & mask_d[None, :],
                other=0.0,
            ).to(tl.float32)  # [BLOCK_N, BLOCK_D]
            apart = y - x.to(tl.float32)[None, :]
            acc += tl.sum(apart * apart, axis=1)
        s = tl.where(mask_n, acc, float("inf"))
        if EXCLUDE_SELF:
            s = tl.where(offs_n == query + first, float("inf"), s)
        least = tl.min(s, axis=0)
        while least < worst:
            at = tl.min(tl.where(s == least, offs_n, 2147483647), axis=0)
            place = tl.min(tl.where(best == worst, offs_w, WIDTH), axis=0)
            best = tl.where(offs_w == place, least, best)
            best_at = tl.where(offs_w == place, at, best_at)
            worst = tl.max(best, axis=0)
            s = tl.where(offs_n == at, float("inf"), s)
            least = tl.min(s, axis=0)
    out = (query * tl.num_programs(1) + part) * WIDTH + offs_w
    tl.store(scores_ptr + out, best)
    tl.store(indices_ptr + out, best_at)


@triton.jit
def _kneighbors_exact_kernel(
    x_ptr,
    y_ptr,
    indices_ptr,
    values_ptr,
    N,
    D,
    stride_xq,
    stride_xd,
    stride_yn,
    stride_yd,
    WIDTH: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Squared differences of one query and WIDTH candidates, in float64; -1 is infinitely far."""
    query = tl.program_id(0).to(tl.int64)
    offs_w = tl.arange(0, WIDTH)
    offs_d = tl.arange(0, BLOCK_D)
    at = tl.load(indices_ptr + query * WIDTH + offs_w)
    real = (at >= 0) & (at < N)
    y_ptrs = y_ptr + tl.where(real, at, 0).to(tl.int64)[:, None] * stride_yn
    acc = tl.zeros([WIDTH], dtype=tl.float64)
    for d in range(0, D, BLOCK_D):
        mask_d = offs_d < D - d
        x = tl.load(x_ptr + query * stride_xq + (d + offs_d) * stride_xd, mask=mask_d, other=0.0)
        y = tl.load(
            y_ptrs + (d + offs_d)[None, :] * stride_yd,
            mask=real[:, None] & mask_d[None, :],
            other=0.0,
        )  # [WIDTH, BLOCK_D]
        apart = y.to(tl.float64) - x.to(tl.float64)[None, :]
        acc += tl.sum(apart * apart, axis=1)
    values = tl.where(real, acc, float("inf"))
    tl.store(values_ptr + query * WIDTH + offs_w, values)


_SIZES = {"N": "i32", "D": "i32"}
_SEARCH = {
    "x_ptr": "*fp32",
    "offset_ptr": "*fp32",
    "bias_ptr": "*fp32",
    "factor_ptr": "*fp32",
    "scores_ptr": "*fp32",
    "indices_ptr": "*i32",
    "Q": "i32",
    **_SIZES,
    "first": "i32",
    "rows_of_a_part": "i32",
    "stride_xq": "i32",
    "stride_yn": "i32",
}
_FEW = {
    "x_ptr": "*fp32",
    "scores_ptr": "*fp32",
    "indices_ptr": "*i32",
    **_SIZES,
    "first": "i32",
    "rows_of_a_part": "i32",
    "stride_xq": "i32",
    "stride_yn": "i32",
}
_EXACT = {"indices_ptr": "*i32", "values_ptr": "*fp64", **_SIZES}
# For sm_100 the compiler of Triton 3.6 stops on this product: `select.py` keeps it away.
_NVIDIA = ("sm_80", "sm_90")
_AMD = ("gfx942", "gfx950")

COMPILE_CASES = (
    *(
        CompileCase(
            f"search-{dtype}-{width}-{precision}",
            _kneighbors_fwd_kernel,
            {**_SEARCH, "y_ptr": f"*{dtype}"},
            {
                "stride_yd": 1,
                "EXCLUDE_SELF": False,
                "PRECISION": precision,
                "WIDTH": width,
                "BLOCK_Q": 64,
                "BLOCK_N": 64 if width > 16 else 128,
                "BLOCK_D": 32,
            },
            num_warps=8,
            num_stages=2,
            targets=targets,
            multiples_of_16=("D", "stride_yn"),
        )
        for dtype in ("fp32", "fp16", "bf16")
        for width, precision, targets in (
            (16, "tf32", _NVIDIA),
            (128, "tf32", _NVIDIA),
            (16, "ieee", _AMD),
        )
    ),
    *(
        CompileCase(
            f"few-{dtype}",
            _kneighbors_few_kernel,
            {**_FEW, "y_ptr": f"*{dtype}"},
            {"stride_yd": 1, "EXCLUDE_SELF": False, "WIDTH": 16, "BLOCK_N": 64, "BLOCK_D": 64},
            num_warps=4,
            multiples_of_16=("D", "stride_yn"),
        )
        for dtype in ("fp32", "fp16", "bf16")
    ),
    *(
        CompileCase(
            f"exact-{dtype}",
            _kneighbors_exact_kernel,
            {**_EXACT, "x_ptr": f"*{dtype}", "y_ptr": f"*{dtype}"}
            | {"stride_xq": "i32", "stride_yn": "i32"},
            {"stride_xd": 1, "stride_yd": 1, "WIDTH": 16, "BLOCK_D": 64},
            num_warps=4,
            multiples_of_16=("D", "stride_xq", "stride_yn"),
        )
        for dtype in ("fp32", "fp16", "bf16")
    ),
)
