"""Triton kernels of hdbscan: a list of the nearest points of every point, and core distances.

Idea: two passes over pairs, with float16 products. The first keeps, in registers, the least score
of each column of the tiles that it reads: BLOCK_M distinct points, of which the KEEP-th least is
an upper bound of the KEEP-th nearest distance, one comparison a pair. The second lists every
point that may lie within that bound. What is listed, some twenty points, is evaluated in float32
differences: core distances are those of differences to the last bit.

A block of columns whose box is farther away than what every row looks for is not read. In many
dimensions what float16 leaves open is as much as some lists hold: what finds no room is listed anew
in wider ones, of which the nearest are kept. A list that is too short even so says so; the caller
then takes core distances from `kernel_triton.py`.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.device_points import Points
from onetrip.ops.hdbscan.kernel_tiles import (
    as_bits,
    at_most,
    column_block,
    computed_at_most,
    differences,
    kth_least,
    lowest_bit,
    near_blocks,
    parts,
    row_block,
    scores,
    sizes_of_tiles,
    tile_cases,
)
from onetrip.ops.hdbscan.select import list_slots
from onetrip.tile.compile_case import CompileCase
from onetrip.tile.launches import blocks, launch

# Tiles read before the bound is taken anew, which costs as much as some ten tiles.
_READ = 24
# How often lists that are too short are made anew, so wide, and for what share of rows at once.
_TRIES = 3
_WIDE = 256
_SHARE = 16
# Listed pairs that a program evaluates.
_LISTED = 1024


@triton.jit(do_not_specialize=["N", "blocks", "steps", "KEEP"])
def _hdbscan_reach_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    radius_ptr,
    reach_ptr,
    off,
    N,
    D,
    blocks,
    steps,
    KEEP,
    READ: tl.constexpr,
    CHUNK: tl.constexpr,
    DP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    pid = tl.program_id(0)
    offs_n = pid * BLOCK_N + tl.arange(0, BLOCK_N)
    low, high, middle, half, square, norm = row_block(x_ptr, tl.minimum(offs_n, N - 1), D, DP)
    least = tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.float32) + float("inf")
    wanted = float("inf")
    read = 0
    own = pid * BLOCK_N // (BLOCK_M * CHUNK)
    for step in range(0, steps):
        # The chunks that share most of the tree with the rows' own come first.
        chunk = own ^ step
        near = near_blocks(
            low_ptr, high_ptr, radius_ptr, low, high, middle, tl.max(norm, axis=0), chunk, wanted,
            off, D, blocks, DP, CHUNK,
        )  # fmt: skip
        bits = as_bits(near, CHUNK)
        y = column_block(x_ptr, chunk * CHUNK + lowest_bit(bits), N, D, BLOCK_M, DP)
        while bits != 0:
            block = chunk * CHUNK + lowest_bit(bits)
            bits = bits & (bits - 1)
            # The next block is on its way while this one is looked at.
            following = column_block(x_ptr, chunk * CHUNK + lowest_bit(bits), N, D, BLOCK_M, DP)
            least = tl.minimum(least, scores(y, half, middle, block, N, BLOCK_M))
            y = following
            read += 1
        if read >= READ:
            kth = kth_least(least, KEEP, BLOCK_N)
            wanted = tl.max(at_most(kth + square, norm, D, off), axis=0)
            read = 0
    kth = kth_least(least, KEEP, BLOCK_N)
    tl.store(reach_ptr + offs_n, at_most(kth + square, norm, D, off), mask=offs_n < N)


@triton.jit(do_not_specialize=["rows", "N", "blocks", "steps"])
def _hdbscan_list_kernel(
    x_ptr,
    low_ptr,
    high_ptr,
    radius_ptr,
    row_ptr,
    reach_ptr,
    count_ptr,
    near_ptr,
    off,
    rows,
    N,
    D,
    blocks,
    steps,
    SLOTS: tl.constexpr,
    CHUNK: tl.constexpr,
    DP: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < rows
    place = tl.load(row_ptr + tl.minimum(offs_n, rows - 1))
    low, high, middle, half, square, norm = row_block(x_ptr, place, D, DP)
    reach = tl.load(reach_ptr + place)
    wanted = tl.max(reach, axis=0)
    cut = tl.where(mask_n, computed_at_most(reach, norm, D, off) - square, float("-inf"))
    counter = count_ptr + offs_n[:, None] + tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.int32)
    slots = near_ptr + tl.cast(offs_n, tl.int64)[:, None] * SLOTS
    own = tl.min(place, axis=0) // (BLOCK_M * CHUNK)
    for step in range(tl.program_id(1), steps, tl.num_programs(1)):
        chunk = own ^ step
        near = near_blocks(
            low_ptr, high_ptr, radius_ptr, low, high, middle, tl.max(norm, axis=0), chunk, wanted,
            off, D, blocks, DP, CHUNK,
        )  # fmt: skip
        bits = as_bits(near, CHUNK)
        y = column_block(x_ptr, chunk * CHUNK + lowest_bit(bits), N, D, BLOCK_M, DP)
        while bits != 0:
            block = chunk * CHUNK + lowest_bit(bits)
            bits = bits & (bits - 1)
            # The next block is on its way while this one is looked at.
            following = column_block(x_ptr, chunk * CHUNK + lowest_bit(bits), N, D, BLOCK_M, DP)
            score = tl.zeros([BLOCK_N, BLOCK_M], dtype=tl.float32) + float("inf")
            # Always so: for sm_100, Triton 3.6 fails on sums of a product where it is made.
            if block < blocks:
                score = scores(y, half, middle, block, N, BLOCK_M)
            hit = score <= cut[:, None]
            if tl.max(tl.max(hit.to(tl.int32), axis=1), axis=0) > 0:
                slot = tl.atomic_add(counter, 1, mask=hit, sem="relaxed")
                column = block * BLOCK_M + tl.arange(0, BLOCK_M)[None, :] + tl.zeros_like(slot)
                tl.store(slots + slot, column, mask=hit & (slot >= 0) & (slot < SLOTS))
            y = following


@triton.jit
def _no_less(value):
    """A number of float32 that is no less."""
    if value.dtype == tl.float64:
        value = value * (1.0 + 2.4e-7) + 1e-37
    return value.to(tl.float32)


@triton.jit(do_not_specialize=["rows", "K", "KEEP"])
def _hdbscan_listed_kernel(
    x_ptr,
    row_ptr,
    count_ptr,
    found_ptr,
    near_ptr,
    square_ptr,
    core_ptr,
    reach_ptr,
    rows,
    D,
    K,
    KEEP,
    WIDE: tl.constexpr,
    SLOTS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Evaluate lists of WIDE places, and keep SLOTS of them: all, or the nearest."""
    offs = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    mask = offs < rows
    place = tl.load(row_ptr + tl.minimum(offs, rows - 1))
    count = tl.load(count_ptr + tl.minimum(offs, rows - 1))
    wide = tl.arange(0, WIDE)[None, :]
    listed = mask[:, None] & (wide < count[:, None])
    at = tl.cast(offs, tl.int64)[:, None] * WIDE + wide
    column = tl.load(found_ptr + at, mask=listed, other=0)
    square = differences(x_ptr, place[:, None] + tl.zeros_like(column), column, listed, D)
    square = tl.where(listed, square, float("inf"))  # [ROWS, WIDE]
    tl.store(core_ptr + place, kth_least(square, K, ROWS), mask=mask)
    # Of what found room, the KEEP-th nearest is a nearer bound.
    nearer = _no_less(kth_least(square, KEEP, ROWS))
    tl.store(reach_ptr + place, nearer, mask=mask & (count > WIDE))
    to = tl.cast(place, tl.int64)[:, None] * SLOTS
    kept = listed
    if WIDE > SLOTS:
        # Nothing that is as far as the last is kept: what is not listed is farther than a bit less.
        last = tl.where(count > SLOTS, kth_least(square, SLOTS, ROWS), float("inf"))
        kept &= square < last[:, None]
        less = tl.where(last > 0.0, last * (1.0 - 2.4e-7), float("-inf")).to(tl.float32)
        tl.store(reach_ptr + place, less, mask=mask & (count > SLOTS) & (count <= WIDE))
        at = tl.cumsum(kept.to(tl.int32), axis=1) - 1
    else:
        at = wide + tl.zeros_like(column)
    tl.store(near_ptr + to + at, column, mask=kept)
    tl.store(square_ptr + to + at, square, mask=kept)
    slots = tl.arange(0, SLOTS)[None, :]
    beyond = mask[:, None] & (slots >= tl.sum(kept.to(tl.int32), axis=1)[:, None])
    tl.store(near_ptr + to + slots, place[:, None] + tl.zeros_like(slots), mask=beyond)
    nothing = tl.zeros_like(beyond).to(x_ptr.dtype.element_ty) + float("inf")
    tl.store(square_ptr + to + slots, nothing, mask=beyond)


