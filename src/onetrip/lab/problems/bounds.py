"""Bounds on a run's metrics: "loss <= 3.2", "peak_bytes <= 1.1 * baseline"."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint

Metrics = Mapping[str, float]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOUND = re.compile(
    rf"(?P<metric>\w+)\s*(?P<relation><=|>=|==|<|>)\s*"
    rf"(?:(?P<number>{_NUMBER})"
    rf"|(?:(?P<factor>{_NUMBER})\s*\*\s*)?baseline(?:\s*(?P<sign>[-+])\s*(?P<offset>{_NUMBER}))?)"
)
_RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound; where it names the baseline, the limit is ``factor * baseline + offset``."""

    text: str
    metric: str
    relation: str
    relative: bool
    factor: float
    offset: float

    def limit(self, baseline: Metrics) -> float:
        """The number that the metric is held against; raises `KeyError` without the baseline's."""
        return self.factor * baseline[self.metric] + self.offset if self.relative else self.offset

    def holds(self, metrics: Metrics, baseline: Metrics) -> bool:
        """Whether the metric keeps the bound; NaN keeps none."""
        return _RELATIONS[self.relation](metrics[self.metric], self.limit(baseline))


def read_bound(text: str) -> Bound:
    """Read one bound.

    >>> bound = read_bound("loss <= 1.01 * baseline + 0.1")
    >>> round(bound.limit({"loss": 2.0}), 6)
    2.12
    >>> read_bound("wrong_tokens == 0").holds({"wrong_tokens": 0}, {})
    True
    """
    match = _BOUND.fullmatch(text.strip())
    if match is None:
        expected = 'a bound such as "loss <= 3.2" or "peak_bytes <= 1.1 * baseline"'
        raise ArgumentError(complaint("bounds", expected=expected, got=repr(text)))
    number, factor, offset = match["number"], match["factor"], match["offset"]
    signed = float(f"{match['sign']}1") * float(offset) if offset is not None else 0.0
    return Bound(
        text=text.strip(),
        metric=match["metric"],
        relation=match["relation"],
        relative=number is None,
        factor=1.0 if factor is None else float(factor),
        offset=signed if number is None else float(number),
    )
