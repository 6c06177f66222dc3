"""Triton kernels of k-means++: a trip over the samples for each centre, and the draw after it."""

import triton
import triton.language as tl

from onetrip.tile.compile_case import CompileCase

# Stretches of rows, of which a draw looks at the sums first, and how many at once; rows of a look.
DRAW = {"BLOCK_T": 16, "BLOCK_P": 1024, "LOOK_P": 512, "BLOCK_N": 1024}


def trip_tile(trials: int) -> dict[str, int]:
    """Rows and features of a tile whose sums, one a candidate, stay in registers.

    >>> trip_tile(8)
    {'BLOCK_N': 128, 'BLOCK_D': 16, 'STAGES': 4}
    """
    return {"BLOCK_N": 128 if trials <= 8 else 64, "BLOCK_D": 16, "STAGES": 4}


@triton.jit(do_not_specialize=["turn"])
def _kmeans_seed_trip_kernel(
    x_ptr, weight_ptr, candidates_ptr, best_ptr, held_ptr, sums_ptr, turn, N, D,
    TRIALS: tl.constexpr, HAS_WEIGHT: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Squared distance of each row to the nearest centre, if each candidate of a turn were one.

    `held` [TRIALS, N] has those of the turn before, of which the row `best` counts. A program adds
    up the rows of its stretch: `sums` [TRIALS, programs]. Distances are sums of squared
    differences: those of equal rows are zero.
    """
    best = tl.load(best_ptr + turn)
    candidates = ()
    totals = ()
    for trial in tl.static_range(TRIALS):
        candidates = candidates + (tl.load(candidates_ptr + turn * TRIALS + trial) * D,)
        totals = totals + (tl.zeros([BLOCK_N], tl.float32),)
    share = tl.cdiv(tl.cdiv(N, BLOCK_N), tl.num_programs(0)) * BLOCK_N
    first = tl.program_id(0) * share
    for start in range(first, tl.minimum(first + share, N), BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask_n = offs_n < N
        squares = ()
        for _ in tl.static_range(TRIALS):
            squares = squares + (tl.zeros([BLOCK_N, BLOCK_D], tl.float32),)
        for start_d in tl.range(0, D, BLOCK_D, num_stages=STAGES):
            offs_d = start_d + tl.arange(0, BLOCK_D)
            mask_d = offs_d < D
            place = offs_n.to(tl.int64)[:, None] * D + offs_d[None, :]
            x = tl.load(x_ptr + place, mask=mask_n[:, None] & mask_d[None, :], other=0.0)
            more = ()
            for trial in tl.static_range(TRIALS):
                center = tl.load(x_ptr + candidates[trial] + offs_d, mask=mask_d, other=0.0)
                gap = x - center[None, :]  # [BLOCK_N, BLOCK_D]
                more = more + (squares[trial] + gap * gap,)
            squares = more
        closest = tl.load(held_ptr + best * N + offs_n, mask=mask_n, other=0.0)
        # What one thread has read another may overwrite.
        tl.debug_barrier()
        weight = mask_n.to(tl.float32)
        if HAS_WEIGHT:
            weight = tl.load(weight_ptr + offs_n, mask=mask_n, other=0.0).to(tl.float32)
        more = ()
        for trial in tl.static_range(TRIALS):
            distance = tl.minimum(tl.sum(squares[trial], 1), closest)
            tl.store(held_ptr + tl.full([], trial, tl.int64) * N + offs_n, distance, mask=mask_n)
            # A thread adds up some tens of rows: float64 would take the registers of a tile.
            more = more + (totals[trial] + distance * weight,)
        totals = more
    for trial in tl.static_range(TRIALS):
        place = trial * tl.num_programs(0) + tl.program_id(0)
        tl.store(sums_ptr + place, tl.sum(totals[trial].to(tl.float64), 0))


@triton.jit(do_not_specialize=["turn"])
def _kmeans_seed_draw_kernel(
    weight_ptr, drawn_ptr, candidates_ptr, best_ptr, held_ptr, sums_ptr, turn, N, share, parts,
    TRIALS: tl.constexpr, HAS_WEIGHT: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_P: tl.constexpr,
    LOOK_P: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """The best candidate of a turn, and one for the next: drawn by the squares that it leaves.

    Each program draws another. It goes to where the number `drawn` in [0, 1) falls: first to one
    of `parts` stretches of `share` rows, then to the row.
    """
    offs_t = tl.arange(0, BLOCK_T)
    left = tl.zeros([BLOCK_T], tl.float64)
    for start in tl.static_range(0, BLOCK_P, LOOK_P):
        offs = start + tl.arange(0, LOOK_P)
        mask = (offs_t < TRIALS)[:, None] & (offs < parts)[None, :]
        sums = tl.load(sums_ptr + offs_t[:, None] * parts + offs[None, :], mask=mask, other=0.0)
        left += tl.sum(sums, 1)
    left = tl.where(offs_t < TRIALS, left, float("inf"))
    best = tl.argmin(left, 0).to(tl.int64)
    place = (turn + 1) * TRIALS + tl.program_id(0)
    target = tl.load(drawn_ptr + place) * tl.min(left, 0)
    offs_p = tl.arange(0, BLOCK_P)
    mask_p = offs_p < parts
    reached = tl.cumsum(tl.load(sums_ptr + best * parts + offs_p, mask=mask_p, other=0.0), 0)
    part = tl.sum((mask_p & (reached < target)).to(tl.int32), 0)
    part = tl.minimum(part, parts - 1)
    before = tl.max(tl.where(offs_p < part, reached, 0.0), 0)
    first = part * share
    stop = tl.minimum(first + share, N)
    passed = tl.zeros([], tl.int32)
    for start in range(first, stop, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        mask_n = offs_n < stop
        mass = tl.load(held_ptr + best * N + offs_n, mask=mask_n, other=0.0).to(tl.float64)
        if HAS_WEIGHT:
            mass *= tl.load(weight_ptr + offs_n, mask=mask_n, other=0.0)
        reached_n = before + tl.cumsum(mass, 0)
        passed += tl.sum((mask_n & (reached_n < target)).to(tl.int32), 0)
        before = tl.max(reached_n, 0)
    row = tl.minimum(first + passed, N - 1)
    tl.store(candidates_ptr + place, row.to(tl.int64))
    if tl.program_id(0) == 0:
        tl.store(best_ptr + turn + 1, best)


_KINDS = {
    **dict.fromkeys(("x_ptr", "held_ptr"), "*fp32"),
    **dict.fromkeys(("weight_ptr", "drawn_ptr", "sums_ptr"), "*fp64"),
    **dict.fromkeys(("candidates_ptr", "best_ptr"), "*i64"),
    **dict.fromkeys(("turn", "N", "D", "share", "parts"), "i32"),
}


def _case(
    name: str, kernel: object, constexprs: dict[str, object], trials: int, num_warps: int
) -> CompileCase:
    return CompileCase(
        f"{name}-{trials}",
        kernel,
        {each: _KINDS[each] for each in kernel.arg_names if each in _KINDS},  # type: ignore[attr-defined]
        {"TRIALS": trials, "HAS_WEIGHT": trials > 8, **constexprs},
        num_warps=num_warps,
        multiples_of_16=("D",) if name == "trip" else (),
    )


# Trials of 2, 1000 and 30,000 centres.
COMPILE_CASES = (
    *(
        _case("trip", _kmeans_seed_trip_kernel, trip_tile(trials), trials, 4)
        for trials in (2, 8, 12)
    ),
    *(_case("draw", _kmeans_seed_draw_kernel, DRAW, trials, 8) for trials in (2, 12)),
)
