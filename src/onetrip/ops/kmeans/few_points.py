"""Few samples on a CPU made ready by NumPy: the calls of torch would take longer than the work."""

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.points import Points, grids


def prepare_few(x: Tensor, weight: Tensor | None, total_weight: float | None) -> Points:
    """`prepare` for contiguous samples [N, D] of one process; `weight` is on its grid.

    >>> points = prepare_few(torch.tensor([[8.0], [10.0]]), None, None)
    >>> points.offset.item(), points.norm.tolist(), points.variance
    (9.0, [1.0, 1.0], 1.0)
    """
    rows, features = x.shape
    centred = x.numpy()
    square = _squares(centred)
    # By a product, which takes vector instructions along short rows.
    mean = (np.ones(rows, centred.dtype) @ centred).astype(np.float64) / rows
    offset, away = np.zeros(features, centred.dtype), float(mean @ mean)
    variance = float(square.sum(dtype=np.float64)) / rows - away
    is_far = away > variance
    if is_far:
        offset = mean.astype(centred.dtype)
        centred = centred - offset
        square = _squares(centred)
        variance = float(square.sum(dtype=np.float64)) / rows
    norm = np.sqrt(square)
    longest = float(norm.max()) + float(np.abs(offset).max())
    heaviest = 1.0 if weight is None else max(1.0, float(weight.max()))
    return Points(
        x=x,
        centred=torch.from_numpy(centred) if is_far else x,
        offset=torch.from_numpy(offset),
        norm=torch.from_numpy(norm),
        weight=weight,
        total_weight=float(rows) if total_weight is None else total_weight,
        variance=variance / features,
        magics=grids(longest * heaviest, rows, x.dtype),
        group=None,
    )


def _squares(x: np.ndarray) -> np.ndarray:
    """Squared length of each row, in one trip."""
    return np.einsum("nd,nd->n", x, x)
