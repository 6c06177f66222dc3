"""Lloyd's iterations of few clusters on a CPU: every row at every iteration, in few calls.

The same iterations as `lloyd.py`, whose bounds and whose calls of torch cost more here than the
products. The sums are as exact, so that the centres are the same bits.
"""

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.few_nearest import FewNearest
from onetrip.ops.kmeans.lloyd import Solution, averages, inertia_of
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.workers import Workers, slices

# Terms of one pass over changed rows: 256 KiB of float64, which stay in a core's cache.
_TERMS = 1 << 15
# Terms of all rows that are kept, 2 MiB: rows that change their labels are asked for again.
_MOST_KEPT = 1 << 18


def lloyd_of_few(
    points: Points, centers: Tensor, workers: Workers, *, max_iter: int, tol: float
) -> Solution:
    """Iterate from `centers` [K, D] as `lloyd` does, for at most 255 centres on a CPU."""
    search = FewNearest(points, centers.shape[0], often=max_iter > 1)
    sums = _Sums(points, centers.shape[0], often=max_iter > 1)
    labels, n_iter, settled = None, 0, False
    while n_iter < max_iter:
        found = search.label(centers, workers)
        n_iter += 1
        settled = not sums.move(labels, found)
        labels = found
        if settled:
            break
        after = sums.averages(centers, labels)
        step = after.numpy().astype(np.float64) - centers.numpy()
        centers = after
        if float(np.vdot(step, step)) <= tol * points.variance:
            break
    if labels is None or not settled:
        labels = search.label(centers, workers)
    found = torch.from_numpy(labels.astype(np.int32))
    inertia = inertia_of(points, centers, found, workers)
    return Solution(centers, found, inertia, n_iter, search.anew / search.looks)


class _Sums:
    """Weighted sum and weight of each cluster, kept while rows change their labels."""

    def __init__(self, points: Points, clusters: int, *, often: bool) -> None:
        self._points = points
        self._x = points.x.numpy()
        N, D = self._x.shape
        width = D * len(points.magics)
        self._sums = np.zeros((clusters, width))
        self._weight = np.zeros(clusters)
        self._row_weight = np.ones(N) if points.weight is None else points.weight.numpy()
        self._eye = np.eye(clusters)
        self._table = None
        if often and N * width <= _MOST_KEPT:
            self._table = self._terms_of(slice(0, N))
        # Signs [rows, K] are as wide as there are clusters.
        held = _TERMS if self._table is None else _MOST_KEPT
        self._step = max(256, held // max(width, clusters))

    def move(self, before: np.ndarray | None, after: np.ndarray) -> bool:
        """Take rows whose label changed from one sum to another; whether there were any."""
        if before is None:
            self._add(slice(0, after.size), after, None)
            return True
        rows = (before != after).nonzero()[0]
        if rows.size:
            self._add(rows, after.take(rows), before.take(rows))
        return rows.size > 0

    def _add(self, rows: slice | np.ndarray, new: np.ndarray, old: np.ndarray | None) -> None:
        """Add `rows` to the clusters `new`, and take them from the clusters `old`."""
        for part in slices(slice(0, new.size), self._step):
            chosen = part if isinstance(rows, slice) else rows[part]
            sign = self._eye.take(new[part], 0)
            if old is not None:
                sign -= self._eye.take(old[part], 0)
            self._weight += self._row_weight[chosen] @ sign
            terms = torch.from_numpy(self._terms_of(chosen))
            torch.from_numpy(self._sums).addmm_(torch.from_numpy(sign).T, terms)

    def _terms_of(self, rows: slice | np.ndarray) -> np.ndarray:
        """What `Points.terms` returns for rows, in fewer calls."""
        source = self._x if self._table is None else self._table
        chosen = source[rows] if isinstance(rows, slice) else source.take(rows, 0)
        if self._table is not None:
            return chosen
        rest, parts = chosen.astype(np.float64), []
        if self._points.weight is not None:
            rest *= self._row_weight[rows][:, None]
        for magic in self._points.magics[:-1]:
            parts.append((rest + magic) - magic)
            rest -= parts[-1]
        rest += self._points.magics[-1]
        rest -= self._points.magics[-1]
        return np.hstack((*parts, rest)) if parts else rest

    def averages(self, centers: Tensor, labels: np.ndarray) -> Tensor:
        """Centres [K, D] of the clusters; an empty one takes the row farthest from its own."""
        if self._weight.min() == 0.0:
            found = torch.from_numpy(labels.astype(np.int32))
            sums = torch.from_numpy(self._sums.copy()), torch.from_numpy(self._weight.copy())
            return averages(self._points, *sums, centers, found, False)
        total = self._sums
        if len(self._points.magics) > 1:
            total = self._points.joined(torch.from_numpy(total)).numpy()
        return torch.from_numpy((total / self._weight[:, None]).astype(self._x.dtype))
