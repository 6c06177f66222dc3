"""Lloyd's iterations of few clusters on a CPU: every row at every iteration, in few calls.

The same iterations as `lloyd.py`, whose bounds and whose calls of torch cost more here than the
products. The sums are as exact, so that the centres are the same bits.
"""

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.few_nearest import FewNearest
from onetrip.ops.kmeans.few_points import by_columns
from onetrip.ops.kmeans.lloyd import Solution, averages, inertia_of
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.tile_search import quiet
from onetrip.ops.kmeans.workers import Workers, slices
from onetrip.tile.side_by_side import total_square

# Terms of one pass over rows: 256 KiB of float64, which stay in a core's cache.
_TERMS = 1 << 15
# Products of one pass, for which NumPy's BLAS asks no other thread: 55 µs for 1,797 x 64 x 10 where
# torch's takes 168. With fewer rows than that in a pass, torch's.
_PRODUCTS = 1 << 18
_LEAST_ROWS = 64
# Samples of which a copy by columns is made: 8 MiB of float32.
_MOST_COPIED = 1 << 21


def lloyd_of_few(
    points: Points, centers: Tensor, workers: Workers, *, max_iter: int, tol: float
) -> Solution:
    """Iterate from `centers` [K, D] as `lloyd` does, for at most 255 centres on a CPU."""
    columns = points.columns
    if columns is None and max_iter > 1 and points.x.numel() <= _MOST_COPIED:
        columns = by_columns(points.centred.numpy(), workers)
    search = FewNearest(points, centers.shape[0], columns)
    sums = _Sums(points, centers.shape[0])
    means, least = centers.numpy(), tol * points.variance
    labels, n_iter, settled = None, 0, False
    with quiet():
        while n_iter < max_iter:
            found = search.label(means, workers)
            n_iter += 1
            settled = not sums.move(labels, found)
            labels = found
            if settled:
                break
            before, means = means, sums.averages(means, labels)
            step = means.astype(np.float64)
            step -= before
            if total_square(step) <= least:
                break
        if labels is None or not settled:
            labels = search.label(means, workers)
    centers, found = torch.from_numpy(means), torch.from_numpy(labels.astype(np.int32))
    inertia = inertia_of(points, centers, found, workers)
    return Solution(centers, found, inertia, n_iter, search.anew / search.looks)


class _Sums:
    """Weighted sum and weight of each cluster, kept while rows change their labels."""

    def __init__(self, points: Points, clusters: int) -> None:
        self._points = points
        self._x = points.x.numpy()
        N, D = self._x.shape
        width = D * len(points.magics)
        self._sums = np.zeros((clusters, width))
        self._weight = np.zeros((clusters, 1))
        self._row_weight = np.ones(N) if points.weight is None else points.weight.numpy()
        self._eye = np.eye(clusters)
        # Signs [rows, K] are as wide as there are clusters.
        self._step = max(256, _TERMS // max(width, clusters))
        few = _PRODUCTS // (clusters * width)
        self._is_small = few >= _LEAST_ROWS
        if self._is_small:
            self._step = min(self._step, few)

    def move(self, before: np.ndarray | None, after: np.ndarray) -> bool:
        """Take rows whose label changed from one sum to another; whether there were any."""
        if before is None:
            for part in slices(slice(0, after.size), self._step):
                self._add(part, self._eye.take(after[part], 0))
            return True
        rows = (before != after).nonzero()[0]
        for start in range(0, rows.size, self._step):
            part = rows[start : start + self._step]
            sign = self._eye.take(after.take(part), 0)
            sign -= self._eye.take(before.take(part), 0)
            self._add(part, sign)
        return rows.size > 0

    def _add(self, rows: slice | np.ndarray, sign: np.ndarray) -> None:
        """Add `rows` by their `sign` [rows, K], 1, 0 or -1, to each cluster."""
        self._weight[:, 0] += self._row_weight[rows].dot(sign)
        terms = self._terms_of(rows)
        if self._is_small:
            self._sums += sign.T.dot(terms)
        else:
            torch.from_numpy(self._sums).addmm_(torch.from_numpy(sign).T, torch.from_numpy(terms))

    def _terms_of(self, rows: slice | np.ndarray) -> np.ndarray:
        """What `Points.terms` returns for rows, in fewer calls."""
        chosen = self._x[rows] if isinstance(rows, slice) else self._x.take(rows, 0)
        rest, parts = chosen.astype(np.float64), []
        if self._points.weight is not None:
            rest *= self._row_weight[rows][:, None]
        for magic in self._points.magics[:-1]:
            parts.append((rest + magic) - magic)
            rest -= parts[-1]
        rest += self._points.magics[-1]
        rest -= self._points.magics[-1]
        return np.hstack((*parts, rest)) if parts else rest

    def averages(self, means: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Centres [K, D] of the clusters; an empty one takes the row farthest from its own."""
        if [0.0] in self._weight.tolist():
            found = torch.from_numpy(labels.astype(np.int32))
            sums = torch.from_numpy(self._sums.copy()), torch.from_numpy(self._weight[:, 0].copy())
            return averages(self._points, *sums, torch.from_numpy(means), found, False).numpy()
        total = self._sums
        if len(self._points.magics) > 1:
            total = self._points.joined(torch.from_numpy(total)).numpy()
        return (total / self._weight).astype(self._x.dtype)
