"""Certified decisions on low-precision distances: how far a computed score may be from the truth.

A nearest point is chosen by scores ``s = |y|² - 2 x·y`` (the squared distance less ``|x|²``, which
all candidates of one x share). Their products run on tensor cores or in a BLAS, whose rounding
errors are bounded here from norms alone. A decision whose gap exceeds the bounds of both sides is
the decision of exact arithmetic; the few others are taken anew from `exact_distances`.

The bounds grow with the norms, so the data are centred first: a common offset changes no distance.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

# Largest relative error of rounding a number to the format. TF32 units may truncate instead of
# rounding to nearest, so theirs is a whole unit in the last place.
UNIT_ROUNDOFF: Mapping[str, float] = MappingProxyType(
    {
        "float64": 2.0**-53,
        "float32": 2.0**-24,
        "tf32": 2.0**-10,
        "float16": 2.0**-11,
        "bfloat16": 2.0**-8,
    }
)
# Norms that go into a bound are rounded too, and so is the bound.
_SAFETY = 1.01
# float64 elements that one pass over pairs may hold: 32 MiB.
_PAIR_ELEMENTS = 1 << 22


def centre(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Subtract a common offset, the mean of `y`, from both; no distance changes by it.

    Parameters
    ----------
    x : Tensor [N, D], float32 | float64
    y : Tensor [M, D], same dtype

    Returns
    -------
    x, y : Tensor [N, D], [M, D]
        New tensors, rounded once: `score_bound` and `distance_bound` allow for that.
    offset : Tensor [D]

    Examples
    --------
    >>> x, y, offset = centre(torch.tensor([[101.0]]), torch.tensor([[99.0], [101.0]]))
    >>> x.item(), y.flatten().tolist(), offset.item()
    (1.0, [-1.0, 1.0], 100.0)
    """
    offset = y.mean(0, dtype=torch.float64).to(y.dtype)
    return x - offset, y - offset, offset


def score_bound(
    x_norm: Tensor, y_norm_max: Tensor, unit_roundoff: float, D: int, accumulator: str = "float32"
) -> Tensor:
    """Bound of ``|computed - true|`` for scores ``s = |y|² - 2 x·y``, in any order of summation.

    Two scores of one x decide as in exact arithmetic when they differ by more than twice this.

    Parameters
    ----------
    x_norm : Tensor of any shape, euclidean norms of the centred x
    y_norm_max : Tensor that broadcasts to it, norm of the candidate or the largest of all
    unit_roundoff : float
        Of the format that the operands of the product are rounded to (`UNIT_ROUNDOFF`); 0 where
        they are exact.
    D : int
        Number of products in a sum.
    accumulator : {"float32", "float64"}
        Format of operands before that rounding, of the sums and of the norms.

    Returns
    -------
    Tensor of the shape of `x_norm`

    Notes
    -----
    With u for `unit_roundoff` and v for the accumulator's: each operand carries u from its format
    and v from centring, a sum of D products D·v, so a product is off by at most
    (2u + (D + 4)·v)·|x||y|, a squared norm by (D + 4)·v·|y|². Higham, Accuracy and Stability of
    Numerical Algorithms, section 3.1. A tensor core that truncates its sums doubles D·v, which
    is taken into account.

    Examples
    --------
    >>> one = torch.ones(())
    >>> score_bound(one, one, UNIT_ROUNDOFF["bfloat16"], 128) > 4 * 2.0**-8
    tensor(True)
    """
    product, square = _relative(unit_roundoff, D, accumulator)
    return (2.0 * product) * x_norm * y_norm_max + square * y_norm_max.square()


def distance_bound(
    x_norm: Tensor, y_norm: Tensor, unit_roundoff: float, D: int, accumulator: str = "float32"
) -> Tensor:
    """Bound of ``|computed - true|`` for ``|x|² - 2 x·y + |y|²``; arguments as `score_bound`.

    To compare pairs that share no point, where ``|x|²`` counts as well.
    """
    square = _relative(unit_roundoff, D, accumulator)[1]
    return (
        score_bound(x_norm, y_norm, unit_roundoff, D, accumulator)
        # The last sum rounds a number of up to |x|² + |y|² + 2|x||y|.
        + square * (x_norm.square() + x_norm * y_norm)
    )


def exact_distances(x: Tensor, y: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Squared distances of pairs, as sums of squared differences in float64.

    Parameters
    ----------
    x : Tensor [N, D], any float dtype
    y : Tensor [M, D], any float dtype
    rows : Tensor [P], int64, which x
    columns : Tensor [P], int64, which y

    Returns
    -------
    Tensor [P], float64

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 1.0]]), torch.tensor([[4.0, 5.0]])
    >>> exact_distances(x, y, torch.tensor([0]), torch.tensor([0])).item()
    25.0
    """
    found = torch.empty(rows.shape[0], dtype=torch.float64, device=x.device)
    step = max(1, _PAIR_ELEMENTS // max(1, x.shape[1]))
    for begin in range(0, rows.shape[0], step):
        part = slice(begin, begin + step)
        difference = x.index_select(0, rows[part]).double()  # [step, D]
        difference -= y.index_select(0, columns[part])
        found[part] = difference.square_().sum(1)
    return found


def _relative(unit_roundoff: float, D: int, accumulator: str) -> tuple[float, float]:
    """Relative error of a product of two points, and of a squared norm."""
    unit = UNIT_ROUNDOFF[accumulator]
    truncating = 1.0 if unit_roundoff in (0.0, unit) else 2.0
    growth = (D + 4) * unit
    product = 2.0 * unit_roundoff + unit_roundoff**2 + truncating * growth
    return _SAFETY * product, _SAFETY * growth
