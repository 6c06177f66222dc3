"""The implementation in plain torch: blocks of rows that fit a cache, and rows that are left out.

A block's scores [R, K] live in one core's cache: the product, the two least scores of each row,
the certificate. Rows whose nearest centre cannot have changed since they were last looked at are
not looked at (`movement.py`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.kmeans.movement import Movement
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.resolve import nearest_anew
from onetrip.ops.kmeans.two_nearest import two_least
from onetrip.ops.kmeans.workers import Spread
from onetrip.tile.certified import UNIT_ROUNDOFF, distance_bound, score_bound

# With fewer centres the product of a row costs no more than the distance that might spare it.
_TIGHTEN_FROM = 32
_BLOCKS_PER_TASK = 8


class _Target(NamedTuple):
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
        self._block_rows = max(config["least_rows"], min(N, config["scores"] // clusters))
        self._tightens = clusters >= _TIGHTEN_FROM
        self._first = True
        self._upper = torch.empty(N, dtype=torch.float64, device=device)
        self._lower = torch.empty(N, dtype=torch.float64, device=device)
        dtype = str(points.x.dtype).removeprefix("torch.")
        self._rounding = (0.0, points.x.shape[1], dtype)  # operands are as the product takes them

    def assign(self, centers: Tensor, movement: Movement, spread: Spread) -> tuple[Tensor, Tensor]:
        """Assign every row to its nearest of `centers` [K, D].

        Returns
        -------
        rows : Tensor [M], int64, whose label changed
        before : Tensor [M], int32, their labels until now, -1 at the first call
        """
        centred = centers - self.points.offset
        square = centred.square().sum(1)
        target = _Target(centers, centred, square, square.max().sqrt())
        N = self.labels.shape[0]
        step = self._block_rows * _BLOCKS_PER_TASK
        tasks = [slice(start, min(start + step, N)) for start in range(0, N, step)]
        done = spread(lambda task: self._task(task, target, movement), tasks)
        self._first = False
        self.looks += sum(part.looks for part in done)
        self.anew += sum(part.anew for part in done)
        return torch.cat([part.rows for part in done]), torch.cat([part.before for part in done])

    def _task(self, task: slice, target: _Target, movement: Movement) -> _Done:
        rows = self._doubtful(task, target, movement)
        before = self.labels[rows].clone()
        parts = (
            _slices(task, self._block_rows)
            if isinstance(rows, slice)
            else rows.split(self._block_rows)
        )
        anew = sum(self._block(part, target, movement) for part in parts)
        changed = (before != self.labels[rows]).nonzero().squeeze(1)
        changed_rows = changed + task.start if isinstance(rows, slice) else rows[changed]
        return _Done(changed_rows, before[changed], before.shape[0], anew)

    def _doubtful(self, task: slice, target: _Target, movement: Movement) -> slice | Tensor:
        """Rows of a task whose nearest centre may have changed."""
        if self._first:
            return task
        label = self.labels[task]
        path = movement.path.index_select(0, label)
        lower = self._lower[task] - movement.longest
        doubtful = (self._upper[task] + path >= lower).nonzero().squeeze(1)
        if not self._tightens or not doubtful.numel():
            return doubtful + task.start
        kept = [
            part[self._own_distance(part + task.start, label[part], path[part], target) >= lower[part]]
            for part in doubtful.split(self._block_rows)
        ]
        return torch.cat(kept) + task.start

    def _own_distance(
        self, rows: Tensor, label: Tensor, path: Tensor, target: _Target
    ) -> Tensor:
        """Distances of rows to their own centres, from above, in float64; kept as new bounds."""
        difference = target.centred.index_select(0, label)
        difference -= self.points.centred.index_select(0, rows)
        _, D, dtype = self._rounding
        unit = UNIT_ROUNDOFF[dtype]
        lengths = self.points.norm.index_select(0, rows).double() + target.largest
        distance = torch.linalg.vector_norm(difference, dim=1).double()
        distance.mul_(1.0 + (D + 4) * unit).add_(lengths, alpha=2.0 * unit)
        self._upper[rows] = distance - path
        return distance

    def _block(self, rows: slice | Tensor, target: _Target, movement: Movement) -> int:
        """Label a block of rows and store its bounds; how many rows were evaluated anew."""
        x, norm = self.points.centred[rows], self.points.norm[rows]
        best, label, second, blur = two_least(x, target.centred, target.square)
        largest = target.largest
        blurred = blur * largest * (largest + 2.0 * norm)
        reach = distance_bound(norm, largest, *self._rounding).add_(blurred).double()
        length = norm.double().square_()
        upper = (length + best).add_(reach).clamp_(min=0.0).sqrt_()
        lower = (length + second).sub_(reach).clamp_(min=0.0).sqrt_()
        anew = 0
        if self.certified:
            bound = score_bound(norm, largest, *self._rounding).add_(blurred)
            # Not "less than": a bound that is NaN or infinite certifies nothing.
            doubtful = (~(second - best > 2.0 * bound)).nonzero().squeeze(1)
            anew = doubtful.shape[0]
            if anew:
                absolute = doubtful + rows.start if isinstance(rows, slice) else rows[doubtful]
                found = nearest_anew(self.points, target.centers, absolute)
                label[doubtful] = found.label.to(label.dtype)
                upper[doubtful], lower[doubtful] = found.upper, found.lower
        label = label.int()
        self.labels[rows] = label
        self._upper[rows] = upper.sub_(movement.path.index_select(0, label))
        self._lower[rows] = lower.add_(movement.longest)
        return anew


def _slices(task: slice, step: int) -> list[slice]:
    starts = range(task.start, task.stop, step)
    return [slice(start, min(start + step, task.stop)) for start in starts]
