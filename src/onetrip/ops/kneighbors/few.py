"""A handful of queries against a small corpus: every value exactly, and no tile.

What a tile's bookkeeping takes, thirty calls, is more than the differences of a thousand rows.
"""

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kneighbors.metric import Metric
from onetrip.tile.side_by_side import on_one_thread


@torch.no_grad()
def nearest_of_few(
    x: Tensor, y: Tensor, k: int, metric: Metric, *, exclude_self: bool
) -> tuple[Tensor, Tensor]:
    """Exact values and indices [Q, k] of the nearest, ascending, ties by the smallest index."""
    queries, wide = x.double(), y.double()
    values, indices = np.empty((len(x), k)), np.empty((len(x), k), np.int64)
    with on_one_thread():
        for number in range(len(x)):
            found = metric.exact_of_all(queries[number], wide).numpy()  # [N]
            if exclude_self:
                found[number] = np.inf
            nearest = _places_of_least(found, k)
            values[number], indices[number] = found[nearest], nearest
    return torch.from_numpy(values), torch.from_numpy(indices)


def _places_of_least(values: np.ndarray, k: int) -> np.ndarray:
    """Places of the `k` least of `values` [N], ascending, ties by the smallest place.

    >>> _places_of_least(np.array([2.0, 1.0, 3.0, 1.0, 2.0]), 3)
    array([1, 3, 0])
    """
    # Written so that a NaN passes, and is sorted behind everything.
    near = np.flatnonzero(~(values > np.partition(values, k - 1)[k - 1]))
    return near[np.argsort(values[near], kind="stable")[:k]]
