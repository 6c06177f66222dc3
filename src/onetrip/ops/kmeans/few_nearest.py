"""Labels of all rows by searches of tiles on a CPU, for as many centres as a byte numbers."""

import math

import numpy as np
import torch

from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.resolve import labels_among
from onetrip.ops.kmeans.tile_search import Aim, Found, quiet, search_of
from onetrip.ops.kmeans.workers import Workers, slices

# Scores of a tile: 1 MiB of float32. Half of it would stay in a core's cache with its marks, but
# in calls that short threads wait for each other: 2.4 ms where this takes 1.6, at 100,000 x 16 x 8.
_TILE_SCORES = 1 << 18
# Up to here one tile, by the thread that asks.
ONE_TILE_SCORES = 1 << 17
# Doubts of a tile that are work for its thread; of fewer, those of all tiles are settled together.
_MANY_DOUBTS = 1024
# A reach that serves centres of less norm too: more of it is more rows in doubt.
_MOST_TOO_FAR = 1.2


class FewNearest:
    """A search of samples for the nearest of at most `MOST_CENTERS` centres, certified.

    Parameters
    ----------
    points : Placed, on the CPU
    clusters : int
    columns : array [D + 1, N], optional
        What `by_columns` makes of the samples, which halves a product's time.

    Attributes
    ----------
    looks, anew : rows that were looked at, and evaluated anew, in all searches

    Examples
    --------
    >>> import torch
    >>> from onetrip.ops.kmeans.points import place
    >>> x = torch.tensor([[0.0], [1.0], [4.0]])
    >>> search = FewNearest(place(x, None, torch.zeros(1)), 2)
    >>> search.label(np.array([[3.0], [0.0]], "f4"), Workers(1))
    array([1, 1, 0], dtype=uint8)
    """

    def __init__(self, points: Placed, clusters: int, columns: np.ndarray | None = None) -> None:
        self.looks = self.anew = 0
        self._points = points
        self._offset = None if points.centred is points.x else points.offset.numpy()
        self._search = search_of(clusters, points.x.shape[1], points.x.dtype)
        self._columns = points.centred.numpy().T if columns is None else columns
        self._norm = points.norm.numpy()
        self._tile_rows = max(256, _TILE_SCORES // clusters)
        self._aim, self._reach, self._reaches_to = self._search.aim(), self._norm, 0.0

    def label(self, centers: np.ndarray, workers: Workers) -> np.ndarray:
        """Numbers [N], uint8, of the nearest of `centers` [K, D], of the dtype of the samples.

        Called under `quiet`.
        """
        aim = self._aim.at(centers if self._offset is None else centers - self._offset)
        N, reach = self._norm.size, self._reach_for(aim)
        self.looks += N
        if N * len(centers) <= ONE_TILE_SCORES:
            found = self._search.nearest(self._columns, reach, aim)
            self.anew += found.doubtful.size
            return _settled(found, self._points, centers)
        labels = np.empty(N, np.uint8)

        def settle(rows: np.ndarray, candidates: np.ndarray) -> None:
            nearest = labels_among(self._points, torch.from_numpy(centers), rows, candidates)
            labels[rows] = nearest

        def look(tile: slice) -> tuple[int, np.ndarray, np.ndarray]:
            with quiet():
                found = self._search.nearest(self._columns[:, tile], reach[tile], aim)
            labels[tile] = found.label
            rows = found.doubtful + tile.start
            if rows.size <= _MANY_DOUBTS:
                return rows.size, rows, found.candidates
            settle(rows, found.candidates)
            return rows.size, rows[:0], found.candidates[:, :0]

        # As many for each thread, of the same size: they meet at the end only.
        tiles = workers.threads * math.ceil(N / (workers.threads * self._tile_rows))
        done = workers.map(look, slices(slice(0, N), math.ceil(N / tiles)))
        # Together, by one thread: calls this small take longer where threads wait for each other.
        doubts, rows, candidates = zip(*done, strict=True)
        self.anew += sum(doubts)
        if any(part.size for part in rows):
            settle(np.concatenate(rows), np.concatenate(candidates, 1))
        return labels

    def _reach_for(self, aim: Aim) -> np.ndarray:
        """The reach of all rows: the last one as long as it is enough and not much too far."""
        if not aim.largest <= self._reaches_to <= _MOST_TOO_FAR * aim.largest:
            self._reach, self._reaches_to = self._search.reach(self._norm, aim), aim.largest
        return self._reach


def labels_of_tile(points: Placed, centers: np.ndarray) -> np.ndarray:
    """What `FewNearest.label` returns for at most `ONE_TILE_SCORES`, in fewer calls."""
    search = search_of(*centers.shape, points.x.dtype)
    offset = None if points.centred is points.x else points.offset.numpy()
    with quiet():
        about = centers if offset is None else centers - offset
        found = search.nearest_of_few(points.centred.numpy(), points.norm.numpy(), about)
    return _settled(found, points, centers)


def _settled(found: Found, points: Placed, centers: np.ndarray) -> np.ndarray:
    """Labels of all rows of one tile, those in doubt too."""
    rows = found.doubtful
    if rows.size:
        among = found.candidates
        found.label[rows] = labels_among(points, torch.from_numpy(centers), rows, among)
    return found.label
