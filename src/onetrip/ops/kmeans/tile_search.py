"""The nearest of few centres for a tile of rows in the host's memory, by NumPy's passes.

What a search of a thousand rows takes is calls: NumPy begins one in half a microsecond, torch in
two to ten. And it is passes over the scores: marks of a byte take a quarter of the time of marks
in float32. The product is torch's, whose BLAS is the faster for a handful of centres.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from onetrip.tile.certified import UNIT_ROUNDOFF, score_bound

# Columns that a byte numbers. It counts them as well: 256 marks count to none, which is not one.
MOST_CENTERS = 256


class Reach(NamedTuple):
    """How far beyond the least score of a row of norm n another may be less in truth.

    It is ``slope * n + level``: all rounding of `TileSearch` is a line over the norm.
    """

    slope: float
    level: float


class Rounding:
    """What rounding does to scores, from the arguments of `score_bound` after the norms.

    >>> Rounding(0.0, 1, "float32").reach(2.0).level > 2.0 * 4.0 * 2.0**-24
    True
    """

    def __init__(self, unit_roundoff: float, D: int, accumulator: str) -> None:
        none, one = torch.tensor([0.0, 1.0], dtype=torch.float64)
        of_centers = score_bound(none, one, unit_roundoff, D, accumulator)
        of_product = score_bound(one, one, unit_roundoff, D, accumulator) - of_centers
        # A score is at most twice this product and twice that square, and so rounded by one unit
        # when a reach is added to it, and by one more.
        unit = 2.0 * UNIT_ROUNDOFF[accumulator]
        self._slope = 2.0 * (float(of_product) + unit)
        self._level = 2.0 * (float(of_centers) + unit)

    def reach(self, largest: float) -> Reach:
        """The reach for centres of which the largest norm is this."""
        return Reach(self._slope * largest, self._level * largest * largest)


@functools.lru_cache
def rounding_of(unit_roundoff: float, D: int, accumulator: str) -> Rounding:
    """What is computed once for many small searches."""
    return Rounding(unit_roundoff, D, accumulator)


class Aim(NamedTuple):
    """Centres to be searched: ``-2 c`` [K, D], squared norms [K, 1], what rounding reaches."""

    factors: Tensor
    square: Tensor
    reach: Reach


class Found(NamedTuple):
    """What a search found of each row of a tile.

    Attributes
    ----------
    label : array [R], uint8, a column, but of no meaning in rows that are in doubt
    doubtful : array [M], int64, rows where another centre may be nearer in truth
    candidates : array [K, M], bool, the centres that may be nearest to each of these; none of a
        row that is not a number
    best, second : arrays [R], the two least scores; `second` is None where nobody asked for it
    """

    label: np.ndarray
    doubtful: np.ndarray
    candidates: np.ndarray
    best: np.ndarray
    second: np.ndarray | None


class _Tile:
    """What one thread writes [K, R]: scores, which of them are within reach, their columns."""

    def __init__(self, clusters: int, rows: int, dtype: torch.dtype) -> None:
        self._clusters = clusters
        self._scores = torch.empty(clusters * rows, dtype=dtype)
        self._within = np.empty(clusters * rows, bool)
        self._columns = np.empty(clusters * rows, np.uint8)
        self.rows = 0
        self.fit(rows)

    def fit(self, rows: int) -> bool:
        """Be a tile of so many rows; whether there is room for them."""
        if rows == self.rows:
            return True
        used = self._clusters * rows
        if used > self._columns.size:
            return False
        shape = self._clusters, rows
        self.rows = rows
        self.scores = self._scores[:used].view(shape)
        self.scores_array = self.scores.numpy()
        self.within = self._within[:used].reshape(shape)
        self.columns = self._columns[:used].reshape(shape)
        return True


class TileSearch:
    """What searches for the nearest of `clusters` centres of `features` have in common."""

    def __init__(self, clusters: int, features: int, dtype: torch.dtype) -> None:
        self._rounding = rounding_of(0.0, features, str(dtype).removeprefix("torch."))
        self._numbers = np.arange(clusters, dtype=np.uint8)[:, None]
        self._dtype = dtype
        self._spare: list[_Tile] = []

    def aim(self, centred: Tensor) -> Aim:
        """What `nearest` needs to know of centres [K, D]."""
        values = centred.numpy()
        square = np.einsum("kd,kd->k", values, values)
        reach = self._rounding.reach(math.sqrt(square.max()))
        # A factor of two rounds nothing.
        return Aim(torch.from_numpy(values * -2.0), torch.from_numpy(square[:, None]), reach)

    def nearest(
        self, columns: Tensor, norm: np.ndarray, aim: Aim, *, with_second: bool = False
    ) -> Found:
        """Column of the least score of each row, and the rows where another may be less in truth.

        It asks which scores are beyond the reach of rounding from the least: all but one, and
        that one is the nearest.

        Parameters
        ----------
        columns : Tensor [D, R], samples
        norm : array [R], of the samples
        aim : of the centres
        with_second : whether the second least score is to be known too

        Examples
        --------
        >>> search = TileSearch(2, 1, torch.float32)
        >>> aim = search.aim(torch.tensor([[2.0], [1.0]]))
        >>> found = search.nearest(torch.tensor([[1.0, 1.5]]), np.array([1.0, 1.5], "f4"), aim)
        >>> int(found.label[0]), found.doubtful.tolist()
        (1, [1])
        """
        tile = self._tile(norm.size)
        # A product that adds as well takes longer, and so does NumPy's addition.
        torch.mm(aim.factors, columns, out=tile.scores).add_(aim.square)
        best = np.minimum.reduce(tile.scores_array, 0)
        with np.errstate(invalid="ignore", over="ignore"):
            limit = norm * aim.reach.slope
            limit += aim.reach.level
            limit += best
            marks = np.less_equal(tile.scores_array, limit, out=tile.within).view(np.uint8)
        label = np.bitwise_or.reduce(np.multiply(marks, self._numbers, out=tile.columns), 0)
        # What is not a number is within no reach: no mark of it, and so in doubt.
        doubtful = (np.add.reduce(marks, 0, dtype=np.uint8) != 1).nonzero()[0]
        candidates = tile.within.take(doubtful, 1)
        second = self._second(tile, label, doubtful) if with_second else None
        self._spare.append(tile)
        return Found(label, doubtful, candidates, best, second)

    def _second(self, tile: _Tile, label: np.ndarray, doubtful: np.ndarray) -> np.ndarray:
        """Least score of each row but for that of its label; the scores are used up."""
        # The numbers of several marks make none of them, and perhaps one that no column has.
        label[doubtful] = 0
        tile.scores_array[label, np.arange(label.size)] = math.inf
        return np.minimum.reduce(tile.scores_array, 0)

    def _tile(self, rows: int) -> _Tile:
        """A tile that no other thread has; one that was used spares the faults of new pages."""
        tile = self._spare.pop() if self._spare else None
        if tile is None or not tile.fit(rows):
            tile = _Tile(self._numbers.size, rows, self._dtype)
        return tile


# Of the last problems, of which mini-batches ask again and again.
search_of = functools.lru_cache(maxsize=4)(TileSearch)
