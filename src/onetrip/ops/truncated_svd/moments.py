"""What one trip over x brings home."""

from dataclasses import dataclass

from torch import Tensor

# About the error of an entry that is summed from products of halves, in units of the lengths of
# its two columns.
SPLIT_UNIT = 2.0**-23


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over x [N, D] in float64.

    `gram` [S, S] is the Gram matrix of the smaller side, S = min(N, D), of the centred x if
    centring was asked for; `mean` [D]; `total` [] is the summed square of the deviations from it.
    An entry i, j of `gram` is off by about the geometric mean of `errors` [S] at i and at j, beyond
    the rounding of float64; None where all was summed in float64. `cancelled` [] is what taking the
    mean out of `gram` took from its trace: rounding is relative to that, too.
    """

    gram: Tensor
    mean: Tensor
    total: Tensor
    errors: Tensor | None = None
    cancelled: Tensor | None = None
