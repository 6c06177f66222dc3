"""How far the centres have moved, so that a row whose nearest cannot have changed is left alone.

Hamerly's bounds (Making k-means even faster, SDM 2010), with the sums of all movements kept by
centre instead of bounds that every iteration rewrites: at its last look a row stored

    upper = distance to its centre - path of that centre so far
    lower = distance to the next best + longest path so far

and it keeps its centre as long as ``upper + path of the centre <= lower - longest path``. The
distances carry the bounds of their own rounding errors, so a skipped row is a certified one.
"""

import torch
from torch import Tensor

# The sums of a few hundred movements in float64, and distances rounded to the bounds' format.
_SLACK = 1.0 + 2.0**-40
# With fewer products a row, or in all, than this, bounds cost more than the products that they
# might spare: measured on two cores at 8 clusters of 16 features, and on 1797 digits.
_BOUND_FROM = 512
_BOUND_FROM_ALL = 1 << 23


class Movement:
    """Paths of the centres of one problem, in float64.

    Parameters
    ----------
    clusters, device : of the centres
    for_bounds : False where nobody keeps bounds, and the paths need not be known

    Attributes
    ----------
    path : Tensor [K], length of each centre's way since the start, from above
    longest : float, sum over iterations of the longest step
    shift_square : float, sum over centres of the squared last step
    """

    def __init__(self, clusters: int, device: torch.device, for_bounds: bool = True) -> None:
        self._for_bounds = for_bounds
        self.path = torch.zeros(clusters, dtype=torch.float64, device=device)
        self.longest = 0.0
        self.shift_square = 0.0

    def step(self, before: Tensor, after: Tensor) -> None:
        """Add the step from centres `before` [K, D] to `after` [K, D]."""
        square = (after.double() - before.double()).square_().sum(1)
        self.shift_square = float(square.sum())
        if not self._for_bounds:
            return
        step = square.sqrt_() * _SLACK
        self.path += step
        self.longest += float(step.max()) * _SLACK


def worth_bounds(N: int, D: int, K: int) -> bool:
    """Whether rows of this problem may be left out by bounds of their distances.

    >>> worth_bounds(100_000, 16, 8), worth_bounds(100_000, 32, 64)
    (False, True)
    """
    return K * D >= _BOUND_FROM and N * K * D >= _BOUND_FROM_ALL


class Bounds:
    """Bounds [N], float64, of each row's distances; `upper` and `lower` as told above."""

    def __init__(self, N: int, device: torch.device) -> None:
        self.upper = torch.empty(N, dtype=torch.float64, device=device)
        self.lower = torch.empty(N, dtype=torch.float64, device=device)


class Rest:
    """When bounds are worth their price: at first and after each failure they rest.

    Centres move most at the start. Where bounds spared too few rows they rest for an iteration,
    then two, four, up to sixteen.

    >>> rest = Rest()
    >>> [rest.is_over(), rest.is_over(), rest.begins(looked_share=0.1), rest.begins(0.9)]
    [False, True, False, True]
    """

    _MOST = 16
    _FEW_SPARED = 0.7

    def __init__(self) -> None:
        self._iterations = 1
        self._left = 1

    def is_over(self) -> bool:
        """Count one iteration without bounds; whether the next may use some."""
        self._left -= 1
        return self._left < 0

    def begins(self, looked_share: float) -> bool:
        """Whether bounds that left this share of the rows to be looked at shall rest."""
        if looked_share <= self._FEW_SPARED:
            return False
        self._left = self._iterations
        self._iterations = min(2 * self._iterations, self._MOST)
        return True
