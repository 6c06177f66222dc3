"""Rows whose nearest centre float32 cannot tell: float64 products, then differences for ties.

A few rows go to the differences at once: they are less work than the calls before them.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.kmeans.points import Placed
from onetrip.tile.certified import UNIT_ROUNDOFF, distance_bound, exact_distances

# Scores that one pass holds in float64: 8 MiB.
_SCORES = 1 << 20
# Differences that cost no more than what would spare them: some 50 µs.
_FEW_DIFFERENCES = 1 << 14


class Nearest(NamedTuple):
    """Nearest centres of some rows.

    `label` [R], int64; `upper` and `lower` [R], float64, bound the distance to that centre from
    above and the distance to the next best from below.
    """

    label: Tensor
    upper: Tensor
    lower: Tensor


def nearest_anew(points: Placed, centers: Tensor, rows: Tensor) -> Nearest:
    """Nearest of `centers` [K, D] for rows [R] by float64, ties to the first centre.

    Scores in float64 decide what their own certificate covers. What is left is as good as tied:
    sums of squared differences, the same for equal centres, decide that.
    """
    if rows.shape[0] * centers.numel() <= _FEW_DIFFERENCES:
        return _by_all_differences(points.x.index_select(0, rows), centers)
    offset = points.offset.double()
    wide = centers.double() - offset
    square = wide.square().sum(1)
    largest = square.max().sqrt()
    found = []
    for part in rows.split(max(1, _SCORES // centers.shape[0])):
        x = points.x.index_select(0, part).double() - offset
        norm = x.norm(dim=1)
        bound = distance_bound(norm, largest, 0.0, x.shape[1], "float64")
        scores = torch.addmm(square, x, wide.T, alpha=-2.0)  # [R, K]
        best, label = _first_least(scores)
        candidates = scores <= (best + 2.0 * bound)[:, None]
        second = scores.scatter_(1, label[:, None], math.inf).amin(1)
        several = candidates.sum(1) > 1
        tied = several.nonzero().squeeze(1)
        if tied.numel():
            label[tied] = _by_differences(points.x, centers, part[tied], candidates[tied])
        # The label of a tie may be any candidate, so both bounds start from the best score.
        length = norm.square()
        upper = (length + best).add_(bound, alpha=3.0)
        lower = (length + torch.where(several, best, second)).sub_(bound)
        found.append(Nearest(label, *(d.clamp_(min=0.0).sqrt_() for d in (upper, lower))))
    return Nearest(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def labels_among(
    points: Placed, centers: Tensor, rows: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """Labels [M] of `rows`, on a CPU: the first of the nearest of their own `candidates`.

    A row in doubt has two candidates as a rule, so these are two differences instead of K.

    Parameters
    ----------
    points, centers : as in `nearest_anew`
    rows : array [M], int64
    candidates : array [K, M], bool, used up; all centres where a row has none

    Examples
    --------
    >>> from onetrip.ops.kmeans.points import place
    >>> points = place(torch.tensor([[0.0], [5.0]]), None, torch.zeros(1))
    >>> candidates = np.array([[True], [False], [True]])
    >>> labels_among(points, torch.tensor([[4.0], [5.0], [6.0]]), np.array([1]), candidates)
    array([0])
    """
    candidates |= ~candidates.any(0)
    if rows.size * centers.numel() <= _FEW_DIFFERENCES:
        wide = points.x.numpy().take(rows, 0).astype(np.float64)[:, None]
        square = torch.from_numpy(wide - centers.numpy()).square_().sum(2).numpy()  # [M, K]
        square[~candidates.T] = math.inf
        return square.argmin(1)
    place, column = candidates.T.nonzero()
    if place.size * centers.shape[1] > _SCORES:
        return nearest_anew(points, centers, torch.from_numpy(rows)).label.numpy()
    pairs = torch.from_numpy(rows.take(place)), torch.from_numpy(column)
    square = np.full(candidates.T.shape, math.inf)
    square[place, column] = exact_distances(points.x, centers, *pairs).numpy()
    return square.argmin(1)


def _by_all_differences(x: Tensor, centers: Tensor) -> Nearest:
    square = (x.double()[:, None] - centers.double()).square_().sum(2)  # [R, K]
    best, label = _first_least(square)
    second = square.scatter_(1, label[:, None], math.inf).amin(1)
    # A difference and its square carry three roundings, a sum of D of them D more.
    reach = (x.shape[1] + 4) * UNIT_ROUNDOFF["float64"]
    return Nearest(label, best.sqrt_().mul_(1.0 + reach), second.sqrt_().mul_(1.0 - reach))


def _by_differences(x: Tensor, centers: Tensor, rows: Tensor, candidates: Tensor) -> Tensor:
    place, column = candidates.nonzero(as_tuple=True)
    distances = torch.full(candidates.shape, math.inf, dtype=torch.float64, device=x.device)
    distances[place, column] = exact_distances(x, centers, rows[place], column)
    return _first_least(distances)[1]


def _first_least(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Least of each row and the first place where it stands: `argmin` promises no order."""
    best = scores.amin(1)
    columns = torch.arange(scores.shape[1], device=scores.device)
    label = torch.where(scores == best[:, None], columns, scores.shape[1]).amin(1)
    return best, label
