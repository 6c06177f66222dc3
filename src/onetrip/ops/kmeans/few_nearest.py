"""Labels of all rows by searches of tiles, where few centres leave nothing else to gain."""

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.points import Placed
from onetrip.ops.kmeans.resolve import labels_anew
from onetrip.ops.kmeans.tile_search import search_of
from onetrip.ops.kmeans.workers import Workers, slices

# Scores of a tile: 512 KiB of float32, and half of that of marks, in a core's cache.
TILE_SCORES = 1 << 17
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
        self._search = search_of(clusters, D, points.x.dtype)
        if often and points.x.numel() <= _MOST_COPIED:
            columns = columns.contiguous()
        self._columns, self._norm = columns, points.norm.numpy()
        self._blocks = slices(slice(0, N), max(256, TILE_SCORES // clusters))

    def label(self, centers: Tensor, workers: Workers) -> np.ndarray:
        """Numbers [N], uint8, of the nearest of `centers` [K, D], of the dtype of the samples."""
        search = self._search
        aim = search.aim(centers if self._offset is None else centers - self._offset)
        columns, norm = self._columns, self._norm
        self.looks += norm.size
        if len(self._blocks) == 1:
            found = search.nearest(columns, norm, aim)
            labels, rows = found.label, found.doubtful
        else:
            parts = workers.map(
                lambda block: search.nearest(columns[:, block], norm[block], aim), self._blocks
            )
            labels = np.concatenate([part.label for part in parts])
            places = zip(self._blocks, parts, strict=True)
            rows = np.concatenate([part.doubtful + block.start for block, part in places])
        if rows.size:
            labels[rows] = labels_anew(self._points, centers, torch.from_numpy(rows))
            self.anew += rows.size
        return labels


def labels_of_tile(points: Placed, centers: Tensor) -> np.ndarray:
    """What `FewNearest.label` returns for at most `TILE_SCORES` scores, in fewer calls."""
    search = search_of(*centers.shape, points.x.dtype)
    about = centers if points.centred is points.x else centers - points.offset
    found = search.nearest(points.centred.T, points.norm.numpy(), search.aim(about))
    if found.doubtful.size:
        rows = torch.from_numpy(found.doubtful)
        found.label[found.doubtful] = labels_anew(points, centers, rows)
    return found.label
