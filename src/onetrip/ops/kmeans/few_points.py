"""Few samples on a CPU made ready by NumPy: the calls of torch would take longer than the work."""

import math

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.points import Points, grids
from onetrip.ops.kmeans.workers import ALONE, Workers, slices
from onetrip.tile.side_by_side import total_square

# Share of the mean square that belongs to the mean, above the half where an offset pays.
_FAR = 0.501


def prepare_few(
    x: Tensor, weight: Tensor | None, total_weight: float | None, *, with_columns: bool = False
) -> Points:
    """`prepare` for contiguous samples [N, D] of one process; `weight` is on its grid.

    >>> points = prepare_few(torch.tensor([[8.0], [10.0]]), None, None)
    >>> points.offset.item(), points.norm.tolist(), points.variance
    (9.0, [1.0, 1.0], 1.0)
    """
    rows, features = x.shape
    values = x.numpy()
    # By a product, which takes vector instructions along short rows.
    mean = (np.ones(rows, values.dtype) @ values).astype(np.float64) / rows
    offset, centred, away = np.zeros(features, values.dtype), values, float(mean @ mean)
    columns = by_columns(values) if with_columns else None
    # Beyond doubt far from the origin, by a sum that one rounding or another changes little.
    square = None
    if away <= _FAR * total_square(values) / rows:
        square = _squares(values)
        variance = float(square.sum(dtype=np.float64)) / rows - away
    if square is None or away > variance:
        offset = mean.astype(values.dtype)
        if columns is None:
            centred = values - offset
        else:
            columns[:features] -= offset[:, None]
            centred = columns[:features].T
        square = _squares(centred)
        variance = float(square.sum(dtype=np.float64)) / rows
    norm = np.sqrt(square)
    longest = float(norm.max()) + float(np.abs(offset).max())
    heaviest = 1.0 if weight is None else max(1.0, float(weight.max()))
    return Points(
        x=x,
        centred=x if centred is values else torch.from_numpy(centred),
        offset=torch.from_numpy(offset),
        norm=torch.from_numpy(norm),
        weight=weight,
        total_weight=float(rows) if total_weight is None else total_weight,
        variance=variance / features,
        magics=grids(longest * heaviest, rows, x.dtype),
        group=None,
        columns=columns,
    )


def by_columns(x: np.ndarray, workers: Workers = ALONE) -> np.ndarray:
    """Samples [N, D] one column after the other, and a column of ones: [D + 1, N].

    >>> by_columns(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[1.0, 3.0], [2.0, 4.0], [1.0, 1.0]]
    """
    rows, features = x.shape
    columns = np.empty((features + 1, rows), x.dtype)

    def copy(part: slice) -> None:
        columns[:features, part] = x[part].T
        columns[features, part] = 1.0

    workers.map(copy, slices(slice(0, rows), math.ceil(rows / workers.threads)))
    return columns


def _squares(x: np.ndarray) -> np.ndarray:
    """Squared length of each row, in one trip."""
    return np.einsum("nd,nd->n", x, x)
