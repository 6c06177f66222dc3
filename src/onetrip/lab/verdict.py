"""What a judge may say of a candidate: a closed set of outcomes, each with reason and evidence."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from onetrip.core.selection import Config


class Outcome(StrEnum):
    """How an experiment ends. These are data about a candidate, not errors of the lab.

    `PRUNED` never ran; `INTERRUPTED` lost its process before an answer came, through no fault of
    the candidate, and runs again.
    """

    DONE = "done"
    INCORRECT = "incorrect"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    COMPILE_ERROR = "compile_error"
    PRUNED = "pruned"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Check:
    """One tensor against float64 truth; an error that is not a number is None."""

    tensor: str
    passed: bool
    max_error: float | None
    allowance: float | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """One contender's times; `subject` is "candidate", "default", "current" or "eager"."""

    subject: str
    impl: str
    config: Config
    samples_ms: tuple[float, ...]
    median_ms: float
    low_ms: float
    high_ms: float
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired time of `baseline` over the candidate's, with its interval; above 1 is faster."""

    baseline: str
    speedup: float
    low: float
    high: float

    @property
    def faster(self) -> bool:
        """The whole interval lies above 1."""
        return self.low > 1.0

    @property
    def slower(self) -> bool:
        """The whole interval lies below 1."""
        return self.high < 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that one attempt taught; `scope` says what was verified."""

    outcome: Outcome
    reason: str = ""
    scope: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    timings: tuple[Timing, ...] = ()
    comparisons: tuple[Comparison, ...] = ()

    def timing(self, subject: str) -> Timing | None:
        """Times of one contender, if it was measured."""
        return next((timing for timing in self.timings if timing.subject == subject), None)

    def against(self, baseline: str) -> Comparison | None:
        """The comparison with one baseline, if it was made."""
        return next((pair for pair in self.comparisons if pair.baseline == baseline), None)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON; `verdict_from` reads them back."""
        return json.loads(json.dumps(asdict(self)))


def verdict_from(values: Mapping) -> Verdict:
    """Read what `Verdict.as_dict` wrote.

    >>> verdict_from(Verdict(Outcome.CRASHED, "exit code 3").as_dict()).outcome
    <Outcome.CRASHED: 'crashed'>
    """
    return Verdict(
        outcome=Outcome(values["outcome"]),
        reason=values["reason"],
        scope=values["scope"],
        evidence=values["evidence"],
        checks=tuple(Check(**check) for check in values["checks"]),
        timings=tuple(
            Timing(**timing | {"samples_ms": tuple(timing["samples_ms"])})
            for timing in values["timings"]
        ),
        comparisons=tuple(Comparison(**pair) for pair in values["comparisons"]),
    )
