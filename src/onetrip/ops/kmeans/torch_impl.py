"""The implementation in plain torch: blocks of rows that fit a cache, and rows that are left out.

A block's scores [R, K] live in one core's cache: the product, the two least scores of each row,
the certificate. Rows whose nearest centre cannot have changed since they were last looked at are
not looked at (`movement.py`), as soon as a sample tells that this spares enough.
"""

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.few_nearest import FewNearest
from onetrip.ops.kmeans.movement import Bounds, Movement, worth_bounds
from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.resolve import nearest_anew
from onetrip.ops.kmeans.tile_search import (
    MOST_CENTERS,
    Aim,
    TileSearch,
    quiet,
    search_of,
)
from onetrip.ops.kmeans.two_nearest import two_least
from onetrip.ops.kmeans.workers import Workers, slices
from onetrip.tile.certified import UNIT_ROUNDOFF, distance_bound, score_bound

# With fewer centres the product of a row costs no more than the distance that might spare it.
_TIGHTEN_FROM = 128
# A task is some blocks, so that what is done once a task costs little a row; and there are enough
# tasks for the threads to end together.
_BLOCKS_PER_TASK = 8
_TASKS = 8
# More rows to look at than this share: all of them, without gathering any.
_MANY = 0.5
# More than this: the bounds are given up.
_TOO_MANY = 0.7
# Rows that tell whether bounds would spare the others a look.
_SAMPLED = 256


class Target(NamedTuple):
    """The centres of one iteration: as they are, centred, with norms, as a search takes them."""

    centers: Tensor
    centred: Tensor
    square: Tensor
    largest: Tensor
    aim: Aim | None


class _Least(NamedTuple):
    """The two least scores of R rows, and what blurs them."""

    best: Tensor
    second: Tensor
    blurred: Tensor | float


