# pyright: reportCallIssue=false
"""Launches the Triton kernels: lists by score, merged over parts of the corpus, then settled."""

from dataclasses import replace
from functools import partial

import torch
import triton
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kneighbors import kernel_triton as kernels
from onetrip.ops.kneighbors.metric import Differences, Metric, make_metric
from onetrip.ops.kneighbors.plan import corpus_parts, list_width, make_tiling, triton_width
from onetrip.ops.kneighbors.running import Running
from onetrip.ops.kneighbors.torch_impl import Found, Search, settle

# Corpus rows whose norms are taken at a time.
_NORM_ROWS = 1 << 16
# What settles queries that a list could not: the torch implementation's tiles.
_TORCH_TILE = {"rows": 512, "columns": 2048, "group": 16}


@torch.no_grad()
def search(
    x: Tensor,
    y: Tensor,
    k: int,
    metric: str,
    *,
    exclude_self: bool = False,
    certified: bool = True,
    config: Config,
) -> Found:
    """Find the `k` nearest rows of `y` [N, D] for every row of `x` [Q, D]; as `torch_impl`'s."""
    Q, N, D = x.shape[0], *y.shape
    scored = make_metric(metric, x, y)
    if not isinstance(scored, Differences) and not _is_hip():
        scored = replace(scored, product="tf32")
    needed = list_width(k, N - exclude_self, certified)
    call = Search(
        x, y, 0, k, scored, exclude_self, certified, needed, make_tiling(Q, N, needed, _TORCH_TILE)
    )
    prepared, x_norms = scored.prepare_queries(x)
    width = triton_width(needed)
    parts = corpus_parts(Q, N, width, config)
    shape = Q, parts * width
    scores = torch.empty(shape, dtype=torch.float32, device=x.device)
    indices = torch.empty(shape, dtype=torch.int32, device=x.device)
    rows_of_a_part = -(-N // parts)
    with torch.cuda.device_of(x):
        if isinstance(scored, Differences):
            norm_max = scores.new_zeros(())
            _launch_few(call, prepared, scores, indices, rows_of_a_part, width, config)
        else:
            norm_max = _launch_products(
                call, prepared, scores, indices, rows_of_a_part, width, config
            )
    # The certificate asks for no order among equal scores, so neither does the merge.
    scores, order = scores.topk(min(width, shape[1]), dim=1, largest=False)
    running = Running(scores, indices.gather(1, order).long())
    bound = scored.bound(scores[:, k - 1], x_norms, norm_max, D)
    evaluate = partial(_exact, x, y) if scored.is_euclidean else None
    return settle(call, 0, prepared, running, bound, evaluate)


def _launch_products(
    call: Search,
    prepared: Tensor,
    scores: Tensor,
    indices: Tensor,
    rows_of_a_part: int,
    width: int,
    config: Config,
) -> Tensor:
    """Fill the lists by the product kernel; the largest norm of the corpus."""
    metric, y = call.metric, call.y
    Q, N, D = prepared.shape[0], *y.shape
    offset = prepared.new_zeros(D) if metric.offset is None else metric.offset
    bias, factor, norm_max = _corpus_terms(metric, y, offset)
    grid = (triton.cdiv(Q, config["BLOCK_Q"]), scores.shape[1] // width)
    kernels._kneighbors_fwd_kernel[grid](
        prepared,
        y,
        offset,
        bias,
        factor,
        scores,
        indices,
        Q,
        N,
        D,
        0,
        rows_of_a_part,
        prepared.stride(0),
        *y.stride(),
        EXCLUDE_SELF=call.exclude_self,
        PRECISION="ieee" if _is_hip() else "tf32",
        WIDTH=width,
        BLOCK_Q=config["BLOCK_Q"],
        BLOCK_N=config["BLOCK_N"],
        BLOCK_D=config["BLOCK_D"],
        num_warps=config["num_warps"],
        num_stages=config["num_stages"],
    )
    return norm_max


def _launch_few(
    call: Search,
    prepared: Tensor,
    scores: Tensor,
    indices: Tensor,
    rows_of_a_part: int,
    width: int,
    config: Config,
) -> None:
    Q, N, D = prepared.shape[0], *call.y.shape
    grid = (Q, scores.shape[1] // width)
    kernels._kneighbors_few_kernel[grid](
        prepared,
        call.y,
        scores,
        indices,
        N,
        D,
        0,
        rows_of_a_part,
        prepared.stride(0),
        *call.y.stride(),
        EXCLUDE_SELF=call.exclude_self,
        WIDTH=width,
        BLOCK_N=64,
        BLOCK_D=64,
        num_warps=4,
    )


def _exact(x: Tensor, y: Tensor, indices: Tensor) -> Tensor:
    """Squared differences in float64 of candidates [Q, K], any K."""
    Q, K = indices.shape
    width = triton_width(K)
    padded = torch.full((Q, width), -1, dtype=torch.int32, device=x.device)
    padded[:, :K] = indices
    values = torch.empty(Q, width, dtype=torch.float64, device=x.device)
    with torch.cuda.device_of(x):
        kernels._kneighbors_exact_kernel[(Q,)](
            x,
            y,
            padded,
            values,
            *y.shape,
            *x.stride(),
            *y.stride(),
            WIDTH=width,
            BLOCK_D=64 if width <= 32 else 16,
            num_warps=4,
        )
    return values[:, :K]


def _corpus_terms(metric: Metric, y: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the kernel adds to and multiplies products with, [N] each, and the largest norm."""
    N = y.shape[0]
    squares = torch.empty(N, dtype=torch.float32, device=y.device)
    for begin in range(0, N, _NORM_ROWS):
        rows = y[begin : begin + _NORM_ROWS].float() - offset
        squares[begin : begin + _NORM_ROWS] = torch.linalg.vecdot(rows, rows)
    one = torch.ones_like(squares)
    if metric.name == "cosine":
        inverse = torch.where(squares == 0, 1.0, squares.rsqrt())
        return torch.zeros_like(squares), inverse, one.max()
    largest = squares.max().sqrt()
    if metric.is_euclidean:
        return squares, one, largest
    return torch.zeros_like(squares), one, largest


def _is_hip() -> bool:
    return torch.version.hip is not None
