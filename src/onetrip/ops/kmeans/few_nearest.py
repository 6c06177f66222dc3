"""Nearest of few centres for rows in the host's memory, by NumPy's passes over a tile of scores.

What a search of a thousand rows takes is calls: NumPy begins one in half a microsecond, torch in
two to ten. The product is torch's, whose BLAS is the faster for a handful of centres.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.resolve import labels_anew
from onetrip.ops.kmeans.two_nearest import Reach, rounding_of
from onetrip.ops.kmeans.workers import Workers, slices

# Columns that a byte numbers, and counts.
MOST_CENTERS = 255
# Scores of a tile: 512 KiB of float32, and half of that of marks, in a core's cache.
_SCORES = 1 << 17
# Samples of which a copy by columns is made: 8 MiB of float32.
_MOST_COPIED = 1 << 21


class _Aim(NamedTuple):
    """Centres to be searched: ``-2 c`` [K, D], squared norms [K, 1], what rounding reaches."""

    factors: Tensor
    square: Tensor
    reach: Reach


class _Tile(NamedTuple):
    """What one thread writes [K, R]: scores, which of them are within reach, their columns."""

    scores: Tensor
    scores_array: np.ndarray
    within: np.ndarray
    columns: np.ndarray


class _Search:
    """What searches of this many centres of this many features have in common."""

    def __init__(self, clusters: int, features: int, dtype: torch.dtype) -> None:
        self._rounding = rounding_of(0.0, features, str(dtype).removeprefix("torch."))
        self._numbers = np.arange(clusters, dtype=np.uint8)[:, None]
        self._dtype = dtype
        self._spare: list[_Tile] = []

    def aim(self, centred: Tensor) -> _Aim:
        """What `nearest` needs to know of centres [K, D]."""
        values = centred.numpy()
        square = np.einsum("kd,kd->k", values, values)
        reach = self._rounding.reach(math.sqrt(square.max()))
        # A factor of two rounds nothing.
        return _Aim(torch.from_numpy(values * -2.0), torch.from_numpy(square[:, None]), reach)

    def nearest(
        self, columns: Tensor, norm: np.ndarray, aim: _Aim
    ) -> tuple[np.ndarray, np.ndarray]:
        """Column of the least score of each row, and the rows where another may be less in truth.

        It asks which scores are beyond the reach of rounding from the least: all but one, and
        that one is the nearest.

        Parameters
        ----------
        columns : Tensor [D, R], samples
        norm : array [R], of the samples
        aim : of the centres

        Returns
        -------
        label : array [R], uint8, of no meaning in rows that are in doubt
        doubtful : array [M], int64
        """
        tile = self._tile(norm.size)
        # A product that adds as well takes longer, and so does NumPy's addition.
        torch.mm(aim.factors, columns, out=tile.scores).add_(aim.square)
        with np.errstate(invalid="ignore", over="ignore"):
            limit = norm * aim.reach.slope
            limit += aim.reach.level
            limit += np.minimum.reduce(tile.scores_array, 0)
            marks = np.less_equal(tile.scores_array, limit, out=tile.within).view(np.uint8)
        label = np.bitwise_or.reduce(np.multiply(marks, self._numbers, out=tile.columns), 0)
        # What is not a number is within no reach: no mark of it, and so in doubt.
        doubtful = (np.add.reduce(marks, 0, dtype=np.uint8) != 1).nonzero()[0]
        self._spare.append(tile)
        return label, doubtful

    def _tile(self, rows: int) -> _Tile:
        """A tile that no other thread has; one that was used spares the faults of new pages."""
        tile = self._spare.pop() if self._spare else None
        if tile is not None and tile.within.shape[1] == rows:
            return tile
        shape = self._numbers.size, rows
        scores = torch.empty(shape, dtype=self._dtype)
        return _Tile(scores, scores.numpy(), np.empty(shape, bool), np.empty(shape, np.uint8))


# Of the last problems, of which mini-batches ask again and again.
_search_of = functools.lru_cache(maxsize=4)(_Search)


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
        (N, D), columns = points.x.shape, points.centred.T
        self._search = _search_of(clusters, D, points.x.dtype)
        if often and points.x.numel() <= _MOST_COPIED:
            columns = columns.contiguous()
        self._columns, self._norm = columns, points.norm.numpy()
        self._blocks = slices(slice(0, N), max(256, _SCORES // clusters))

    def label(self, centers: Tensor, workers: Workers) -> np.ndarray:
        """Numbers [N], uint8, of the nearest of `centers` [K, D], of the dtype of the samples."""
        search = self._search
        aim = search.aim(centers if self._offset is None else centers - self._offset)
        columns, norm = self._columns, self._norm
        self.looks += norm.size
        if len(self._blocks) == 1:
            labels, rows = search.nearest(columns, norm, aim)
        else:
            found = workers.map(
                lambda block: search.nearest(columns[:, block], norm[block], aim), self._blocks
            )
            labels = np.concatenate([part[0] for part in found])
            places = zip(self._blocks, found, strict=True)
            rows = np.concatenate([part[1] + block.start for block, part in places])
        if rows.size:
            labels[rows] = labels_anew(self._points, centers, torch.from_numpy(rows))
            self.anew += rows.size
        return labels
