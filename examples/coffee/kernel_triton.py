"""The step of the cup as one kernel.

Idea: a program owns a block of pairs of words. It reads both, draws the bits that change places
from the number of the pair, and writes both back: one read and one write of the grid, nothing
else in memory. Pairs do not overlap, so it works in place.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.tile.compile_case import CompileCase

_BLOCK = 1024


@triton.jit
def _scattered(x):
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


# A key is another number in every step: a kernel made for one would be made for each.
@triton.jit(do_not_specialize=["key", "other_key"])
def _mix_step_kernel(
    grid_ptr,
    pairs,
    per_row,
    W,
    second,
    key,
    other_key,
    ALONG_ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pair = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = pair < pairs
    row, place = pair // per_row, pair % per_row
    if ALONG_ROWS:
        column = 2 * place + second
        wraps = column + 1 == W
        index = row * W + column
        other = tl.where(wraps, row * W, index + 1)
    else:
        index = (2 * row + second) * W + place
        other = index + W
        wraps = place < 0
    one = tl.load(grid_ptr + index, mask=mask, other=0).to(tl.uint32, bitcast=True)
    two = tl.load(grid_ptr + other, mask=mask, other=0).to(tl.uint32, bitcast=True)
    x = index.to(tl.uint32) + key.to(tl.uint32, bitcast=True)
    chosen = _scattered(_scattered(x) ^ other_key.to(tl.uint32, bitcast=True))
    # The last word's neighbours stand in the first, one bit higher; its last bit has none.
    shift = wraps.to(tl.uint32)
    chosen = tl.where(wraps, chosen & 0x7FFFFFFF, chosen)
    swaps = (one ^ (two >> shift)) & chosen
    tl.store(grid_ptr + index, (one ^ swaps).to(tl.int32, bitcast=True), mask=mask)
    tl.store(grid_ptr + other, (two ^ (swaps << shift)).to(tl.int32, bitcast=True), mask=mask)


def exchange(grid: Tensor, along_rows: bool, second: int, key: int, other_key: int) -> None:
    """Exchange bits of pairs of words of `grid` [H, W], int32, in place.

    Both keys, signed numbers of 32 bits, make the bits that change places with a word's number.
    """
    height, words = grid.shape
    # Along rows the last word of each pairs with the first, so that all words have a partner.
    rows, per_row = (height, words // 2) if along_rows else ((height - second) // 2, words)
    if rows:
        with torch.cuda.device_of(grid):
            _mix_step_kernel[(triton.cdiv(rows * per_row, _BLOCK),)](
                grid,
                rows * per_row,
                per_row,
                words,
                second,
                key,
                other_key,
                ALONG_ROWS=along_rows,
                BLOCK=_BLOCK,
            )


_SIZES = dict.fromkeys(("pairs", "per_row", "W", "second", "key", "other_key"), "i32")

COMPILE_CASES = tuple(
    CompileCase(
        name,
        _mix_step_kernel,
        {"grid_ptr": "*i32", **_SIZES},
        {"ALONG_ROWS": along_rows, "BLOCK": _BLOCK},
    )
    for name, along_rows in (("rows", True), ("columns", False))
)
