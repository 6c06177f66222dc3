"""Nearest of few centres for rows in the host's memory, by NumPy's passes over a tile of scores.

What a search of a thousand rows takes is calls: NumPy begins one in half a microsecond, torch in
two to ten. The product is torch's, whose BLAS is the faster for a handful of centres.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.resolve import nearest_anew
from onetrip.ops.kmeans.two_nearest import Reach, rounding_of
from onetrip.ops.kmeans.workers import Workers, slices

# Columns that a byte numbers, and counts.
MOST_CENTERS = 255
# Scores of a tile: 512 KiB of float32, and half of that of marks, in a core's cache.
_SCORES = 1 << 17
# Samples of which a copy by columns is made: 8 MiB of float32.
_MOST_COPIED = 1 << 21


class _Block(NamedTuple):
    """Consecutive rows from `begin`: columns [D, R] of the product, norms [R]."""

    begin: int
    columns: Tensor
    norm: np.ndarray


class _Aim(NamedTuple):
    """Centres to be searched: ``-2 c`` [K, D], squared norms [K, 1], what rounding reaches."""

    factors: Tensor
    square: np.ndarray
    reach: Reach


class _Tile(NamedTuple):
    """What one thread writes [K, R]: scores, which of them are within reach, their columns."""

    scores: Tensor
    scores_array: np.ndarray
    within: np.ndarray
    columns: np.ndarray


class FewNearest:
    """A search of samples for the nearest of at most `MOST_CENTERS` centres, certified.

    Parameters
    ----------
    points : Placed, on the CPU
    clusters : int
    often : bool, default False
        Whether a copy of the samples by columns is worth its price: it halves a product's time.

    Attributes
    ----------
    looks, anew : rows that were looked at, and evaluated anew, in all searches

    Examples
    --------
    >>> from onetrip.ops.kmeans.points import place
    >>> x = torch.tensor([[0.0], [1.0], [4.0]])
    >>> search = FewNearest(place(x, None, torch.zeros(1)), 2)
    >>> search.label(torch.tensor([[3.0], [0.0]]), Workers(1, None))
    array([1, 1, 0], dtype=uint8)
    """

    def __init__(self, points: Placed, clusters: int, *, often: bool = False) -> None:
        self.looks = self.anew = 0
        self._points = points
        self._offset = None if points.centred is points.x else points.offset
        (N, D), dtype = points.x.shape, str(points.x.dtype).removeprefix("torch.")
        self._rounding = rounding_of(0.0, D, dtype)
        self._numbers = np.arange(clusters, dtype=np.uint8)[:, None]
        self._spare: dict[int, list[_Tile]] = {}
        columns, norm = points.centred.T, points.norm.numpy()
        if often and points.x.numel() <= _MOST_COPIED:
            columns = columns.contiguous()
        rows = max(256, _SCORES // clusters)
        self._blocks = [
            _Block(part.start, columns[:, part], norm[part]) for part in slices(slice(0, N), rows)
        ]

    def label(self, centers: Tensor, workers: Workers) -> np.ndarray:
        """Numbers [N], uint8, of the nearest of `centers` [K, D], of the dtype of the samples."""
        aim = self._aim(centers)
        found = workers.map(lambda block: self._nearest(block, aim), self._blocks)
        labels = found[0][0] if len(found) == 1 else np.concatenate([part[0] for part in found])
        self.looks += labels.size
        doubtful = [part[1] for part in found if part[1].size]
        if doubtful:
            rows = np.concatenate(doubtful)
            labels[rows] = nearest_anew(self._points, centers, torch.from_numpy(rows)).label
            self.anew += rows.size
        return labels

    def _aim(self, centers: Tensor) -> _Aim:
        centred = (centers if self._offset is None else centers - self._offset).numpy()
        square = np.einsum("kd,kd->k", centred, centred)
        reach = self._rounding.reach(math.sqrt(square.max()))
        # A factor of two rounds nothing.
        return _Aim(torch.from_numpy(centred * -2.0), square[:, None], reach)

    def _nearest(self, block: _Block, aim: _Aim) -> tuple[np.ndarray, np.ndarray]:
        """Column of the least score of each row, and the rows where another may be less in truth.

        It asks which scores are beyond the reach of rounding from the least: all but one, and
        that one is the nearest.

        Returns
        -------
        label : array [R], uint8, of no meaning in rows that are in doubt
        doubtful : array [M], int64, rows of the samples
        """
        rows = block.norm.size
        spare = self._spare.setdefault(rows, [])
        tile = spare.pop() if spare else self._new_tile(rows)
        torch.mm(aim.factors, block.columns, out=tile.scores)
        scores = tile.scores_array
        with np.errstate(invalid="ignore", over="ignore"):
            scores += aim.square
            threshold = block.norm * aim.reach.slope
            threshold += aim.reach.level
            threshold += np.minimum.reduce(scores, 0)
            marks = np.less_equal(scores, threshold, out=tile.within).view(np.uint8)
        label = np.bitwise_or.reduce(np.multiply(marks, self._numbers, out=tile.columns), 0)
        # What is not a number is within no reach: no mark of it, and so in doubt.
        doubtful = (np.add.reduce(marks, 0, dtype=np.uint8) != 1).nonzero()[0]
        spare.append(tile)
        return label, doubtful + block.begin

    def _new_tile(self, rows: int) -> _Tile:
        shape = self._numbers.size, rows
        scores = torch.empty(shape, dtype=self._points.x.dtype)
        return _Tile(scores, scores.numpy(), np.empty(shape, bool), np.empty(shape, np.uint8))
