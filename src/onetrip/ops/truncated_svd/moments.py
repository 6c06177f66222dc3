"""What one trip over x brings home."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over x [N, D] in float64.

    `gram` [S, S] is the Gram matrix of the smaller side, S = min(N, D), of the centred x if
    centring was asked for; `mean` [D]; `total` [] is the summed square of the deviations from it.
    """

    gram: Tensor
    mean: Tensor
    total: Tensor