class Near:
    """Near points of every place: all within `reach`, unless a list is too short.

    `place` [N, SLOTS] int32 and `square` [N, SLOTS], a row's own place and infinity where it has
    fewer; `core` [N]; `reach` [N] float32, everything that is not listed is farther (squared).
    Squares and core distances have the dtype of what differences are taken of.

    Where many points are as near, a list is too short: its reach is minus infinity, and `unsure`
    counts those whose core distance may be less than their list's.
    """

    def __init__(self, points: Points, K: int, extra: int, config: Config) -> None:
        N, device, dtype = points.x.shape[0], points.x.device, points.exact.dtype
        self._points, self._config = points, config
        self._nearest, self._keep = min(K, N), min(K + extra, N)
        slots = list_slots(self._keep)
        self.reach = torch.empty(N, dtype=torch.float32, device=device)
        self.core = torch.empty(N, dtype=dtype, device=device)
        self.place = torch.empty(N, slots, dtype=torch.int32, device=device)
        self.square = torch.empty(N, slots, dtype=dtype, device=device)
        with torch.cuda.device_of(points.x):
            self._find_reach()
            rows = torch.arange(N, dtype=torch.int32, device=device)
            rows = self._too_short(rows, self.place)
            for _ in range(_TRIES):
                if not rows.numel():
                    break
                parts_of_rows = rows.split(max(64, N // _SHARE))
                wide = rows.new_empty(parts_of_rows[0].numel(), max(_WIDE, 2 * slots))
                rows = torch.cat([self._too_short(part, wide) for part in parts_of_rows])
        self.reach[rows] = -torch.inf
        # A core distance of zero cannot be less.
        self.unsure = int((self.core[rows] > 0).sum()) if rows.numel() else 0

    def _find_reach(self) -> None:
        x = self._points.x
        columns, steps, options = sizes_of_tiles(*x.shape, self._config)
        launch(
            _hdbscan_reach_kernel, (blocks(x.shape[0], self._config["BLOCK_N"]),), x,
            *self._points.boxes, self.reach, self._points.off, *x.shape, columns, steps, self._keep,
            READ=_READ, **options,
        )  # fmt: skip

    def _too_short(self, rows: Tensor, found: Tensor) -> Tensor:
        """List what is within reach of rows [R], `found` [R or more, width]; those without room."""
        points, wide = self._points, found.shape[1]
        columns, steps, options = sizes_of_tiles(*points.x.shape, self._config)
        programs, count = blocks(len(rows), self._config["BLOCK_N"]), torch.zeros_like(rows)
        launch(
            _hdbscan_list_kernel, (programs, parts(programs, steps)), points.x, *points.boxes, rows,
            self.reach, count, found, points.off, len(rows), *points.x.shape, columns, steps,
            SLOTS=wide, **options,
        )  # fmt: skip
        together = max(1, _LISTED // wide)
        launch(
            _hdbscan_listed_kernel, (blocks(len(rows), together),), points.exact, rows, count,
            found, self.place, self.square, self.core, self.reach, len(rows), points.x.shape[1],
            self._nearest, self._keep, WIDE=wide, SLOTS=self.place.shape[1], ROWS=together,
        )  # fmt: skip
        return rows[count > wide]


_TYPES = {
    **dict.fromkeys(("row_ptr", "count_ptr", "found_ptr", "near_ptr"), "*i32"),
    **dict.fromkeys(("rows", "D", "K", "KEEP"), "i32"),
    "reach_ptr": "*fp32",
}

COMPILE_CASES = (
    # Of 1,024 features 394 on sm_80, 188 on sm_90; of 512 there 62; of fewer none.
    *tile_cases("reach", _hdbscan_reach_kernel, 0, {256: 8, 512: 140, 1024: 410}, READ=_READ),
    # Of 1,024 features 378 on sm_80.
    *tile_cases("list", _hdbscan_list_kernel, 8, {512: 140, 1024: 400}, SLOTS=32),
    *(
        CompileCase(
            f"listed-{wide}-{dtype}",
            _hdbscan_listed_kernel,
            _TYPES | dict.fromkeys(("x_ptr", "square_ptr", "core_ptr"), f"*{dtype}"),
            {"WIDE": wide, "SLOTS": 32, "ROWS": _LISTED // wide},
        )
        for dtype in ("fp32", "fp64")
        for wide in (32, _WIDE)
    ),
)
