"""From values to pixels, with ticks at round numbers."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` on pixels from `start` to `end`.

    >>> scale = Scale(0.0, 10.0, 100.0, 200.0)
    >>> scale.at(5.0), scale.ticks(5)
    (150.0, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    >>> Scale(1.0, 1000.0, 0.0, 300.0, log=True).ticks(5)
    [1.0, 10.0, 100.0, 1000.0]
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Pixel of `value`."""
        low, high, value = (self._bent(number) for number in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def inside(self, value: float) -> float:
        """Pixel of `value`, kept on the scale."""
        return self.at(min(max(value, self.low), self.high))

    def ticks(self, count: int) -> list[float]:
        """About `count` round values on the scale; powers of ten, with 2 and 5 where few."""
        if not self.log or self.high / self.low < 4:
            return _round_values(self.low, self.high, count)
        return _round_powers(self.low, self.high, count)

    def _bent(self, value: float) -> float:
        return math.log10(value) if self.log else value


def apart(ticks: Iterable[float], scale: Scale, width_px: Callable[[float], float]) -> list[float]:
    """Ticks along a line whose texts, `width_px` wide, do not run into each other.

    >>> apart([1.0, 2.0, 3.0], Scale(0.0, 10.0, 0.0, 100.0), lambda tick: 12.0)
    [1.0, 3.0]
    """
    kept: list[float] = []
    free_px = -math.inf
    for tick in ticks:
        half = width_px(tick) / 2
        if scale.at(tick) - half >= free_px:
            kept.append(tick)
            free_px = scale.at(tick) + half
    return kept


def span(
    values: Iterable[float], *, log: bool = False, margin: float = 0.06, least: float = 1e-12
) -> tuple[float, float]:
    """Low and high of `values` with some air around; of no values or one, something around it.

    >>> span([1.0, 3.0], margin=0.5)
    (0.0, 4.0)
    >>> span([], log=True)
    (0.1, 10.0)
    """
    found = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not found:
        return (0.1, 10.0) if log else (0.0, 1.0)
    low, high = min(found), max(found)
    if log:
        ratio = max(high / low, 1.05) ** margin
        if high / low < 1.05:
            return low / 1.1, high * 1.1
        return low / ratio, high * ratio
    air = (high - low) * margin or max(abs(high) * 0.1, least)
    return low - air, high + air


def _round_values(low: float, high: float, count: int) -> list[float]:
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    # Rounded, for 3 * 0.1 is not 0.3.
    digits = max(0, -math.floor(math.log10(step)) + 1)
    return [round(n * step, digits) for n in range(first, last + 1)]


def _round_powers(low: float, high: float, count: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [factor * 10.0**power for power in decades for factor in factors]
        fitting = [value for value in found if low * 0.999 <= value <= high * 1.001]
        if len(fitting) <= count + 1:
            return fitting
    stride = math.ceil(len(fitting) / count)
    return fitting[::stride]
