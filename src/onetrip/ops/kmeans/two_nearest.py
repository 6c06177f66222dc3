"""The least and the second least score of each row of a tile that fits a cache."""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from onetrip.tile.certified import UNIT_ROUNDOFF, score_bound

# Up to here a running comparison over columns is faster than a search along rows: measured on two
# cores, 118 against 178 ns a row at 32 columns, 127 ns a row more at 48.
FEW_COLUMNS = 32
_BITS = {torch.float32: (torch.int32, 23), torch.float64: (torch.int64, 52)}


def two_least(x: Tensor, centers: Tensor, square: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Least of the scores ``square - 2 x·centers``, where it stands, and the second least.

    Parameters
    ----------
    x : Tensor [R, D], float32 | float64
    centers : Tensor [K, D], same dtype
    square : Tensor [K], same dtype, squared norms of the centres

    Returns
    -------
    best : Tensor [R]
    label : Tensor [R], int32, a column that holds it
    second : Tensor [R], infinite where K is 1
    blur : float
        The two scores are changed by at most this, relative to themselves.

    Examples
    --------
    >>> x, centers = torch.tensor([[1.0]]), torch.tensor([[3.0], [1.0], [0.0]])
    >>> best, label, second, blur = two_least(x, centers, centers.square().sum(1))
    >>> label.item(), blur
    (1, 4.76837158203125e-07)
    """
    if centers.shape[0] <= FEW_COLUMNS:
        return _over_columns(x, centers, square)
    scores = torch.addmm(square, x, centers.T, alpha=-2.0)  # [R, K]
    # NumPy's search along contiguous rows uses vector instructions; torch's does not.
    label = torch.from_numpy(scores.numpy().argmin(1)) if scores.is_cpu else scores.argmin(1)
    column = label[:, None]
    best = scores.gather(1, column).squeeze(1)
    second = scores.scatter_(1, column, math.inf).amin(1)
    return best, label.int(), second, 0.0


class Reach(NamedTuple):
    """How far beyond the least score of a row of norm n another may be less in truth.

    It is ``slope * n + level``: all rounding of `certain_least` is a line over the norm.
    """

    slope: float
    level: float


class Rounding:
    """What rounding does to scores, from the arguments of `score_bound` after the norms.

    >>> Rounding(0.0, 1, "float32").reach(2.0).level > 2.0 * 4.0 * 2.0**-24
    True
    """

    def __init__(self, unit_roundoff: float, D: int, accumulator: str) -> None:
        none, one = torch.tensor([0.0, 1.0], dtype=torch.float64)
        of_centers = score_bound(none, one, unit_roundoff, D, accumulator)
        of_product = score_bound(one, one, unit_roundoff, D, accumulator) - of_centers
        # A score is at most twice this product and twice that square, and so rounded by one unit
        # when a reach is added to it, and by one more.
        unit = 2.0 * UNIT_ROUNDOFF[accumulator]
        self._slope = 2.0 * (float(of_product) + unit)
        self._level = 2.0 * (float(of_centers) + unit)

    def reach(self, largest: float) -> Reach:
        """The reach for centres of which the largest norm is this."""
        return Reach(self._slope * largest, self._level * largest * largest)


@functools.lru_cache
def rounding_of(unit_roundoff: float, D: int, accumulator: str) -> Rounding:
    """What is computed once for many small searches."""
    return Rounding(unit_roundoff, D, accumulator)


def certain_least(
    x: Tensor, norm: Tensor, centers: Tensor, square: Tensor, reach: Reach
) -> tuple[Tensor, Tensor]:
    """Column of the least score of each row, and the rows where another may be less in truth.

    Where every pass over the scores counts, as for few centres. It asks not for the second least
    score but which are beyond the reach of rounding: all but one, and that one is the nearest.

    Parameters
    ----------
    x : Tensor [R, D], float32 | float64
    norm : Tensor [R], same dtype, of the rows of `x`
    centers, square : Tensor [K, D], [K], same dtype, and their squared norms; R·K below 2^24, so
        that float32 counts so many exactly
    reach : of these centres

    Returns
    -------
    label : Tensor [R], int32, of no meaning in rows that are in doubt
    doubtful : Tensor [M], int64

    Examples
    --------
    >>> x, centers = torch.tensor([[1.0], [1.5]]), torch.tensor([[2.0], [1.0]])
    >>> square = centers.square().sum(1)
    >>> reach = Rounding(0.0, 1, "float32").reach(2.0)
    >>> label, doubtful = certain_least(x, x.squeeze(1), centers, square, reach)
    >>> label[0].item(), doubtful.tolist()
    (1, [1])
    """
    K, R = centers.shape[0], x.shape[0]
    # A factor of two rounds nothing; a product that adds as well takes twice as long when small.
    scores = torch.mm(-2.0 * centers, x.T).add_(square[:, None])  # [K, R]
    threshold = scores.amin(0).add_(norm, alpha=reach.slope).add_(reach.level)
    # What is not a number is beyond nothing, and so in doubt.
    beyond = scores.gt_(threshold)
    # Of these numbers all but the k-th add up to k.
    numbers = torch.arange(0.5 * K, -0.5 * K, -1.0, dtype=x.dtype, device=x.device)
    label = torch.mv(beyond.T, numbers).int()
    if beyond.sum().item() == (K - 1) * R:
        return label, torch.empty(0, dtype=torch.int64, device=x.device)
    return label, (beyond.sum(0) < K - 1).nonzero().squeeze(1)


def _over_columns(
    x: Tensor, centers: Tensor, square: Tensor
) -> tuple[Tensor, Tensor, Tensor, float]:
    """The column's number takes the last bits of its scores, so that a minimum keeps both."""
    K = centers.shape[0]
    scores = torch.addmm(square[:, None], centers, x.T, alpha=-2.0)  # [K, R]
    integer, digits = _BITS[scores.dtype]
    number_bits = (K - 1).bit_length()
    mask = (1 << number_bits) - 1
    numbers = torch.arange(K, dtype=integer, device=x.device)[:, None]
    scores.view(integer).bitwise_and_(~mask).bitwise_or_(numbers)
    best = scores[0]
    second = torch.full_like(best, math.inf)
    spare = torch.empty_like(best)
    for score in scores[1:]:
        torch.maximum(best, score, out=spare)
        torch.minimum(second, spare, out=second)
        torch.minimum(best, score, out=best)
    return best, (best.view(integer) & mask).int(), second, 2.0 ** (number_bits - digits)
