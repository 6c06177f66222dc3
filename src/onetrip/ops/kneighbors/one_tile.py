"""A corpus that is one tile: queries are through with it at once, and keep no lists.

The k-th of the least scores of groups has k scores up to it. So whatever may be nearer than the
k-th neighbour has a score up to that and twice the bound. Those few are looked up in their groups,
evaluated exactly and sorted, and no query is left uncertain.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kneighbors.metric import Metric
from onetrip.tile.side_by_side import on_one_thread

# Groups for each neighbour: of fewer, many hold two neighbours and all their members pass.
_GROUPS_PER_NEIGHBOR = 8
# Where more passes than this share (many ties, loose bounds), lists take less memory.
_MOST_PASSING = 0.25


@dataclass(frozen=True, slots=True)
class OneTile:
    """A corpus `y` [N, D], and its rows as products want them, [members * groups, D + 1].

    Row r is in group r % groups: neighbours in memory are often neighbours, and need a group each.
    """

    y: Tensor
    k: int
    metric: Metric
    exclude_self: bool
    ranked: bool
    prepared: Tensor
    norm_max: Tensor
    groups: int

    @classmethod
    def of(
        cls,
        y: Tensor,
        k: int,
        metric: Metric,
        *,
        exclude_self: bool = False,
        ranked: bool = True,
        group: int,
    ) -> "OneTile":
        """Prepare a corpus; groups have up to `group` members.

        Without `ranked` neighbours come in any order, and only queries that have a choice are
        evaluated: for the others, values are zeros.
        """
        members = max(1, min(group, y.shape[0] // (_GROUPS_PER_NEIGHBOR * k)))
        groups = -(-y.shape[0] // members)
        with torch.no_grad(), on_one_thread():
            room = torch.empty(members * groups, y.shape[1] + 1, dtype=metric.work)
            prepared, norm_max = metric.prepare_corpus(y, room)
        return cls(y, k, metric, exclude_self, ranked, prepared, norm_max, groups)

    def nearest(self, x: Tensor, first: int) -> tuple[Tensor, Tensor, int] | None:
        """Exact values and indices [R, k] of the nearest, and how many rows scores left open.

        `first` is the number of the first query. None where too much passes, or where numbers
        are beyond the scores.
        """
        prepared, norms = self.metric.prepare_queries(x)
        tile = prepared.new_empty(self.prepared.shape[0], x.shape[0])
        self.metric.scores(prepared, self.prepared, tile)
        if self.exclude_self:
            tile[first : first + x.shape[0]].diagonal().fill_(torch.inf)
        least = tile.view(-1, self.groups, x.shape[0]).amin(0).T.contiguous().numpy()
        kth = torch.from_numpy(np.partition(least, self.k - 1, axis=1)[:, self.k - 1])
        doubt = 2.0 * self.metric.bound(kth, norms, self.norm_max, x.shape[1])
        limit = (kth + doubt).numpy()
        passing = np.flatnonzero(least <= limit[:, None])
        if len(passing) > _MOST_PASSING * least.size or not np.isfinite(limit).all():
            return None
        rows, columns = self._passing(tile, passing, limit)
        counts = np.bincount(rows, minlength=len(limit))
        if counts.max() > _MOST_PASSING * len(tile):
            return None
        values = self._evaluate(x, rows, columns, counts)
        return _sorted(values, columns, counts, self.k, doubt.numpy())

    def _passing(
        self, tile: Tensor, places: np.ndarray, limit: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Query and corpus row of each score up to `limit` [R], ascending by both.

        `places` are the groups to look into, of [R, groups] laid out in a row.
        """
        C, R = tile.shape
        rows = places // self.groups
        group = places - rows * self.groups
        by_group = tile.view(-1, self.groups * R)  # [members, groups * R]
        found = by_group.index_select(1, torch.from_numpy(group * R + rows)).numpy()
        near = np.flatnonzero(found <= limit[rows])
        member = near // len(places)
        near -= member * len(places)
        pairs = rows[near] * C + member * self.groups + group[near]
        pairs.sort()
        rows = pairs // C
        return rows, pairs - rows * C

    def _evaluate(
        self, x: Tensor, rows: np.ndarray, columns: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        """Exact values of pairs, of which a query has `counts` [R]."""
        values = np.zeros(len(rows))
        wanted = slice(None) if self.ranked else np.flatnonzero((counts > self.k)[rows])
        pairs = torch.from_numpy(rows[wanted]), torch.from_numpy(columns[wanted])
        values[wanted] = self.metric.exact(x, self.y, *pairs)
        return values


def _sorted(
    values: np.ndarray, columns: np.ndarray, counts: np.ndarray, k: int, doubt: np.ndarray
) -> tuple[Tensor, Tensor, int]:
    """The `k` least of each row's `counts` [R] values, ascending, ties by the smallest column.

    Last, how many rows have another value that is within `doubt` [R] of their k-th.
    """
    begins = np.cumsum(counts) - counts
    matrix = np.full((len(counts), counts.max()), np.inf)
    matrix[np.arange(matrix.shape[1]) < counts[:, None]] = values
    order = np.argsort(matrix, axis=1, kind="stable")
    ordered = np.take_along_axis(matrix, order[:, : k + 1], 1)
    open_rows = np.count_nonzero(ordered[:, k:] - ordered[:, k - 1 : k] <= doubt[:, None])
    indices = columns[begins[:, None] + order[:, :k]]
    return torch.from_numpy(ordered[:, :k].copy()), torch.from_numpy(indices), int(open_rows)
