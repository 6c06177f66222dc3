"""One step of mini-batch k-means: label a batch, and move each centre by its share of the batch.

Sculley, Web-scale k-means clustering, WWW 2010: a centre is the mean of all samples that it was
ever given, so a batch moves it by its weight over the weight so far.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from onetrip.ops.kmeans.lloyd import ClusterSums
from onetrip.ops.kmeans.movement import Movement
from onetrip.ops.kmeans.points import Placed, Points
from onetrip.ops.kmeans.resolve import nearest_anew
from onetrip.ops.kmeans.solve import problem_of, resolve, solve
from onetrip.ops.kmeans.torch_impl import TorchAssigner
from onetrip.ops.kmeans.two_nearest import certain_least, rounding_of
from onetrip.ops.kmeans.workers import WORTH_THREADS, rows_workers
from onetrip.tile.side_by_side import on_one_thread

# Up to here a product with a row of marks a cluster adds rows faster than adding one by one.
_FEW_CLUSTERS = 16
# Scores that stay in a core's cache: 1 MiB of float32.
_ONE_TILE = 1 << 18
# A divisor for what is zero.
_LEAST_WEIGHT = torch.finfo(torch.float64).tiny


class Step(NamedTuple):
    """Centres [K, D] and their weights so far [K], float64, after a batch; its inertia before."""

    centers: Tensor
    counts: Tensor
    inertia: float


class _Batch(NamedTuple):
    """Sums [K, D] and weights [K] of the clusters of one batch, float64, and its inertia."""

    sums: Tensor
    weight: Tensor
    inertia: float


def mini_batch_step(batch: Placed, centers: Tensor, counts: Tensor, precision: str) -> Step:
    """Move `centers` [K, D], of weights `counts` [K], by one batch.

    A batch of `Points` is labelled by any implementation and adds exactly; one that is only
    `Placed` takes a third of the calls, on a CPU.
    """
    if isinstance(batch, Points):
        found = _by_points(batch, centers, precision)
    else:
        with on_one_thread(where=batch.x.numel() < WORTH_THREADS):
            found = _by_placed(batch, centers, precision)
    wide, after = centers.double(), counts + found.weight
    # The mean of all that a centre was given; one that was given nothing yet stays.
    left = torch.addcmul(found.sums, found.weight[:, None], wide, value=-1.0)
    moved = torch.addcdiv(wide, left, after.clamp(min=_LEAST_WEIGHT)[:, None])
    return Step(moved.to(centers.dtype), after, found.inertia)


def _by_points(points: Points, centers: Tensor, precision: str) -> _Batch:
    found = solve(points, centers, max_iter=0, tol=0.0, precision=precision)
    sums = ClusterSums(points, centers.shape[0])
    rows = torch.arange(found.labels.shape[0], device=centers.device)
    none = torch.full_like(found.labels, -1)
    with rows_workers(points.x) as workers:
        sums.move(rows, none, found.labels, workers)
    terms, weight = sums.over_processes()
    return _Batch(points.joined(terms), weight, float(found.inertia))


def _by_placed(batch: Placed, centers: Tensor, precision: str) -> _Batch:
    clusters = centers.shape[0]
    is_small = batch.x.shape[0] * clusters <= _ONE_TILE and precision == "certified"
    labels = (_labels_at_once if is_small else _labels)(batch, centers, precision)
    weight, rows = batch.weight, batch.x.double()
    difference = centers.index_select(0, labels).sub_(batch.x)
    distance = torch.linalg.vector_norm(difference, dim=1).double()
    inertia = float(torch.dot(distance, distance if weight is None else distance * weight))
    if weight is not None:
        rows = rows * weight[:, None]
    if clusters <= _FEW_CLUSTERS:
        marks = torch.eye(clusters, dtype=torch.float64).index_select(0, labels)  # [N, K]
        sums = marks.T @ rows
    else:
        # By int64: by int32 torch takes three times as long.
        sums = rows.new_zeros(clusters, rows.shape[1]).index_add_(0, labels.long(), rows)
    by_cluster = torch.bincount(labels, weights=weight, minlength=clusters).double()
    return _Batch(sums, by_cluster, inertia)


def _labels_at_once(batch: Placed, centers: Tensor, _: str) -> Tensor:
    """Labels [N] of a batch that is one tile: what an iteration does, with nothing around it."""
    centred = centers.to(batch.x.dtype) - batch.offset
    square = centred.square().sum(1)
    dtype = str(batch.x.dtype).removeprefix("torch.")
    reach = rounding_of(0.0, centred.shape[1], dtype).reach(math.sqrt(float(square.max())))
    label, doubtful = certain_least(batch.centred, batch.norm, centred, square, reach)
    if doubtful.numel():
        label[doubtful] = nearest_anew(batch, centers.to(batch.x), doubtful).label.to(label)
    return label


def _labels(batch: Placed, centers: Tensor, precision: str) -> Tensor:
    clusters = centers.shape[0]
    _, config = resolve("torch", problem_of(batch.x, clusters, {"max_iter": 0}))
    still = Movement(clusters, centers.device)
    with torch.no_grad(), rows_workers(batch.x) as workers:
        assigner = TorchAssigner(batch, clusters, config, precision == "certified")
        assigner.finish(centers.to(batch.x.dtype), still, workers)
    return assigner.labels
