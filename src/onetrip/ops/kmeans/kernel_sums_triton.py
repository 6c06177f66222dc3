"""Triton kernels of kmeans: sums of clusters, of all rows or changed by those that moved.

Sums are kept on a grid (`exact_sums.py`), so rows are taken from one sum and added to another in
any order, by atomic additions in float64, and the bits are those of the CPU. Multiplications and
additions must stay apart (`enable_fp_fusion=False`): the grid rounds twice.

Idea: an atomic addition of a row a cluster is as dear as to read eight rows. So rows are brought
into the order of their clusters first (a count and a scatter, in no order within a cluster: it
does not show), and rows of one cluster are added up on chip. A row that changed its cluster comes
twice: to be added to one, and, as its complement, to be taken from the other.
"""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase


@triton.jit
def _kmeans_changed_kernel(
    before_ptr, after_ptr, moved_ptr, count_ptr, N, ANEW: tl.constexpr, SHARES: tl.constexpr,
    BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Count the rows that changed their cluster, and those that each cluster gets or loses.

    A cluster has `SHARES` counters, each for some programs: all at one would wait for each other.
    """
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    before = tl.load(before_ptr + offs_n, mask=mask_n, other=0)
    after = tl.load(after_ptr + offs_n, mask=mask_n, other=0)
    changed = before != after
    found = tl.sum(changed.to(tl.int32), 0)
    if found > 0:
        tl.atomic_add(moved_ptr, found, sem="relaxed")
    counter_ptr = count_ptr + tl.program_id(0) % SHARES
    if ANEW:
        tl.atomic_add(counter_ptr + after * SHARES, 1, mask=mask_n, sem="relaxed")
    else:
        tl.atomic_add(counter_ptr + after * SHARES, 1, mask=changed, sem="relaxed")
        tl.atomic_add(counter_ptr + before * SHARES, 1, mask=changed, sem="relaxed")


@triton.jit
def _kmeans_order_kernel(
    before_ptr, after_ptr, end_ptr, order_ptr, terms_ptr, totals_ptr, N, K, D,
    ANEW: tl.constexpr, SHARES: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Rows in the order of the clusters that get them, complements of those that lose them.

    `end` is used up. Sums that are made anew begin at zero.
    """
    if ANEW:
        _clear(terms_ptr, tl.cast(K, tl.int64) * D, BLOCK_N)
        _clear(totals_ptr, K, BLOCK_N)
    offs_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    after = tl.load(after_ptr + offs_n, mask=mask_n, other=0)
    counter_ptr = end_ptr + tl.program_id(0) % SHARES
    if ANEW:
        place = tl.atomic_add(counter_ptr + after * SHARES, -1, mask=mask_n, sem="relaxed") - 1
        tl.store(order_ptr + place, offs_n, mask=mask_n)
    else:
        before = tl.load(before_ptr + offs_n, mask=mask_n, other=0)
        changed = before != after
        place = tl.atomic_add(counter_ptr + after * SHARES, -1, mask=changed, sem="relaxed") - 1
        tl.store(order_ptr + place, offs_n, mask=changed)
        place = tl.atomic_add(counter_ptr + before * SHARES, -1, mask=changed, sem="relaxed") - 1
        tl.store(order_ptr + place, ~offs_n, mask=changed)


@triton.jit
def _clear(ptr, number, BLOCK: tl.constexpr):
    """Write zeros, all programs together."""
    for start in range(tl.program_id(0) * BLOCK, number, tl.num_programs(0) * BLOCK):
        offs = start + tl.arange(0, BLOCK)
        tl.store(ptr + offs, tl.zeros([BLOCK], ptr.dtype.element_ty), mask=offs < number)


@triton.jit
def _kmeans_gather_kernel(
    x_ptr, weight_ptr, order_ptr, before_ptr, after_ptr, magic_ptr, terms_ptr, totals_ptr,
    moved_ptr, count_ptr, N, D, counters,
    ANEW: tl.constexpr, HAS_WEIGHT: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Add rows to their clusters, cluster by cluster; complements are taken away.

    Counters, which are in `order` by now, begin at zero for the rows that change next. The rows of
    the next block are on their way while those of a block are added up.
    """
    NONE: tl.constexpr = 2147483647
    _clear(count_ptr, counters, 1024)
    magic = tl.load(magic_ptr)
    number = N
    if not ANEW:
        number = 2 * tl.load(moved_ptr)
    # Each program has a stretch of its own: neighbours would add to one cluster at one time.
    share = tl.cdiv(tl.cdiv(number, BLOCK_N), tl.num_programs(0)) * BLOCK_N
    first = tl.program_id(0) * share
    end = tl.minimum(first + share, number)
    offs_n = tl.arange(0, BLOCK_N)
    for start_d in range(0, D, BLOCK_D):
        offs_d = start_d + tl.arange(0, BLOCK_D)
        entry = tl.load(order_ptr + first + offs_n, mask=first + offs_n < end, other=0)
        x, label, weight = _rows(
            x_ptr, weight_ptr, before_ptr, after_ptr, entry, first + offs_n < end, offs_d, D,
            HAS_WEIGHT,
        )  # fmt: skip
        following = first + BLOCK_N + offs_n
        next_entry = tl.load(order_ptr + following, mask=following < end, other=0)
        # What its rows have of the cluster at hand: taken together where the next one begins.
        cluster = tl.min(label, 0)
        of_cluster = tl.zeros([BLOCK_N, BLOCK_D], tl.float64)
        weights = tl.zeros([BLOCK_N], tl.float64)
        for start in range(first, end, BLOCK_N):
            following = start + BLOCK_N + offs_n
            next_x, next_label, next_weight = _rows(
                x_ptr, weight_ptr, before_ptr, after_ptr, next_entry, following < end, offs_d, D,
                HAS_WEIGHT,
            )  # fmt: skip
            leaves = entry < 0
            entry = next_entry
            following += BLOCK_N
            next_entry = tl.load(order_ptr + following, mask=following < end, other=0)
            term = x.to(tl.float64)
            if HAS_WEIGHT:
                term *= weight[:, None]
            term = (term + magic) - magic  # [BLOCK_N, BLOCK_D]
            term = tl.where(leaves[:, None], -term, term)
            weight = tl.where(leaves, -weight, weight)
            mine = label == cluster
            of_cluster += tl.where(mine[:, None], term, 0.0)
            weights += tl.where(mine, weight, 0.0)
            left = tl.where(mine, NONE, label)
            further = tl.min(left, 0)
            while further < NONE:
                _add(terms_ptr, totals_ptr, of_cluster, weights, cluster, start_d, offs_d, D)
                cluster = further
                mine = left == cluster
                of_cluster = tl.where(mine[:, None], term, 0.0)
                weights = tl.where(mine, weight, 0.0)
                left = tl.where(mine, NONE, left)
                further = tl.min(left, 0)
            x = next_x
            label = next_label
            weight = next_weight
        if cluster < NONE:
            _add(terms_ptr, totals_ptr, of_cluster, weights, cluster, start_d, offs_d, D)


@triton.jit
def _rows(
    x_ptr, weight_ptr, before_ptr, after_ptr, entry, mask_n, offs_d, D, HAS_WEIGHT: tl.constexpr
):
    """Features of the rows of some entries, the clusters that get or lose them, their weights."""
    NONE: tl.constexpr = 2147483647
    leaves = entry < 0
    rows = tl.where(leaves, ~entry, entry).to(tl.int64)
    mask = mask_n[:, None] & (offs_d < D)[None, :]
    x = tl.load(x_ptr + rows[:, None] * D + offs_d[None, :], mask=mask, other=0.0)
    label_ptr = tl.where(leaves, before_ptr + rows, after_ptr + rows)
    label = tl.load(label_ptr, mask=mask_n, other=NONE)
    weight = tl.full(entry.shape, 1.0, tl.float64)
    if HAS_WEIGHT:
        weight = tl.load(weight_ptr + rows, mask=mask_n, other=0.0)
    return x, label, weight


@triton.jit
def _add(terms_ptr, totals_ptr, of_cluster, weights, cluster, start_d, offs_d, D):
    """Add what a block has of a cluster to its sum and, with the first features, its weight."""
    to = terms_ptr + cluster.to(tl.int64) * D + offs_d
    tl.atomic_add(to, tl.sum(of_cluster, 0), mask=offs_d < D, sem="relaxed")
    if start_d == 0:
        tl.atomic_add(totals_ptr + cluster, tl.sum(weights, 0), sem="relaxed")


_INTS = ("before_ptr", "after_ptr", "moved_ptr", "count_ptr", "end_ptr")
_DOUBLES = ("weight_ptr", "magic_ptr", "terms_ptr", "totals_ptr")
_KINDS = {
    **dict.fromkeys((*_INTS, "order_ptr"), "*i32"),
    **dict.fromkeys(_DOUBLES, "*fp64"),
    **dict.fromkeys(("N", "D", "K", "counters"), "i32"),
    "x_ptr": "*fp32",
}
_EXACT = {"num_warps": 2, "max_spills": 2, "options": {"enable_fp_fusion": False}}
_TILE = {"HAS_WEIGHT": True, "BLOCK_N": 8, "BLOCK_D": 128}

COMPILE_CASES = tuple(
    CompileCase(
        f"{name}-{'all' if anew else 'moved'}",
        kernel,
        {each: _KINDS[each] for each in kernel.arg_names if each in _KINDS},
        {"ANEW": anew, **constexprs},
        multiples_of_16=("D",) if "D" in kernel.arg_names else (),
        **more,
    )
    for name, kernel, constexprs, more in (
        ("changed", _kmeans_changed_kernel, {"SHARES": 8, "BLOCK_N": 1024}, {}),
        ("order", _kmeans_order_kernel, {"SHARES": 8, "BLOCK_N": 1024}, {}),
        ("gather", _kmeans_gather_kernel, _TILE, _EXACT),
    )
    for anew in (False, True)
)
