"""Labels of all rows by searches of tiles, where few centres leave nothing else to gain."""

import numpy as np
import torch

from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.resolve import labels_among
from onetrip.ops.kmeans.tile_search import Aim, Found, quiet, search_of
from onetrip.ops.kmeans.workers import Workers, slices

# Scores of a tile: 512 KiB of float32, and half of that of marks, in a core's cache.
TILE_SCORES = 1 << 17
# The doubts of a task are settled together; and there are enough tasks for threads to end together.
_TILES_PER_TASK = 8
_TASKS = 8
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
    >>> search.label(np.array([[3.0], [0.0]], "f4"), Workers(1, None))
    array([1, 1, 0], dtype=uint8)
    """

    def __init__(self, points: Placed, clusters: int, columns: np.ndarray | None = None) -> None:
        self.looks = self.anew = 0
        self._points = points
        self._offset = None if points.centred is points.x else points.offset.numpy()
        self._search = search_of(clusters, points.x.shape[1], points.x.dtype)
        self._columns = points.centred.numpy().T if columns is None else columns
        self._norm = points.norm.numpy()
        self._tile_rows = max(256, TILE_SCORES // clusters)
        self._aim, self._reach, self._reaches_to = self._search.aim(), self._norm, 0.0

    def label(self, centers: np.ndarray, workers: Workers) -> np.ndarray:
        """Numbers [N], uint8, of the nearest of `centers` [K, D], of the dtype of the samples.

        Called under `quiet`.
        """
        aim = self._aim.at(centers if self._offset is None else centers - self._offset)
        N = self._norm.size
        self.looks += N
        if N <= self._tile_rows:
            found = self._search.nearest(self._columns, self._reach_for(aim), aim)
            self.anew += found.doubtful.size
            return _settled(found, self._points, centers)
        labels = np.empty(N, np.uint8)

        def look(task: slice) -> int:
            rows, candidates = [], []
            with quiet():
                for tile in slices(task, self._tile_rows):
                    reach = self._search.reach(self._norm[tile], aim)
                    found = self._search.nearest(self._columns[:, tile], reach, aim)
                    labels[tile] = found.label
                    if found.doubtful.size:
                        rows.append(found.doubtful + tile.start)
                        candidates.append(found.candidates)
            if not rows:
                return 0
            doubtful = np.concatenate(rows)
            among = np.concatenate(candidates, 1)
            labels[doubtful] = labels_among(
                self._points, torch.from_numpy(centers), doubtful, among
            )
            return doubtful.size

        share = N // (1 if workers.threads == 1 else _TASKS)
        tiles = max(1, min(_TILES_PER_TASK, share // self._tile_rows))
        self.anew += sum(workers.map(look, slices(slice(0, N), tiles * self._tile_rows)))
        return labels

    def _reach_for(self, aim: Aim) -> np.ndarray:
        """The reach of all rows: the last one as long as it is enough and not much too far."""
        if not aim.largest <= self._reaches_to <= _MOST_TOO_FAR * aim.largest:
            self._reach, self._reaches_to = self._search.reach(self._norm, aim), aim.largest
        return self._reach


def labels_of_tile(points: Placed, centers: np.ndarray) -> np.ndarray:
    """What `FewNearest.label` returns for at most `TILE_SCORES` scores, in fewer calls."""
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
