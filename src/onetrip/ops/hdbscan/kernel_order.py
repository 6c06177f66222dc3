"""Triton kernels of hdbscan: what a level of the tree of halves sorts its groups by.

`device_points.tree_order` says what is computed. A level is two launches and a sort: the first puts
places where the sort before says and finds how wide each group is along every coordinate, the
second writes the widest one.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import launch, next_power


@triton.jit
def _ordered(value):
    """Floats as integers in the same order."""
    bits = value.to(tl.int32, bitcast=True)
    return tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


@triton.jit
def _float_of(ordered):
    return tl.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).to(tl.float32, bitcast=True)


@triton.jit(do_not_specialize=["N", "size"])
def _hdbscan_width_kernel(
    x_ptr,
    order_ptr,
    rank_ptr,
    sorted_ptr,
    wide_ptr,
    N,
    D,
    size,
    DP: tl.constexpr,
    LEAF: tl.constexpr,
):
    """Sort halves of groups of `size`; the greatest of every coordinate and of its negative."""
    place = tl.program_id(0) * LEAF + tl.arange(0, LEAF)
    group = tl.program_id(0) * LEAF // size
    # Ranks are of the groups before, twice as large.
    parent = group // 2 * 2 * size
    point = tl.load(order_ptr + parent + tl.load(rank_ptr + place))
    tl.store(sorted_ptr + place, point)
    offs_d = tl.arange(0, DP)
    inside = (point < N)[:, None] & (offs_d < D)[None, :]
    at = tl.cast(point, tl.int64)[:, None] * D + offs_d[None, :]
    x = tl.load(x_ptr + at, mask=inside, other=0.0)  # [LEAF, DP]
    high = tl.max(tl.where(inside, x, float("-inf")), axis=0)
    low = tl.max(tl.where(inside, -x, float("-inf")), axis=0)
    found = wide_ptr + group * 2 * D + offs_d
    tl.atomic_max(found, _ordered(high), mask=offs_d < D, sem="relaxed")
    tl.atomic_max(found + D, _ordered(low), mask=offs_d < D, sem="relaxed")


@triton.jit(do_not_specialize=["N", "size"])
def _hdbscan_widest_kernel(
    x_ptr, sorted_ptr, wide_ptr, key_ptr, N, D, size, DP: tl.constexpr, LEAF: tl.constexpr
):
    """The widest coordinate of every place's group; infinity where no point is."""
    place = tl.program_id(0) * LEAF + tl.arange(0, LEAF)
    group = tl.program_id(0) * LEAF // size
    offs_d = tl.arange(0, DP)
    found = wide_ptr + group * 2 * D + offs_d
    high = tl.load(found, mask=offs_d < D, other=0)
    low = tl.load(found + D, mask=offs_d < D, other=0)
    width = tl.where(offs_d < D, _float_of(high) + _float_of(low), float("-inf"))
    widest = tl.argmax(width, axis=0)
    point = tl.load(sorted_ptr + place)
    at = tl.cast(point, tl.int64) * D + widest
    key = tl.load(x_ptr + at, mask=point < N, other=float("inf"))
    tl.store(key_ptr + place, key)


def halved(x: Tensor, leaf: int, depth: int) -> Tensor:
    """Points of `depth` levels of halves [leaf << depth], int32; those from N on are missing.

    Parameters
    ----------
    x : Tensor [N, D], float32, contiguous.
    leaf : a power of two, the places of a group of the last level.
    """
    N, D = x.shape
    leaves = 1 << depth
    order = torch.arange(leaf << depth, dtype=torch.int32, device=x.device)
    rank = torch.arange(leaf << depth, device=x.device)
    following, key = torch.empty_like(order), torch.empty(leaf << depth, device=x.device)
    lowest = torch.iinfo(torch.int32).min
    wide = torch.full((leaves, 2, D), lowest, dtype=torch.int32, device=x.device)
    tile: dict[str, Any] = {"DP": max(2, next_power(D)), "LEAF": leaf}
    with torch.cuda.device_of(x):
        for level in range(depth):
            # All levels before have fewer groups together than this one.
            size, widths = leaf << (depth - level), wide[1 << level :]
            launch(
                _hdbscan_width_kernel, (leaves,), x, order, rank, following, widths, N, D, size,
                **tile,
            )  # fmt: skip
            order, following = following, order
            launch(_hdbscan_widest_kernel, (leaves,), x, order, widths, key, N, D, size, **tile)
            rank = key.view(1 << level, size).sort(dim=1, stable=True).indices.view(-1)
    groups = order.view(max(1, leaves // 2), -1)
    return groups.gather(1, rank.view(groups.shape)).view(-1)


_TYPES = {
    "x_ptr": "*fp32",
    "order_ptr": "*i32",
    "rank_ptr": "*i64",
    "sorted_ptr": "*i32",
    "wide_ptr": "*i32",
    "key_ptr": "*fp32",
    "N": "i32",
    "D": "i32",
    "size": "i32",
}

COMPILE_CASES = tuple(
    CompileCase(
        f"{name}-{DP}",
        kernel,
        {name: _TYPES[name] for name in kernel.arg_names if name in _TYPES},
        {"DP": DP, "LEAF": 64},
    )
    for name, kernel in (("width", _hdbscan_width_kernel), ("widest", _hdbscan_widest_kernel))
    for DP in (16, 128)
)
