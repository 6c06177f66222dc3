"""Statistics of a trial, from raw samples alone: medians, paired ratios, bootstrap intervals."""

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
_TAIL = 0.025
# All of six values lie on one side of the true median once in 32 times.
ENOUGH_BLOCKS = 6


def median_interval(samples: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Median and its 95 % bootstrap interval.

    >>> median_interval([2.0, 2.0, 2.0])
    (2.0, 2.0, 2.0)
    """
    values = np.asarray(samples, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(np.median(values[picks], axis=1), [_TAIL, 1 - _TAIL])
    return float(np.median(values)), float(low), float(high)


def paired_speedup(
    candidate: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]], seed: int = 0
) -> tuple[float, float, float]:
    """How many times faster the candidate is, and the 95 % interval; above 1 it is faster.

    Parameters
    ----------
    candidate, baseline : samples of each block. The ratio of a block's medians is one
        observation: what slowed the machine down in a block slowed both.

    Examples
    --------
    >>> paired_speedup([[1.0, 1.0], [2.0, 2.0]] * 3, [[2.0, 2.0], [4.0, 4.0]] * 3)
    (2.0, 2.0, 2.0)
    """
    logs = [
        math.log(float(np.median(slow)) / float(np.median(fast)))
        for fast, slow in zip(candidate, baseline, strict=True)
    ]
    middle, low, high = median_interval(logs, seed)
    if len(logs) < ENOUGH_BLOCKS:
        # The median of so few lies outside of all of them more often than once in twenty.
        spread = max(logs) - min(logs) if len(logs) > 1 else math.log(2)
        low, high = low - spread, high + spread
    return math.exp(middle), math.exp(low), math.exp(high)


def quantile(values: Sequence[float], share: float) -> float:
    """What `share` of the values do not exceed.

    >>> quantile([1, 2, 3, 4, 5], 0.25)
    2.0
    """
    return float(np.quantile(np.asarray(values, dtype=np.float64), share))
