"""The implementation in plain torch: blocks of rows that fit a cache, and rows that are left out.

A block's scores [R, K] live in one core's cache: the product, the two least scores of each row,
the certificate. Rows whose nearest centre cannot have changed since they were last looked at are
not looked at (`movement.py`); where that spares too few, the bounds rest for some iterations.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.movement import Bounds, Movement, Rest, worth_bounds
from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.resolve import nearest_anew
from onetrip.ops.kmeans.two_nearest import Reach, Rounding, certain_least, rounding_of, two_least
from onetrip.ops.kmeans.workers import Workers, slices
from onetrip.tile.certified import UNIT_ROUNDOFF, distance_bound, score_bound

# With fewer centres the product of a row costs no more than the distance that might spare it.
_TIGHTEN_FROM = 128
# Up to here asking which scores are beyond reach is faster than asking for the second least:
# measured on one core, 179 against 306 ns a row at 64 centres of 32 features, 720 against 930 at
# 256, but 9.3 against 7.2 µs at 1024 of 256.
_FEW = 256
# A task is some blocks, so that what is done once a task costs little a row; and there are enough
# tasks for the threads to end together.
_BLOCKS_PER_TASK = 8
_TASKS = 8
# More doubtful rows than this share of a task: all of them, without gathering any.
_MANY = 0.5


class Target(NamedTuple):
    """The centres of one iteration: as they are, centred, with norms and what rounding reaches.

    `reach` is None where the second least scores are to be known.
    """

    centers: Tensor
    centred: Tensor
    square: Tensor
    largest: Tensor
    reach: Reach | None


class _Done(NamedTuple):
    """What one task did: how many rows it looked at, and which of them need a second look."""

    looks: int
    doubtful: Tensor


class TorchAssigner:
    """Labels of all rows, kept from one iteration to the next.

    Attributes
    ----------
    labels : Tensor [N], int32
    looks : rows that were looked at, over all iterations
    anew : rows of those that were evaluated anew
    is_bounded : whether rows may be left out, by bounds of their distances
    """

    def __init__(self, points: Placed, clusters: int, config: Config, certified: bool) -> None:
        N, device = points.x.shape[0], points.x.device
        self.points = points
        self.certified = certified
        self.labels = torch.full((N,), -1, dtype=torch.int32, device=device)
        self.looks = 0
        self.anew = 0
        self._least_rows = config["least_rows"]
        self._block_rows = max(self._least_rows, config["scores"] // clusters)
        self._tightens = clusters >= _TIGHTEN_FROM
        self._is_few = clusters <= _FEW and self._block_rows * clusters < 1 << 24
        self._is_few &= certified
        self._of_few: Rounding | None = None
        self.is_bounded = worth_bounds(N, points.x.shape[1], clusters)
        self._bounds: Bounds | None = None
        self._rest = Rest()
        dtype = str(points.x.dtype).removeprefix("torch.")
        self._rounding = (0.0, points.x.shape[1], dtype)  # operands are as the product takes them

    def assign(
        self, centers: Tensor, movement: Movement, workers: Workers
    ) -> tuple[Tensor, Tensor]:
        """Assign every row to its nearest of `centers` [K, D].

        Returns
        -------
        rows : Tensor [M], int64, whose label changed
        before : Tensor [M], int32, their labels until now, -1 at the first call
        """
        used = self._bounds
        if self.is_bounded and used is None and self._rest.is_over():
            self._bounds = Bounds(self.labels.shape[0], centers.device)
        before = self.labels.clone()
        self._label(centers, movement, workers, used)
        changed = _unequal(before, self.labels)
        return changed, before.index_select(0, changed)

    def finish(self, centers: Tensor, movement: Movement, workers: Workers) -> None:
        """Assign every row for the last time, when nobody asks what changed."""
        self._label(centers, movement, workers, self._bounds)

    def _label(
        self, centers: Tensor, movement: Movement, workers: Workers, used: Bounds | None
    ) -> None:
        """Label all rows, but for those that the bounds `used` spare."""
        centred = centers - self.points.offset
        square = centred.square().sum(1)
        N = self.labels.shape[0]
        largest = square.max().sqrt()
        target = Target(centers, centred, square, largest, self._reach(largest))
        share = N // (1 if workers.threads == 1 else _TASKS)
        task_rows = max(self._least_rows, min(_BLOCKS_PER_TASK * self._block_rows, share))
        tasks = slices(slice(0, N), task_rows)
        done = workers.map(lambda task: self._task(task, target, movement, used), tasks)
        looks = sum(part.looks for part in done)
        if used is not None and self._rest.begins(looks / N):
            self._bounds = None
        doubtful = [part.doubtful for part in done if part.doubtful.numel()]
        if doubtful:
            self._look_again(torch.cat(doubtful), target, movement)
        self.looks += looks

    def _reach(self, largest: Tensor) -> Reach | None:
        """What rounding reaches, where that is all there is to know of second least scores."""
        if not self._is_few or self._bounds is not None:
            return None
        if self._of_few is None:
            self._of_few = rounding_of(*self._rounding)
        return self._of_few.reach(float(largest))

    def _task(self, task: slice, target: Target, movement: Movement, used: Bounds | None) -> _Done:
        rows = task if used is None else self._doubtful(task, target, movement, used)
        looks = rows.stop - rows.start if isinstance(rows, slice) else rows.shape[0]
        if not looks:
            return _Done(0, self.labels.new_empty(0, dtype=torch.int64))
        doubtful = self._look(rows, target, movement)
        if not doubtful.numel():
            return _Done(looks, doubtful)
        if isinstance(rows, slice):
            return _Done(looks, doubtful + rows.start)
        return _Done(looks, rows[doubtful])

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

    def _look(self, rows: slice | Tensor, target: Target, movement: Movement) -> Tensor:
        """Label rows and store their bounds; places of those whose label is not certain."""
        if target.reach is not None and isinstance(rows, slice):
            return self._look_at_few(rows, target, target.reach)
        norm, largest = self.points.norm[rows], target.largest
        best, label, second, blur = self._two_least(rows, target)
        self.labels[rows] = label
        blurred = (2.0 * blur) * largest * (largest + norm) if blur else 0.0
        if self._bounds is not None:
            length = norm.double().square()
            reach = (distance_bound(norm, largest, *self._rounding) + blurred).double()
            upper = (length + best).add_(reach).clamp_(min=0.0).sqrt_()
            lower = (length + second).sub_(reach).clamp_(min=0.0).sqrt_()
            self._bounds.upper[rows] = upper.sub_(movement.path.index_select(0, label))
            self._bounds.lower[rows] = lower.add_(movement.longest)
        if not self.certified:
            return label.new_empty(0, dtype=torch.int64)
        bound = score_bound(norm, largest, *self._rounding) + blurred
        # Not "is within": a bound that is not a number certifies nothing.
        return (second - best > 2.0 * bound).logical_not_().nonzero().squeeze(1)

    def _look_at_few(self, rows: slice, target: Target, reach: Reach) -> Tensor:
        """Label rows whose second least scores nobody asks for; places of those in doubt."""
        doubtful = []
        for block in slices(rows, self._block_rows):
            x, norm = self.points.centred[block], self.points.norm[block]
            label, places = certain_least(x, norm, target.centred, target.square, reach)
            self.labels[block] = label
            if places.numel():
                doubtful.append(places + (block.start - rows.start))
        return torch.cat(doubtful) if doubtful else self.labels.new_empty(0, dtype=torch.int64)

    def _look_again(self, rows: Tensor, target: Target, movement: Movement) -> None:
        """Label rows whose two least scores were too close, all of an iteration at once."""
        found = nearest_anew(self.points, target.centers, rows)
        self.labels[rows] = found.label.to(self.labels.dtype)
        self.anew += rows.shape[0]
        if self._bounds is not None:
            path = movement.path.index_select(0, found.label)
            self._bounds.upper[rows] = found.upper - path
            self._bounds.lower[rows] = found.lower + movement.longest

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


def _unequal(one: Tensor, other: Tensor) -> Tensor:
    """Places where two vectors differ; NumPy's search is twice as fast as torch's on a CPU."""
    if one.is_cpu:
        return torch.from_numpy(np.flatnonzero(one.numpy() != other.numpy()))
    return (one != other).nonzero().squeeze(1)