class _Seen(NamedTuple):
    """What a look found of R rows.

    Attributes
    ----------
    label : Tensor [R], column of the least score
    doubtful : Tensor [M], int64, places of rows whose label is not certain
    least : None where nobody asks
    """

    label: Tensor
    doubtful: Tensor
    least: "_Least | None"


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
        self._search: TileSearch | None = None
        self._all: FewNearest | None = None
        if certified and device.type == "cpu" and clusters <= MOST_CENTERS:
            self._search = search_of(clusters, points.x.shape[1], points.x.dtype)
            self._all = FewNearest(points, clusters)
        self.is_bounded = worth_bounds(N, points.x.shape[1], clusters)
        self._bounds: Bounds | None = None
        self._misses = self._pause = 0
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
        before = self.labels.clone()
        self._label(centers, movement, workers, goes_on=True)
        changed = _unequal(before, self.labels)
        return changed, before.index_select(0, changed)

    def finish(self, centers: Tensor, movement: Movement, workers: Workers) -> None:
        """Assign every row for the last time, when nobody asks what changed."""
        self._label(centers, movement, workers, goes_on=False)

    def _label(
        self, centers: Tensor, movement: Movement, workers: Workers, *, goes_on: bool
    ) -> None:
        """Label all rows, but for those that bounds spare; keep bounds where it `goes_on`."""
        N, used = self.labels.shape[0], self._bounds
        if used is None and goes_on and self._are_bounds_due(centers, movement):
            self._bounds = Bounds(N, centers.device)
        kept = self._bounds if goes_on else None
        if used is None and kept is None and self._all is not None:
            self._label_all(self._all, centers, workers)
            return
        target = self._target(centers)
        share = N // (1 if workers.threads == 1 else _TASKS)
        task_rows = max(self._least_rows, min(_BLOCKS_PER_TASK * self._block_rows, share))

        def look(task: slice) -> _Done:
            rows = task if used is None else self._doubtful(task, target, movement, used)
            looks = rows.stop - rows.start if isinstance(rows, slice) else rows.shape[0]
            if not looks:
                return _Done(0, self.labels.new_empty(0, dtype=torch.int64))
            doubtful = self._look(rows, target, movement, kept)
            return _Done(
                looks, doubtful + rows.start if isinstance(rows, slice) else rows[doubtful]
            )

        done = workers.map(look, slices(slice(0, N), task_rows))
        looks = sum(part.looks for part in done)
        if used is not None and looks > _TOO_MANY * N:
            self._bounds = None
        doubtful = torch.cat([part.doubtful for part in done])
        if doubtful.numel():
            self._look_again(doubtful, target, movement, kept)
        self.looks += looks

    def _label_all(self, search: FewNearest, centers: Tensor, workers: Workers) -> None:
        """Label all rows, in the fewest calls."""
        before = search.anew
        with quiet():
            found = search.label(centers.numpy(), workers)
        self.labels.copy_(torch.from_numpy(found))
        self.looks += found.size
        self.anew += search.anew - before

    def _target(self, centers: Tensor) -> Target:
        centred = centers - self.points.offset
        square = centred.square().sum(1)
        aim = None
        if self._search is not None:
            with quiet():
                aim = self._search.aim().at(centred.numpy())
        return Target(centers, centred, square, square.max().sqrt(), aim)

    def _are_bounds_due(self, centers: Tensor, movement: Movement) -> bool:
        """Whether bounds would spare enough; the oftener they would not, the rarer it is asked."""
        if not self.is_bounded or movement.longest == 0.0:
            return False
        self._pause -= 1
        if self._pause >= 0:
            return False
        if self._share_to_look_at(self._target(centers), movement) <= _MANY:
            return True
        self._misses += 1
        self._pause = max(0, self._misses - 2)
        return False

    def _share_to_look_at(self, target: Target, movement: Movement) -> float:
        """Share of the rows that bounds would not spare, if the next step were like the last."""
        N = self.labels.shape[0]
        rows = torch.arange(0, N, max(1, N // _SAMPLED), device=self.labels.device)
        seen = self._seen(rows, target, with_second=True)
        upper, lower = self._distances(rows, cast(_Least, seen.least), target)
        upper += movement.last.index_select(0, seen.label)
        return float((upper >= lower - movement.last.max()).double().mean())

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

    def _look(
        self, rows: slice | Tensor, target: Target, movement: Movement, kept: Bounds | None
    ) -> Tensor:
        """Label rows and store the bounds that are kept; places of those that are not certain."""
        seen = self._seen(rows, target, with_second=kept is not None)
        self.labels[rows] = seen.label
        if kept is not None and seen.least is not None:
            upper, lower = self._distances(rows, seen.least, target)
            kept.upper[rows] = upper.sub_(movement.path.index_select(0, seen.label))
            kept.lower[rows] = lower.add_(movement.longest)
        return seen.doubtful

    def _look_again(
        self, rows: Tensor, target: Target, movement: Movement, kept: Bounds | None
    ) -> None:
        """Label rows whose two least scores were too close, all of an iteration at once."""
        found = nearest_anew(self.points, target.centers, rows)
        self.labels[rows] = found.label.to(self.labels.dtype)
        self.anew += rows.shape[0]
        if kept is not None:
            kept.upper[rows] = found.upper - movement.path.index_select(0, found.label)
            kept.lower[rows] = found.lower + movement.longest

    def _distances(
        self, rows: slice | Tensor, least: _Least, target: Target
    ) -> tuple[Tensor, Tensor]:
        """Distances of rows to the nearest, from above, and to the next, from below; float64."""
        best, second, blurred = least
        norm, largest = self.points.norm[rows], target.largest
        length = norm.double().square()
        reach = (distance_bound(norm, largest, *self._rounding) + blurred).double()
        upper = (length + best).add_(reach).clamp_(min=0.0).sqrt_()
        lower = (length + second).sub_(reach).clamp_(min=0.0).sqrt_()
        return upper, lower

    def _seen(self, rows: slice | Tensor, target: Target, *, with_second: bool) -> _Seen:
        if self._search is None or target.aim is None:
            return self._by_two_least(rows, target)
        return self._by_tiles(rows, self._search, target.aim, with_second)

    def _by_tiles(
        self, rows: slice | Tensor, search: TileSearch, aim: Aim, with_second: bool
    ) -> _Seen:
        """By NumPy's passes over the scores of a block, for as many centres as a byte numbers."""
        found, doubtful, start = [], [], 0
        for x, norm in self._blocks(rows):
            with quiet():
                reach = search.reach(norm.numpy(), aim)
                part = search.nearest(x.numpy().T, reach, aim, with_second=with_second)
            found.append(part)
            doubtful.append(part.doubtful + start)
            start += x.shape[0]
        label = torch.from_numpy(np.concatenate([part.label for part in found])).int()
        places = torch.from_numpy(np.concatenate(doubtful))
        if not with_second:
            return _Seen(label, places, None)
        best, second = (
            torch.from_numpy(np.concatenate([getattr(part, name) for part in found]))
            for name in ("best", "second")
        )
        return _Seen(label, places, _Least(best, second, 0.0))

    def _by_two_least(self, rows: slice | Tensor, target: Target) -> _Seen:
        """By the two least scores of each row, of any number of centres, on any device."""
        parts, blur = [], 0.0
        for x, _ in self._blocks(rows):
            *found, blur = two_least(x, target.centred, target.square)
            parts.append(found)
        best, label, second = (torch.cat(part) for part in zip(*parts, strict=True))
        norm, largest = self.points.norm[rows], target.largest
        blurred = (2.0 * blur) * largest * (largest + norm) if blur else 0.0
        least = _Least(best, second, blurred)
        if not self.certified:
            return _Seen(label, label.new_empty(0, dtype=torch.int64), least)
        bound = score_bound(norm, largest, *self._rounding) + blurred
        # Not "is within": a bound that is not a number certifies nothing.
        doubtful = (second - best > 2.0 * bound).logical_not_().nonzero().squeeze(1)
        return _Seen(label, doubtful, least)

    def _blocks(self, rows: slice | Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Samples, centred, and their norms, as many as have their scores in a cache."""
        x, norm = self.points.centred, self.points.norm
        if isinstance(rows, slice):
            for part in slices(rows, self._block_rows):
                yield x[part], norm[part]
            return
        for part in rows.split(self._block_rows):
            yield x.index_select(0, part), norm.index_select(0, part)


def _unequal(one: Tensor, other: Tensor) -> Tensor:
    """Places where two vectors differ; NumPy's search is twice as fast as torch's on a CPU."""
    if one.is_cpu:
        return torch.from_numpy(np.flatnonzero(one.numpy() != other.numpy()))
    return (one != other).nonzero().squeeze(1)
