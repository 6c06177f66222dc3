"""k-means++ (Arthur and Vassilvitskii, SODA 2007), greedy as in scikit-learn, on any device.

A step draws some candidates in proportion to the squared distance to the centres so far, and
takes the one that leaves the least. The distances of all candidates are one product, which reads
the samples once.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.workers import Workers, rows_workers, slices
from onetrip.tile.certified import distance_bound

# Distances of one block, candidates by rows: 1 MiB of float32 in a core's cache.
_DISTANCES = 1 << 18


def kmeans_plus_plus(
    points: Points, clusters: int, first: int, draw: Callable[[int], Tensor]
) -> Tensor:
    """Rows that k-means++ starts from.

    Parameters
    ----------
    points : Points
    clusters : int
    first : int, row of the first centre
    draw : function of a number of candidates to as many numbers in [0, 1), float64

    Returns
    -------
    Tensor [K], int64
    """
    trials = 2 + int(math.log(clusters))
    chosen = torch.empty(clusters, dtype=torch.int64, device=points.x.device)
    chosen[0] = first
    with rows_workers(points.x) as workers:
        closest = _closest(points, chosen[:1], None, workers)[0]
        for place in range(1, clusters):
            mass = closest if points.weight is None else closest * points.weight
            cumulative = mass.cumsum(0, dtype=torch.float64)
            targets = draw(trials).to(cumulative) * cumulative[-1]
            candidates = torch.searchsorted(cumulative, targets)
            candidates.clamp_(max=closest.shape[0] - 1)
            distances = _closest(points, candidates, closest, workers)
            left = distances.sum(1, dtype=torch.float64)
            if points.weight is not None:
                left = distances.double() @ points.weight
            best = int(left.argmin())
            closest = distances[best].clone()
            chosen[place] = candidates[best]
    return chosen


def _closest(points: Points, rows: Tensor, closest: Tensor | None, workers: Workers) -> Tensor:
    """Squared distances [C, N] to some rows, or to the closest centre where that is nearer."""
    x, norm = points.centred, points.norm
    centers, center_norm = x[rows], norm[rows][:, None]
    N, D = x.shape
    found = torch.empty(rows.shape[0], N, dtype=x.dtype, device=x.device)
    dtype = str(x.dtype).removeprefix("torch.")

    def measure(block: slice) -> None:
        square = norm[block].square() + center_norm.square()
        distance = torch.addmm(square, centers, x[block].T, alpha=-2.0)
        # What rounding leaves of a distance of zero must not be drawn.
        noise = distance_bound(norm[block], center_norm, 0.0, D, dtype)
        distance.masked_fill_(distance <= noise, 0.0)
        if closest is not None:
            distance = torch.minimum(distance, closest[block])
        found[:, block] = distance

    step = max(1024, _DISTANCES // rows.shape[0])
    workers.map(measure, slices(slice(0, N), step))
    return found
