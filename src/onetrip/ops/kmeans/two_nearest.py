"""The least and the second least score of each row of a tile that fits a cache."""

import math

import torch
from torch import Tensor

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
