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
    last : Tensor [K], length of each centre's last step, from above
    path : Tensor [K], sum of each centre's steps, from above
    longest : float, sum over iterations of the longest step
    shift_square : float, sum over centres of the squared last step
    """

    def __init__(self, clusters: int, device: torch.device, for_bounds: bool = True) -> None:
        self._for_bounds = for_bounds
        self.last = torch.zeros(clusters, dtype=torch.float64, device=device)
        self.path = torch.zeros(clusters, dtype=torch.float64, device=device)
        self.longest = 0.0
        self.shift_square = 0.0

    def step(self, before: Tensor, after: Tensor) -> None:
        """Add the step from centres `before` [K, D] to `after` [K, D]."""
        square = (after.double() - before.double()).square_().sum(1)
        self.shift_square = float(square.sum())
        if not self._for_bounds:
            return
        self.last = square.sqrt_() * _SLACK
        self.path += self.last
        self.longest += float(self.last.max()) * _SLACK


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
