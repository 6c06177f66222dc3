"""k-means++ (Arthur and Vassilvitskii, SODA 2007), greedy as in scikit-learn, on any device.

A step draws some candidates in proportion to the squared distance to the centres so far, and
takes the one that leaves the least. The distances of all candidates are one product, which reads
the samples once; on a device one kernel does a step (`device_seeding.py`).
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.workers import Workers, rows_workers, slices
from onetrip.tile.certified import distance_bound

# Distances of one block, candidates by rows: 1 MiB of float32 in a core's cache, or what fills a
# device.
_CPU_DISTANCES, _DEVICE_DISTANCES = 1 << 18, 1 << 24


def kmeans_plus_plus(
    points: Points,
    clusters: int,
    first: int,
    draw: Callable[[int], Tensor],
    trials: int | None = None,
) -> Tensor:
    """Rows that k-means++ starts from.

    Parameters
    ----------
    points : Points
    clusters : int
    first : int, row of the first centre
    draw : function of a number of candidates to as many numbers in [0, 1), float64, on the host
    trials : candidates of a step; None for two and the logarithm of `clusters`

    Returns
    -------
    Tensor [K], int64
    """
    if trials is None:
        trials = 2 + int(math.log(clusters))
    if points.x.is_cuda and points.x.dtype == torch.float32:
        from onetrip.ops.kmeans.device_seeding import MOST_TRIALS, chosen_on_device

        if trials <= MOST_TRIALS:
            drawn = draw((clusters - 1) * trials).view(clusters - 1, trials)
            return chosen_on_device(points.x, points.weight, first, drawn)
    chosen = torch.empty(clusters, dtype=torch.int64, device=points.x.device)
    chosen[0] = first
    with rows_workers(points.x) as workers:
        distances_to = _Distances(points, workers)
        closest = distances_to(chosen[:1], None)[0][0]
        for place in range(1, clusters):
            mass = closest if points.weight is None else closest * points.weight
            cumulative = mass.cumsum(0, dtype=torch.float64)
            targets = draw(trials).to(cumulative) * cumulative[-1]
            candidates = torch.searchsorted(cumulative, targets)
            candidates.clamp_(max=closest.shape[0] - 1)
            distances, left = distances_to(candidates, closest)
            best = int(left.argmin())
            closest = distances[best].clone()
            chosen[place] = candidates[best]
    return chosen


class _Distances:
    """Squared distances of all samples to some of them."""

    def __init__(self, points: Points, workers: Workers) -> None:
        self._x, self._norm, self._weight = points.centred, points.norm, points.weight
        self._workers = workers
        self._square = points.norm.square()
        self._ones = torch.ones_like(points.norm)
        self._largest = points.norm.max()

    def __call__(self, rows: Tensor, closest: Tensor | None) -> tuple[Tensor, Tensor]:
        """Distances [C, N] to `rows` [C], or `closest` [N] where that is less; and their sums.

        The sums [C], float64, are weighted, and those of blocks, whatever the number of threads.
        """
        x, square = self._x, self._square
        factors = x.index_select(0, rows) * -2.0
        norm = self._norm.index_select(0, rows)[:, None]
        found = torch.empty(rows.shape[0], x.shape[0], dtype=x.dtype, device=x.device)

        def measure(block: slice) -> Tensor:
            distance = torch.mm(factors, x[block].T).add_(square[block]).add_(norm.square())
            self._forget_noise(distance, block, norm)
            if closest is not None:
                torch.minimum(distance, closest[block], out=distance)
            found[:, block] = distance
            if self._weight is None:
                return torch.mv(distance, self._ones[block]).double()
            return torch.mv(distance.double(), self._weight[block])

        most = _CPU_DISTANCES if x.is_cpu else _DEVICE_DISTANCES
        blocks = slices(slice(0, x.shape[0]), max(1024, most // rows.shape[0]))
        return found, torch.stack(self._workers.map(measure, blocks)).sum(0)

    def _forget_noise(self, distance: Tensor, block: slice, norm: Tensor) -> None:
        """Take for zero what rounding leaves of a distance of zero: it must not be drawn."""
        rounding = 0.0, self._x.shape[1], str(distance.dtype).removeprefix("torch.")
        own = self._norm[block]
        if not distance.is_cpu:
            distance.masked_fill_(distance <= distance_bound(own, norm, *rounding), 0.0)
            return
        # The largest of all bounds is a number, and few distances are below it.
        most = float(distance_bound(self._largest, norm.max(), *rounding))
        flat = distance.view(-1)
        places = torch.from_numpy(np.flatnonzero(flat.numpy() <= most))
        if not places.numel():
            return
        rows = own.shape[0]
        near = flat.index_select(0, places)
        candidate = norm.squeeze(1).index_select(0, places // rows)
        noise = distance_bound(own.index_select(0, places % rows), candidate, *rounding)
        flat[places] = near.masked_fill_(near <= noise, 0.0)
