"""Triton kernels of kmeans: rows that change their cluster, and sums in the order of clusters.

Sums are kept on a grid (`exact_sums.py`), so rows are taken from one sum and added to another in
any order, by atomic additions in float64, and the bits are those of the CPU. Multiplications and
additions must stay apart (`enable_fp_fusion=False`): the grid rounds twice. Where many rows
change, all are added anew in the order of their clusters: a block of rows of one cluster is added
up on chip.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _kmeans_changed_kernel(
    before_ptr, after_ptr, rows_ptr, moved_ptr, count_ptr, N, SHARES: tl.constexpr,
    BLOCK_N: tl.constexpr,
):  # fmt: skip
    """List the rows that changed their cluster; or, with `SHARES`, count the rows of each."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    before = tl.load(before_ptr + offs_n, mask=mask_n, other=0)
    after = tl.load(after_ptr + offs_n, mask=mask_n, other=0)
    changed = (before != after).to(tl.int32)
    found = tl.sum(changed, 0)
    if found > 0:
        place = tl.atomic_add(moved_ptr, found, sem="relaxed") + tl.cumsum(changed, 0) - 1
        if SHARES == 0:
            tl.store(rows_ptr + place, offs_n, mask=changed > 0)
    if SHARES > 0:
        counter = after * SHARES + tl.program_id(0) % SHARES
        tl.atomic_add(count_ptr + counter, 1, mask=mask_n, sem="relaxed")


