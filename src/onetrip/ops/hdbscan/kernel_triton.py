"""Triton kernels of hdbscan: core distances, and the nearest point outside one's component.

Idea: one program owns a block of points in the order of a tree of boxes, and walks over all
blocks, its own first. A block whose box is farther away than what every point of the program still
looks for is not read; nor is one that lies in the program's own component. What is read is a tile
of squared distances in registers, summed feature by feature as differences: no rounding error
grows with the distance from the origin, and both kernels round the same pair alike, so a core
distance is the weight of an edge to the last bit.

Tiling: BLOCK points by BLOCK points; points are laid out feature by feature, so that loads of a
feature are consecutive. The floor of data without structure is three operations a pair and feature
at the float32 rate; clustered data read few blocks. Tried: nothing else yet.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.tile.compile_case import CompileCase

# Sums in another order: a box is taken as a few units in the last place nearer than computed.
_ROOM = {torch.float32: 1 - 2.0**-18, torch.float64: 1 - 2.0**-46}


@triton.jit
def _box_gap(low_ptr, high_ptr, pid, block, D, blocks, DTYPE: tl.constexpr):
    """Squared distance between the boxes of two blocks."""
    gap = tl.zeros([], dtype=DTYPE)
    for d in range(0, D):
        row = d * blocks
        ahead = tl.load(low_ptr + row + block) - tl.load(high_ptr + row + pid)
        behind = tl.load(low_ptr + row + pid) - tl.load(high_ptr + row + block)
        apart = tl.maximum(tl.maximum(ahead, behind), 0.0)
        gap += apart * apart
    return gap


@triton.jit
def _squares(x_ptr, offs_n, offs_m, mask_n, mask_m, N, D, BLOCK: tl.constexpr, DTYPE: tl.constexpr):
    """Squared distances of two blocks of points [BLOCK, BLOCK]."""
    total = tl.zeros([BLOCK, BLOCK], dtype=DTYPE)
    for d in range(0, D):
        start = x_ptr + tl.cast(d, tl.int64) * N
        row = tl.load(start + offs_n, mask=mask_n, other=0.0)  # [BLOCK]
        column = tl.load(start + offs_m, mask=mask_m, other=0.0)  # [BLOCK]
        apart = row[:, None] - column[None, :]
        total += apart * apart
    return total


@triton.jit
def _hdbscan_core_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    core_ptr,
    room,
    N,
    D,
    blocks,
    K: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    DTYPE: tl.constexpr = x_ptr.dtype.element_ty
    pid = tl.program_id(0)
    offs_n = pid * BLOCK + tl.arange(0, BLOCK)
    mask_n = offs_n < N
    slots = tl.arange(0, SLOTS)
    lanes = tl.arange(0, BLOCK)
    # The K smallest so far; slots beyond K never hold the largest.
    best = tl.zeros([BLOCK, SLOTS], dtype=DTYPE)
    best += tl.where(slots < K, float("inf"), float("-inf"))[None, :]
    farthest = tl.max(best, axis=1)  # [BLOCK]
    for step in range(0, blocks):
        block = (pid + step) % blocks
        wanted = tl.max(tl.where(mask_n, farthest, float("-inf")), axis=0)
        gap = _box_gap(low_ptr, high_ptr, pid, block, D, blocks, DTYPE)
        if gap * room <= wanted:
            offs_m = block * BLOCK + lanes
            mask_m = offs_m < N
            square = _squares(x_ptr, offs_n, offs_m, mask_n, mask_m, N, D, BLOCK, DTYPE)
            square = tl.where(mask_m[None, :], square, float("inf"))
            for _ in range(0, K):
                least = tl.min(square, axis=1)  # [BLOCK]
                better = mask_n & (least < farthest)
                if tl.max(better.to(tl.int32), axis=0) > 0:
                    slot = tl.argmax(best, axis=1)
                    lane = tl.argmin(square, axis=1)
                    into = better[:, None] & (slots[None, :] == slot[:, None])
                    best = tl.where(into, least[:, None], best)
                    taken = better[:, None] & (lanes[None, :] == lane[:, None])
                    square = tl.where(taken, float("inf"), square)
                    farthest = tl.max(best, axis=1)
    tl.store(core_ptr + offs_n, farthest, mask=mask_n)


@triton.jit
def _hdbscan_outside_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    core_ptr,
    component_ptr,
    first_ptr,
    last_ptr,
    point_ptr,
    limit_ptr,
    weight_ptr,
    nearest_ptr,
    room,
    N,
    D,
    blocks,
    BLOCK: tl.constexpr,
):
    DTYPE: tl.constexpr = x_ptr.dtype.element_ty
    pid = tl.program_id(0)
    offs_n = pid * BLOCK + tl.arange(0, BLOCK)
    mask_n = offs_n < N
    own = tl.load(component_ptr + offs_n, mask=mask_n, other=-1)
    limit = tl.load(limit_ptr + offs_n, mask=mask_n, other=float("-inf"))
    core_n = tl.load(core_ptr + offs_n, mask=mask_n, other=float("inf"))
    own_first = tl.load(first_ptr + pid)
    alone = own_first == tl.load(last_ptr + pid)
    weight = tl.zeros([BLOCK], dtype=DTYPE) + float("inf")
    nearest = tl.zeros([BLOCK], dtype=tl.int32) + 2147483647
    for step in range(0, blocks):
        block = (pid + step) % blocks
        first = tl.load(first_ptr + block)
        inside = alone & (first == own_first) & (first == tl.load(last_ptr + block))
        wanted = tl.max(tl.minimum(limit, weight), axis=0)
        gap = _box_gap(low_ptr, high_ptr, pid, block, D, blocks, DTYPE)
        if (inside == 0) & (gap * room <= wanted):
            offs_m = block * BLOCK + tl.arange(0, BLOCK)
            mask_m = offs_m < N
            reach = _squares(x_ptr, offs_n, offs_m, mask_n, mask_m, N, D, BLOCK, DTYPE)
            core_m = tl.load(core_ptr + offs_m, mask=mask_m, other=float("inf"))
            reach = tl.maximum(reach, tl.maximum(core_n[:, None], core_m[None, :]))
            other = tl.load(component_ptr + offs_m, mask=mask_m, other=-1)
            away = (own[:, None] != other[None, :]) & mask_m[None, :]
            reach = tl.where(away, reach, float("inf"))  # [BLOCK, BLOCK]
            least = tl.min(reach, axis=1)  # [BLOCK]
            point = tl.load(point_ptr + offs_m, mask=mask_m, other=2147483647)
            tied = reach == least[:, None]
            # Of points as near, the smallest number: the order of edges has no ties.
            smallest = tl.min(tl.where(tied, point[None, :], 2147483647), axis=1)
            nearer = (least < weight) | ((least == weight) & (smallest < nearest))
            weight = tl.where(nearer, least, weight)
            nearest = tl.where(nearer, smallest, nearest)
    tl.store(weight_ptr + offs_n, weight, mask=mask_n)
    tl.store(nearest_ptr + offs_n, nearest, mask=mask_n)


def core_distances(points: Tensor, low: Tensor, high: Tensor, K: int, config: Config) -> Tensor:
    """Squared distance of the K-th nearest of every point [N]; points [D, N], boxes [D, blocks]."""
    D, N = points.shape
    blocks = low.shape[1]
    core = torch.empty(N, dtype=points.dtype, device=points.device)
    slots = max(2, triton.next_power_of_2(K))
    with torch.cuda.device_of(points):
        _hdbscan_core_kernel[(blocks,)](
            points,
            low,
            high,
            core,
            _ROOM[points.dtype],
            N,
            D,
            blocks,
            K=K,
            SLOTS=slots,
            **config,
        )
    return core


def nearest_outside(
    points: Tensor,
    low: Tensor,
    high: Tensor,
    core: Tensor,
    component: Tensor,
    first: Tensor,
    last: Tensor,
    number: Tensor,
    limit: Tensor,
    config: Config,
) -> tuple[Tensor, Tensor]:
    """Lightest edge out of its component of every place, where it is at most `limit`.

    Parameters
    ----------
    points, low, high : as in `core_distances`.
    core : Tensor [N], squared core distances, in the unit of squared distances (times alpha²).
    component, number : Tensor [N], int32, of every place.
    first, last : Tensor [blocks], int32, least and greatest component of every block.
    limit : Tensor [N], how heavy an edge is looked for; minus infinity for none.

    Returns
    -------
    weight : Tensor [N], squared; above the limit, something else may be nearer.
    number : Tensor [N], int32, of the point at the other end.
    """
    D, N = points.shape
    blocks = low.shape[1]
    weight = torch.empty_like(core)
    nearest = torch.empty(N, dtype=torch.int32, device=points.device)
    with torch.cuda.device_of(points):
        _hdbscan_outside_kernel[(blocks,)](
            points,
            low,
            high,
            core,
            component,
            first,
            last,
            number,
            limit,
            weight,
            nearest,
            _ROOM[points.dtype],
            N,
            D,
            blocks,
            **config,
        )
    return weight, nearest


_SIZES = {"N": "i32", "D": "i32", "blocks": "i32", "room": "fp32"}

COMPILE_CASES = tuple(
    case
    for dtype in ("fp32", "fp64")
    for case in (
        CompileCase(
            f"core-{dtype}",
            _hdbscan_core_kernel,
            {name: f"*{dtype}" for name in ("x_ptr", "low_ptr", "high_ptr", "core_ptr")} | _SIZES,
            {"K": 5, "SLOTS": 8, "BLOCK": 64 if dtype == "fp32" else 32},
            # Ten on sm_80 in float32, none elsewhere.
            max_spills=10 if dtype == "fp32" else 0,
        ),
        CompileCase(
            f"outside-{dtype}",
            _hdbscan_outside_kernel,
            {
                name: f"*{dtype}"
                for name in (
                    "x_ptr",
                    "low_ptr",
                    "high_ptr",
                    "core_ptr",
                    "limit_ptr",
                    "weight_ptr",
                )
            }
            | {
                name: "*i32"
                for name in ("component_ptr", "first_ptr", "last_ptr", "point_ptr", "nearest_ptr")
            }
            | _SIZES,
            {"BLOCK": 64 if dtype == "fp32" else 32},
            max_spills=4 if dtype == "fp32" else 0,
        ),
    )
)
