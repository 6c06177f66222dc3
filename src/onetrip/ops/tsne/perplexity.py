"""The width of each sample's neighbourhood, so that it has the perplexity that is asked for.

With e_j = exp(-β d_j) over the squared distances d_j to all others, the entropy of e / Σe falls
in log β with slope -β² Var(d); a bracketed Newton iteration finds log β in about ten steps where
bisection takes fifty.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Entropies, in nats, are found to this: a step or two more than to the 1e-5 of scikit-learn.
_TOLERANCE = 1e-10
_STEPS = 60
# Farthest step, and farthest way, in log β.
_STEP, _WAY = 4.0, 36.0


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one row each: log Σe, and mean and variance of d under e / Σe; all [rows], float64."""

    log_sum: Tensor
    mean: Tensor
    variance: Tensor


@dataclass(frozen=True, slots=True)
class Widths:
    """What makes a distance a probability: ``p(j | i) = exp(-beta[i] d_ij - log_sum[i])``.

    Both are [N] in float64.
    """

    beta: Tensor
    log_sum: Tensor


def find_widths(
    sums: Callable[[Tensor], Sums],
    perplexity: float,
    start: Tensor,
    tolerance: float = _TOLERANCE,
) -> tuple[Tensor, Tensor]:
    """Solve for β [rows], given a function of β that sums over all others.

    Returns β and log Σ exp(-β d). Rows whose entropy cannot fall as far, as they have more
    duplicates than the perplexity, end at the largest β tried.
    """
    target = math.log(perplexity)
    begin = start.log()  # [rows]
    position = begin
    low, high = begin - _WAY, begin + _WAY
    found = sums(start)
    for _ in range(_STEPS):
        beta = position.exp()
        excess = found.log_sum + beta * found.mean - target  # entropy - target
        done = (excess.abs() <= tolerance) | (high - low <= 1e-9)
        if bool(done.all()):
            break
        low = torch.where(excess > 0, position, low)
        high = torch.where(excess > 0, high, position)
        slope = (beta.square() * found.variance).clamp_min(1e-30)
        ahead = position + (excess / slope).clamp(-_STEP, _STEP)
        inside = (ahead > low) & (ahead < high)
        position = torch.where(done, position, torch.where(inside, ahead, (low + high) / 2))
        found = sums(position.exp())
    return position.exp(), found.log_sum