@triton.jit
def _kmeans_move_kernel(
    x_ptr,
    weight_ptr,
    rows_ptr,
    before_ptr,
    after_ptr,
    magic_ptr,
    terms_ptr,
    totals_ptr,
    moved_ptr,
    D,
    HAS_WEIGHT: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Take listed rows from the clusters `before` (-1 is none) and add them to those `after`."""
    magic = tl.load(magic_ptr)
    number = tl.load(moved_ptr)
    for start in range(tl.program_id(0) * BLOCK_N, number, tl.num_programs(0) * BLOCK_N):
        mask_n = start + tl.arange(0, BLOCK_N) < number
        rows = tl.load(rows_ptr + start + tl.arange(0, BLOCK_N), mask=mask_n, other=0)
        before = tl.load(before_ptr + rows, mask=mask_n, other=-1)
        after = tl.load(after_ptr + rows, mask=mask_n, other=0)
        leaves = before >= 0
        weight = tl.full([BLOCK_N], 1.0, tl.float64)
        if HAS_WEIGHT:
            weight = tl.load(weight_ptr + rows, mask=mask_n, other=0.0)
        tl.atomic_add(totals_ptr + after, weight, mask=mask_n, sem="relaxed")
        tl.atomic_add(totals_ptr + before, -weight, mask=leaves, sem="relaxed")
        for start_d in range(0, D, BLOCK_D):
            offs_d = start_d + tl.arange(0, BLOCK_D)
            mask_d = (offs_d < D)[None, :]
            place = rows.to(tl.int64)[:, None] * D + offs_d[None, :]
            x = tl.load(x_ptr + place, mask=mask_n[:, None] & mask_d, other=0.0).to(tl.float64)
            if HAS_WEIGHT:
                x *= weight[:, None]
            term = (x + magic) - magic  # [BLOCK_N, BLOCK_D]
            to = terms_ptr + after.to(tl.int64)[:, None] * D + offs_d[None, :]
            tl.atomic_add(to, term, mask=mask_n[:, None] & mask_d, sem="relaxed")
            out_of = terms_ptr + before.to(tl.int64)[:, None] * D + offs_d[None, :]
            tl.atomic_add(out_of, -term, mask=leaves[:, None] & mask_d, sem="relaxed")


@triton.jit
def _kmeans_order_kernel(
    label_ptr, end_ptr, order_ptr, N, SHARES: tl.constexpr, BLOCK_N: tl.constexpr
):
    """Rows in the order of their clusters; within one, in any order. `end` is used up.

    A cluster has `SHARES` counters, each for some programs: all at one would wait for each other.
    """
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    label = tl.load(label_ptr + offs_n, mask=mask_n, other=0)
    counter = label * SHARES + tl.program_id(0) % SHARES
    place = tl.atomic_add(end_ptr + counter, -1, mask=mask_n, sem="relaxed") - 1
    tl.store(order_ptr + place, offs_n, mask=mask_n)


@triton.jit
def _kmeans_gather_kernel(
    x_ptr,
    weight_ptr,
    order_ptr,
    label_ptr,
    magic_ptr,
    terms_ptr,
    totals_ptr,
    N,
    D,
    HAS_WEIGHT: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Add all rows to their clusters; rows in order, so that most blocks are of one cluster."""
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    rows = tl.load(order_ptr + offs_n, mask=mask_n, other=0).to(tl.int64)
    label = tl.load(label_ptr + rows, mask=mask_n, other=-1)
    first = tl.max(label, 0)
    is_one = tl.min(tl.where(mask_n, label, first), 0) == first
    magic = tl.load(magic_ptr)
    weight = tl.full([BLOCK_N], 1.0, tl.float64)
    if HAS_WEIGHT:
        weight = tl.load(weight_ptr + rows, mask=mask_n, other=0.0)
    if is_one:
        weight_sum = tl.sum(tl.where(mask_n, weight, 0.0), 0)
        tl.atomic_add(totals_ptr + first, weight_sum, sem="relaxed")
    else:
        tl.atomic_add(totals_ptr + label, weight, mask=mask_n, sem="relaxed")
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        mask = mask_n[:, None] & (offs_d < D)[None, :]
        x = tl.load(x_ptr + rows[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
        x = x.to(tl.float64)
        if HAS_WEIGHT:
            x *= weight[:, None]
        term = (x + magic) - magic  # [BLOCK_N, BLOCK_D]
        if is_one:
            of_one = terms_ptr + first.to(tl.int64) * D + offs_d
            tl.atomic_add(of_one, tl.sum(term, 0), mask=offs_d < D, sem="relaxed")
        else:
            of_each = terms_ptr + label.to(tl.int64)[:, None] * D + offs_d[None, :]
            tl.atomic_add(of_each, term, mask=mask, sem="relaxed")


_INTS = ("before_ptr", "after_ptr", "rows_ptr", "moved_ptr", "count_ptr", "label_ptr", "end_ptr")
_DOUBLES = ("weight_ptr", "magic_ptr", "terms_ptr", "totals_ptr")
_KINDS = {
    **dict.fromkeys((*_INTS, "order_ptr"), "*i32"),
    **dict.fromkeys(_DOUBLES, "*fp64"),
    **dict.fromkeys(("N", "D"), "i32"),
    "x_ptr": "*fp32",
}
_EXACT = {"num_warps": 8, "options": {"enable_fp_fusion": False}}

COMPILE_CASES = tuple(
    CompileCase(
        name,
        kernel,
        {each: _KINDS[each] for each in kernel.arg_names if each in _KINDS},
        constexprs,
        multiples_of_16=("D",) if "D" in kernel.arg_names else (),
        **more,
    )
    for name, kernel, constexprs, more in (
        ("changed", _kmeans_changed_kernel, {"SHARES": 0, "BLOCK_N": 1024}, {}),
        ("count", _kmeans_changed_kernel, {"SHARES": 8, "BLOCK_N": 1024}, {}),
        ("order", _kmeans_order_kernel, {"SHARES": 8, "BLOCK_N": 1024}, {}),
        (
            "move",
            _kmeans_move_kernel,
            {"HAS_WEIGHT": True, "BLOCK_N": 16, "BLOCK_D": 128},
            _EXACT,
        ),
        (
            "gather",
            _kmeans_gather_kernel,
            {"HAS_WEIGHT": True, "BLOCK_N": 32, "BLOCK_D": 128},
            _EXACT,
        ),
    )
)
