"""Labels of all rows by searches of tiles, where few centres leave nothing else to gain."""

import numpy as np
from torch import Tensor

from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.resolve import labels_among
from onetrip.ops.kmeans.tile_search import Found, search_of
from onetrip.ops.kmeans.workers import Workers, slices

# Scores of a tile: 512 KiB of float32, and half of that of marks, in a core's cache.
TILE_SCORES = 1 << 17
# The doubts of a task are settled together; and there are enough tasks for threads to end together.
_TILES_PER_TASK = 8
_TASKS = 8
# Samples of which a copy by columns is made: 8 MiB of float32.
_MOST_COPIED = 1 << 21


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
    >>> import torch
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
        D, columns = points.x.shape[1], points.centred.T
        self._search = search_of(clusters, D, points.x.dtype)
        if often and points.x.numel() <= _MOST_COPIED:
            columns = columns.contiguous()
        self._columns, self._norm = columns, points.norm.numpy()
        self._tile_rows = max(256, TILE_SCORES // clusters)

    def label(self, centers: Tensor, workers: Workers) -> np.ndarray:
        """Numbers [N], uint8, of the nearest of `centers` [K, D], of the dtype of the samples."""
        aim = self._search.aim(centers if self._offset is None else centers - self._offset)
        N = self._norm.size
        self.looks += N
        if N <= self._tile_rows:
            found = self._search.nearest(self._columns, self._norm, aim)
            self.anew += found.doubtful.size
            return _settled(found, self._points, centers)
        labels = np.empty(N, np.uint8)

        def look(task: slice) -> int:
            rows, candidates = [], []
            for tile in slices(task, self._tile_rows):
                found = self._search.nearest(self._columns[:, tile], self._norm[tile], aim)
                labels[tile] = found.label
                if found.doubtful.size:
                    rows.append(found.doubtful + tile.start)
                    candidates.append(found.candidates)
            if not rows:
                return 0
            doubtful = np.concatenate(rows)
            among = np.concatenate(candidates, 1)
            labels[doubtful] = labels_among(self._points, centers, doubtful, among)
            return doubtful.size

        share = N // (1 if workers.threads == 1 else _TASKS)
        tiles = max(1, min(_TILES_PER_TASK, share // self._tile_rows))
        self.anew += sum(workers.map(look, slices(slice(0, N), tiles * self._tile_rows)))
        return labels


def labels_of_tile(points: Placed, centers: Tensor) -> np.ndarray:
    """What `FewNearest.label` returns for at most `TILE_SCORES` scores, in fewer calls."""
    search = search_of(*centers.shape, points.x.dtype)
    about = centers if points.centred is points.x else centers - points.offset
    found = search.nearest(points.centred.T, points.norm.numpy(), search.aim(about))
    return _settled(found, points, centers)


def _settled(found: Found, points: Placed, centers: Tensor) -> np.ndarray:
    """Labels of all rows of one tile, those in doubt too."""
    rows = found.doubtful
    if rows.size:
        found.label[rows] = labels_among(points, centers, rows, found.candidates)
    return found.label
