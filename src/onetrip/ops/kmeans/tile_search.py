"""The nearest of few centres for a tile of rows in the host's memory, by NumPy's passes.

What a search of a thousand rows takes is calls: NumPy begins one in half a microsecond, torch in
two to ten. And it is passes over the scores: marks of a byte take a quarter of the time of marks
in float32. The product is NumPy's where its BLAS has kernels for small matrices, else torch's.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch

from onetrip.tile.certified import UNIT_ROUNDOFF, score_bound

# Columns that a byte numbers. It counts them as well: 256 marks count to none, which is not one.
MOST_CENTERS = 256
# A product of samples by columns takes pieces of so many terms, for which NumPy's BLAS asks no
# other thread, and has kernels that take a half to nine tenths of the time of torch's: measured on
# one core for 4 to 128 centres of 4 to 128 features, where a piece has this many samples.
_PIECE = 1 << 18
_LEAST_COLUMNS = 128
# Samples that lie row by row take as long or longer, but for so few that calls count.
_FEW_PRODUCTS = 1 << 19


class Reach(NamedTuple):
    """How far beyond the least score of a row of norm n another may be less in truth.

    It is ``slope * n + level``: all rounding of `TileSearch` is a line over the norm.

    >>> Reach(2.0, 1.0).of(np.array([0.0, 3.0]))
    array([1., 7.])
    """

    slope: float
    level: float

    def of(self, norm: np.ndarray) -> np.ndarray:
        """The reach of rows of these norms [R]."""
        reach = norm * self.slope
        reach += self.level
        return reach


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
        # A square that is one more term of the product is rounded once as often.
        self._level = 2.0 * (2.0 * float(of_centers) + unit)

    def reach(self, largest: float) -> Reach:
        """The reach for centres of which the largest norm is this."""
        return Reach(self._slope * largest, self._level * largest * largest)


@functools.lru_cache
def rounding_of(unit_roundoff: float, D: int, accumulator: str) -> Rounding:
    """What is computed once for many small searches."""
    return Rounding(unit_roundoff, D, accumulator)


class Aim:
    """Centres to be searched, one set after the other, in the same memory.

    Attributes
    ----------
    factors : array [K, D + 1], ``-2 c`` and ``|c|²``: their product with a sample and a one is a
        score
    largest : float, the largest norm of a centre
    """

    def __init__(
        self, clusters: int, features: int, dtype: np.dtype, *, by_rows: bool = False
    ) -> None:
        # A product with samples that lie row by row is faster with centres that do not.
        order = "F" if by_rows else "C"
        self.factors = np.empty((clusters, features + 1), dtype, order)
        self.largest = 0.0
        self._twice, self._square = self.factors[:, :features], self.factors[:, features]

    def at(self, centred: np.ndarray) -> "Aim":
        """Take centres [K, D]."""
        # A factor of two rounds nothing.
        np.multiply(centred, -2.0, out=self._twice)
        np.vecdot(centred, centred, out=self._square)
        self.largest = math.sqrt(max(self._square.tolist()))
        return self


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

    def __init__(self, clusters: int, rows: int, dtype: np.dtype) -> None:
        self._clusters = clusters
        self._scores = np.empty(clusters * rows, dtype)
        self._within = np.empty(clusters * rows, bool)
        self._columns = np.empty(clusters * rows, np.uint8)
        self._limit = np.empty(rows, dtype)
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
        self.scores = self._scores[:used].reshape(shape)
        self.within = self._within[:used].reshape(shape)
        self.marks = self.within.view(np.uint8)
        self.columns = self._columns[:used].reshape(shape)
        self.limit = self._limit[:rows]
        return True


# Of what is infinite or not a number; the rows concerned are in doubt.
quiet = functools.partial(np.errstate, invalid="ignore", over="ignore")


class TileSearch:
    """What searches for the nearest of `clusters` centres of `features` have in common.

    Its methods are called under `quiet`, which costs as much as one of them.
    """

    def __init__(self, clusters: int, features: int, dtype: torch.dtype) -> None:
        self._shape = clusters, features
        self._piece = _PIECE // (clusters * (features + 1))
        self._rounding = rounding_of(0.0, features, str(dtype).removeprefix("torch."))
        self._numbers = np.arange(clusters, dtype=np.uint8)[:, None]
        self._none = np.empty(0, np.int64), np.empty((clusters, 0), bool)
        self._dtype = torch.empty(0, dtype=dtype).numpy().dtype
        # What no thread is at; used again, it spares calls and the faults of new pages.
        self._spare: list[_Tile] = []
        self._aims: list[Aim] = []

    def aim(self) -> Aim:
        """Memory for the centres to be searched."""
        return Aim(*self._shape, self._dtype)

    def nearest_of_few(self, x: np.ndarray, norm: np.ndarray, centred: np.ndarray) -> Found:
        """`nearest` of samples [R, D] of these norms [R] to centres [K, D], in few calls."""
        aim = self._aims.pop() if self._aims else Aim(*self._shape, self._dtype, by_rows=True)
        aim.at(centred)
        found = self.nearest(x.T, self.reach(norm, aim), aim)
        self._aims.append(aim)
        return found

    def reach(self, norm: np.ndarray, aim: Aim) -> np.ndarray:
        """How far beyond the least score of rows of such norms [R] another may be the less."""
        return self._rounding.reach(aim.largest).of(norm)

    def nearest(
        self, columns: np.ndarray, reach: np.ndarray, aim: Aim, *, with_second: bool = False
    ) -> Found:
        """Column of the least score of each row, and the rows where another may be less in truth.

        It asks which scores are beyond the reach of rounding from the least: all but one, and
        that one is the nearest.

        Parameters
        ----------
        columns : array [D, R], samples; or [D + 1, R], with a row of ones
        reach : array [R], of the samples, at least that of these centres
        aim : at the centres
        with_second : whether the second least score is to be known too

        Examples
        --------
        >>> search = TileSearch(2, 1, torch.float32)
        >>> aim = search.aim().at(np.array([[2.0], [1.0]], "f4"))
        >>> reach = search.reach(np.array([1.0, 1.5], "f4"), aim)
        >>> found = search.nearest(np.array([[1.0, 1.5]], "f4"), reach, aim)
        >>> int(found.label[0]), found.doubtful.tolist()
        (1, [1])
        """
        tile = self._tile(reach.size)
        scores = tile.scores
        self._score(aim.factors, columns, scores)
        best = np.minimum.reduce(scores, 0)
        limit = np.add(best, reach, out=tile.limit)
        np.less_equal(scores, limit, out=tile.within)
        label = np.bitwise_or.reduce(np.multiply(tile.marks, self._numbers, out=tile.columns), 0)
        # What is not a number is within no reach: no mark of it, and so in doubt.
        if np.count_nonzero(tile.within) == tile.rows and not math.isnan(np.maximum.reduce(limit)):
            doubtful, candidates = self._none
        else:
            doubtful = (np.add.reduce(tile.marks, 0, dtype=np.uint8) != 1).nonzero()[0]
            candidates = tile.within.take(doubtful, 1)
        second = self._second(tile, label, doubtful) if with_second else None
        self._spare.append(tile)
        return Found(label, doubtful, candidates, best, second)

    def _score(self, factors: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
        """Scores [K, R] of samples."""
        features, rows = columns.shape
        taken, squares = factors[:, :features], factors[:, features:]
        is_fast = columns.strides[1] == columns.itemsize or taken.size * rows <= _FEW_PRODUCTS
        if self._piece < _LEAST_COLUMNS or not is_fast:
            terms = torch.from_numpy(taken), torch.from_numpy(columns)
            if squares.size:
                torch.addmm(torch.from_numpy(squares), *terms, out=torch.from_numpy(out))
            else:
                torch.mm(*terms, out=torch.from_numpy(out))
            return
        whole = rows - rows % self._piece
        if whole:
            # One call: threads that begin many wait for each other.
            pieces = _pieces(columns[:, :whole], self._piece)
            np.matmul(taken, pieces, out=_pieces(out[:, :whole], self._piece))
        if whole < rows:
            np.matmul(taken, columns[:, whole:], out=out[:, whole:])
        if squares.size:
            out += squares

    def _second(self, tile: _Tile, label: np.ndarray, doubtful: np.ndarray) -> np.ndarray:
        """Least score of each row but for that of its label; the scores are used up."""
        # The numbers of several marks make none of them, and perhaps one that no column has.
        label[doubtful] = 0
        tile.scores[label, np.arange(label.size)] = math.inf
        return np.minimum.reduce(tile.scores, 0)

    def _tile(self, rows: int) -> _Tile:
        """A tile that no other thread has; one that was used spares the faults of new pages."""
        tile = self._spare.pop() if self._spare else None
        if tile is None or not tile.fit(rows):
            tile = _Tile(self._numbers.size, rows, self._dtype)
        return tile


def _pieces(columns: np.ndarray, size: int) -> np.ndarray:
    """Columns [D, R] as pieces [R / size, D, size], where they are."""
    return columns.reshape(columns.shape[0], -1, size).transpose(1, 0, 2)


# Of the last problems, of which mini-batches ask again and again.
search_of = functools.lru_cache(maxsize=4)(TileSearch)
