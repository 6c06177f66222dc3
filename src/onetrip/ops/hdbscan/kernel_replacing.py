"""Triton kernel of hdbscan: listed pairs that are as heavy as several edges of the spanning tree.

Every listed pair is looked up among the weights of the tree, which ascend, where it lies: what is
stored are the few pairs that may take the place of an edge, in no order.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch

_ROWS = 16


@triton.jit(do_not_specialize=["N", "room"])
def _hdbscan_replacing_kernel(
    near_ptr,
    square_ptr,
    core_ptr,
    reach_ptr,
    chosen_ptr,
    pair_ptr,
    weight_ptr,
    count_ptr,
    N,
    room,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    mask = rows < N
    # What found room in a list that is too short hangs on the order of threads.
    mask &= tl.load(reach_ptr + rows, mask=mask, other=float("-inf")) > float("-inf")
    at = tl.cast(rows, tl.int64)[:, None] * SLOTS + tl.arange(0, SLOTS)[None, :]
    inside = mask[:, None] & (at >= 0)
    near = tl.load(near_ptr + at, mask=inside, other=0)
    square = tl.load(square_ptr + at, mask=inside, other=float("inf"))
    core = tl.load(core_ptr + rows, mask=mask, other=0.0)
    weight = tl.maximum(square, tl.maximum(core[:, None], tl.load(core_ptr + near)))
    inside &= (near != rows[:, None]) & (weight < float("inf"))
    low = tl.where(inside, 0, N - 1)
    high = tl.zeros_like(low) + N - 1
    while tl.max(tl.max(high - low, axis=1), axis=0) > 0:
        open_ = low < high
        middle = (low + high) // 2
        before = tl.load(chosen_ptr + middle, mask=open_, other=0.0) < weight
        low = tl.where(open_ & before, middle + 1, low)
        high = tl.where(open_ & (before == 0), middle, high)
    tied = inside & (low + 1 < N - 1)
    tied &= tl.load(chosen_ptr + low, mask=tied, other=-1.0) == weight
    tied &= tl.load(chosen_ptr + low + 1, mask=tied, other=-1.0) == weight
    slot = tl.atomic_add(count_ptr + tl.zeros_like(low), 1, mask=tied, sem="relaxed")
    kept = tied & (slot < room)
    tl.store(pair_ptr + slot, rows[:, None] + tl.zeros_like(slot), mask=kept)
    tl.store(pair_ptr + room + slot, near, mask=kept)
    tl.store(weight_ptr + slot, weight, mask=kept)


def replacing_pairs(
    place: Tensor, square: Tensor, core: Tensor, reach: Tensor, chosen: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Pairs of places [2, T], int32, as heavy as two edges or more, and their weights [T].

    Parameters
    ----------
    place, square, core, reach : as `kernel_near.Near` holds them.
    chosen : Tensor [N - 1], squared weights of the tree's edges, ascending.

    Returns
    -------
    None where there are more pairs than points.
    """
    N, slots = place.shape
    room = N + 4096
    pair = torch.empty(2, room, dtype=torch.int32, device=place.device)
    weight = torch.empty(room, dtype=core.dtype, device=place.device)
    count = torch.zeros(1, dtype=torch.int32, device=place.device)
    with torch.cuda.device_of(place):
        launch(
            _hdbscan_replacing_kernel, (blocks(N, _ROWS),), place, square, core, reach, chosen,
            pair, weight, count, N, room, SLOTS=slots, ROWS=_ROWS,
        )  # fmt: skip
    found = int(count)
    return (pair[:, :found], weight[:found]) if found <= room else None


COMPILE_CASES = (
    CompileCase(
        "replacing",
        _hdbscan_replacing_kernel,
        {name: "*i32" for name in ("near_ptr", "pair_ptr", "count_ptr")}
        | {
            name: "*fp32"
            for name in ("square_ptr", "core_ptr", "reach_ptr", "chosen_ptr", "weight_ptr")
        }
        | {"N": "i32", "room": "i32"},
        {"SLOTS": 32, "ROWS": _ROWS},
    ),
)
