"""The implementation in plain torch: blocks of rows that fit a cache, and rows that are left out.

A block's scores [R, K] live in one core's cache: the product, the two least scores of each row,
the certificate. Rows whose nearest centre cannot have changed since they were last looked at are
not looked at (`movement.py`); where that spares too few, the bounds rest for some iterations.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.movement import Bounds, Movement, Rest
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.resolve import nearest_anew
from onetrip.ops.kmeans.two_nearest import two_least
from onetrip.ops.kmeans.workers import Workers, slices
from onetrip.tile.certified import UNIT_ROUNDOFF, distance_bound, score_bound

# With fewer centres the product of a row costs no more than the distance that might spare it.
_TIGHTEN_FROM = 128
# With fewer products a row than this, bounds cost more than the products that they might spare:
# measured on two cores at 8 clusters of 16 features.
_BOUND_FROM = 512
# A task is some blocks, so that what is done once a task costs little a row; and there are enough
# tasks for the threads to end together.
_BLOCKS_PER_TASK = 8
_TASKS = 8
# More doubtful rows than this share of a task: all of them, without gathering any.
_MANY = 0.5


class Target(NamedTuple):
    """The centres of one iteration: as they are, centred, with norms."""

    centers: Tensor
    centred: Tensor
    square: Tensor
    largest: Tensor


class _Done(NamedTuple):
    """What one task changed: rows, their labels until now; how many it looked at, how many anew."""

    rows: Tensor
    before: Tensor
    looks: int
    anew: int


class TorchAssigner:
    """Labels of all rows, kept from one iteration to the next.

    Attributes
    ----------
    labels : Tensor [N], int32
    looks : rows that were looked at, over all iterations
    anew : rows of those that were evaluated anew
    """

    def __init__(self, points: Points, clusters: int, config: Config, certified: bool) -> None:
        N, device = points.x.shape[0], points.x.device
        self.points = points
        self.certified = certified
        self.labels = torch.full((N,), -1, dtype=torch.int32, device=device)
        self.looks = 0
        self.anew = 0
        block_rows = max(config["least_rows"], config["scores"] // clusters)
        self._task_rows = max(config["least_rows"], min(_BLOCKS_PER_TASK * block_rows, N // _TASKS))
        self._block_rows = min(block_rows, self._task_rows)
        self._tightens = clusters >= _TIGHTEN_FROM
        self._is_bounded = clusters * points.x.shape[1] >= _BOUND_FROM
        self._bounds: Bounds | None = None
        self._rest = Rest()
        dtype = str(points.x.dtype).removeprefix("torch.")
        self._rounding = (0.0, points.x.shape[1], dtype)  # operands are as the product takes them

    def assign(
        self, centers: Tensor, movement: Movement, workers: Workers, *, last: bool
    ) -> tuple[Tensor, Tensor]:
        """Assign every row to its nearest of `centers` [K, D]; bounds are of no use at the last.

        Returns
        -------
        rows : Tensor [M], int64, whose label changed
        before : Tensor [M], int32, their labels until now, -1 at the first call
        """
        centred = centers - self.points.offset
        square = centred.square().sum(1)
        target = Target(centers, centred, square, square.max().sqrt())
        N = self.labels.shape[0]
        used = self._bounds
        if self._is_bounded and used is None and not last and self._rest.is_over():
            self._bounds = Bounds(N, centers.device)
        tasks = slices(slice(0, N), self._task_rows)
        done = workers.map(lambda task: self._task(task, target, movement, used), tasks)
        looks = sum(part.looks for part in done)
        if used is not None and self._rest.begins(looks / N):
            self._bounds = None
        self.looks += looks
        self.anew += sum(part.anew for part in done)
        return torch.cat([part.rows for part in done]), torch.cat([part.before for part in done])

    def _task(self, task: slice, target: Target, movement: Movement, used: Bounds | None) -> _Done:
        rows = task if used is None else self._doubtful(task, target, movement, used)
        before = self.labels[rows].clone()
        anew = self._look(rows, target, movement) if before.numel() else 0
        changed = (before != self.labels[rows]).nonzero().squeeze(1)
        absolute = changed + rows.start if isinstance(rows, slice) else rows[changed]
        return _Done(absolute, before[changed], before.shape[0], anew)

    def _doubtful(
        self, task: slice, target: Target, movement: Movement, bounds: Bounds
    ) -> slice | Tensor:
        """Rows of a task whose nearest centre may have changed."""
        label = self.labels[task]
        path = movement.path.index_select(0, label)
        lower = bounds.lower[task] - movement.longest
        doubtful = (bounds.upper[task] + path >= lower).nonzero().squeeze(1)
        if doubtful.shape[0] > _MANY * label.shape[0]:
            return task
        if not self._tightens or not doubtful.numel():
            return doubtful.add_(task.start)
        distance = self._own_distance(doubtful + task.start, label[doubtful], target)
        bounds.upper[doubtful + task.start] = distance - path[doubtful]
        return doubtful[distance >= lower[doubtful]].add_(task.start)

    def _own_distance(self, rows: Tensor, label: Tensor, target: Target) -> Tensor:
        """Distances of rows to their own centres, from above, in float64."""
        difference = target.centred.index_select(0, label)
        difference -= self.points.centred.index_select(0, rows)
        _, D, dtype = self._rounding
        unit = UNIT_ROUNDOFF[dtype]
        lengths = self.points.norm.index_select(0, rows).double() + target.largest
        square = difference.square_().sum(1).double()
        return square.sqrt_().mul_(1.0 + (D + 4) * unit).add_(lengths, alpha=2.0 * unit)

    def _look(self, rows: slice | Tensor, target: Target, movement: Movement) -> int:
        """Label rows and store their bounds; how many of them were evaluated anew."""
        best, label, second, blur = self._two_least(rows, target)
        norm, largest = self.points.norm[rows], target.largest
        blurred = (2.0 * blur) * largest * (largest + norm) if blur else 0.0
        doubtful = None
        if self.certified:
            bound = score_bound(norm, largest, *self._rounding) + blurred
            # Not "is within": a bound that is not a number certifies nothing.
            doubtful = (second - best > 2.0 * bound).logical_not_().nonzero().squeeze(1)
        anew = 0 if doubtful is None else doubtful.shape[0]
        found = None
        if doubtful is not None and anew:
            absolute = doubtful + rows.start if isinstance(rows, slice) else rows[doubtful]
            found = nearest_anew(self.points, target.centers, absolute)
            label[doubtful] = found.label.to(label.dtype)
        self.labels[rows] = label
        if self._bounds is not None:
            length = norm.double().square()
            reach = (distance_bound(norm, largest, *self._rounding) + blurred).double()
            upper = (length + best).add_(reach).clamp_(min=0.0).sqrt_()
            lower = (length + second).sub_(reach).clamp_(min=0.0).sqrt_()
            if found is not None:
                upper[doubtful], lower[doubtful] = found.upper, found.lower
            self._bounds.upper[rows] = upper.sub_(movement.path.index_select(0, label))
            self._bounds.lower[rows] = lower.add_(movement.longest)
        return anew

    def _two_least(
        self, rows: slice | Tensor, target: Target
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        """Block by block, the two least scores of each row and the label of the least."""
        x, parts, blur = self.points.centred, [], 0.0
        if isinstance(rows, slice):
            blocks = (x[part] for part in slices(rows, self._block_rows))
        else:
            blocks = (x.index_select(0, part) for part in rows.split(self._block_rows))
        for block in blocks:
            *found, blur = two_least(block, target.centred, target.square)
            parts.append(found)
        best, label, second = (torch.cat(part) for part in zip(*parts, strict=True))
        return best, label, second, blur
