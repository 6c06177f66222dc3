# pyright: reportArgumentType=false, reportCallIssue=false
"""k-means++ on a device: two launches a centre, and no look of the host until all are chosen."""

import math

import torch
from torch import Tensor

from onetrip.ops.kmeans.kernel_seeding_triton import (
    DRAW,
    _kmeans_seed_draw_kernel,
    _kmeans_seed_trip_kernel,
    trip_tile,
)
from onetrip.tile.launches import blocks, launches_for

# Candidates of a step whose sums of a tile stay in registers.
MOST_TRIALS = DRAW["BLOCK_T"]


def chosen_on_device(x: Tensor, weight: Tensor | None, first: int, drawn: Tensor) -> Tensor:
    """Rows [K] of samples that k-means++ starts from.

    Parameters
    ----------
    x : Tensor [N, D], float32, contiguous
    weight : Tensor [N], float64, or None where all are 1
    first : int, row of the first centre
    drawn : Tensor [K - 1, trials], float64, on the host, numbers in [0, 1) for the candidates of
        every turn, at most `MOST_TRIALS`
    """
    (N, D), device = x.shape, x.device
    clusters, trials = drawn.shape[0] + 1, drawn.shape[1]
    tile = trip_tile(trials)
    rows = tile["BLOCK_N"]
    programs = min(DRAW["BLOCK_P"], blocks(N, rows))
    share = blocks(blocks(N, rows), programs) * rows
    held = torch.empty(trials, N, device=device)
    # The turn before the first: its candidate leaves all rows as far as can be.
    held[0].fill_(math.inf)
    best = torch.zeros(clusters + 1, dtype=torch.int64, device=device)
    candidates = torch.full((clusters + 1, trials), first, device=device)
    sums = torch.empty(trials, programs, dtype=torch.float64, device=device)
    numbers = torch.zeros(clusters + 1, trials, dtype=torch.float64)
    numbers[1:clusters] = drawn
    numbers = numbers.to(device)
    weights = sums if weight is None else weight
    case = {"TRIALS": trials, "HAS_WEIGHT": weight is not None}
    with torch.cuda.device_of(x):
        start = launches_for("seeding", N, D, trials, weight is None, x, weights)
        for turn in range(clusters):
            start(
                _kmeans_seed_trip_kernel, programs,
                x, weights, candidates, best, held, sums, turn, N, D,
                **case, **tile,
            )  # fmt: skip
            start(
                _kmeans_seed_draw_kernel, trials,
                weights, numbers, candidates, best, held, sums, turn, N, share, programs,
                **case, **DRAW, num_warps=8,
            )  # fmt: skip
    return candidates[:-1].gather(1, best[1:, None]).squeeze(1)
