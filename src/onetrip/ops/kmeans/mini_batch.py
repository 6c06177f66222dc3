"""One step of mini-batch k-means: label a batch, and move each centre by its share of the batch.

Sculley, Web-scale k-means clustering, WWW 2010: a centre is the mean of all samples that it was
ever given, so a batch moves it by its weight over the weight so far.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from onetrip.ops.kmeans.lloyd import ClusterSums
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.solve import solve
from onetrip.ops.kmeans.workers import rows_workers


class Step(NamedTuple):
    """Centres [K, D] and their weights so far [K], float64, after a batch; its inertia before."""

    centers: Tensor
    counts: Tensor
    inertia: float


def mini_batch_step(points: Points, centers: Tensor, counts: Tensor, precision: str) -> Step:
    """Move `centers` [K, D], of weights `counts` [K], by one batch."""
    found = solve(points, centers, max_iter=0, tol=0.0, precision=precision)
    sums = ClusterSums(points, centers.shape[0])
    rows = torch.arange(found.labels.shape[0], device=centers.device)
    none = torch.full_like(found.labels, -1)
    with rows_workers(points.x) as workers:
        sums.move(rows, none, found.labels, workers)
    terms, weight = sums.over_processes()
    after = counts + weight
    mean = (centers.double() * counts[:, None] + points.joined(terms)) / after[:, None]
    moved = torch.where((weight > 0)[:, None], mean, centers.double())
    return Step(moved.to(centers.dtype), after, float(found.inertia))
