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


class Movement:
    """Paths of the centres of one problem, in float64.

    Attributes
    ----------
    path : Tensor [K], length of each centre's way since the start, from above
    longest : float, sum over iterations of the longest step
    shift_square : float, sum over centres of the squared last step
    """

    def __init__(self, clusters: int, device: torch.device) -> None:
        self.path = torch.zeros(clusters, dtype=torch.float64, device=device)
        self.longest = 0.0
        self.shift_square = 0.0

    def step(self, before: Tensor, after: Tensor) -> None:
        """Add the step from centres `before` [K, D] to `after` [K, D]."""
        square = (after.double() - before.double()).square_().sum(1)
        self.shift_square = float(square.sum())
        step = square.sqrt_() * _SLACK
        self.path += step
        self.longest += float(step.max()) * _SLACK
