"""What a judge may say of a candidate: a closed set of outcomes, each with reason and evidence."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from onetrip.core.selection import Config

# Ends the name of the evidence that says why a rival could not be timed.
OUT = " is out"


class Outcome(StrEnum):
    """How an attempt ends. These are data about a candidate, not errors of the lab.

    `HACKED`: it did not do the work, or tampered with its proof, and the evidence shows how.
    `INFRA_LOST`: its process was lost before an answer came, through no fault of the candidate;
    the experiment runs again. All others are final.
    """

    DONE = "done"
    INCORRECT = "incorrect"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    COMPILE_ERROR = "compile_error"
    HACKED = "hacked"
    INFRA_LOST = "infra_lost"


@dataclass(frozen=True, slots=True)
class Check:
    """One tensor against float64 truth; an error that is not a number is None."""

    tensor: str
    passed: bool
    max_error: float | None
    allowance: float | None
    message: str = ""
    workload: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """One contender's times on one workload.

    `subject` is "candidate", "baseline", "default", "current", "eager" or a peer's name. `regime`
    says what the last-level cache held: nothing of the call's ("cold") or what the call before
    left there ("warm"). `floor_ms` is the least time that the device's ceilings allow; `blocks`
    has, for each block of samples, its place in the order and what the device did meanwhile
    (clocks, throttle reasons, temperature, power).
    """

    subject: str
    impl: str
    config: Config
    samples_ms: tuple[float, ...]
    median_ms: float
    low_ms: float
    high_ms: float
    peak_bytes: int | None
    workload: str = ""
    regime: str = "cold"
    floor_ms: float | None = None
    blocks: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired time of `baseline` over the candidate's, with its interval; above 1 is faster."""

    baseline: str
    speedup: float
    low: float
    high: float
    workload: str = ""
    regime: str = "cold"

    @property
    def faster(self) -> bool:
        """The whole interval lies above 1."""
        return self.low > 1.0

    @property
    def slower(self) -> bool:
        """The whole interval lies below 1."""
        return self.high < 1.0


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a run printed or returned: tokens per second, a loss."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """A suspicion: the rule, what was seen, and who saw it ("static", "runtime" or "human").

    A static rule only labels. What was proved at run time is the attempt's outcome.
    """

    rule: str
    evidence: str
    source: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that one attempt taught.

    `scope` says what was verified. `quarantined` says why the times count for nothing although
    the results are right (below the floor, say). `energy_j` and `gpu_s` are what it cost, where
    the device tells.
    """

    outcome: Outcome
    reason: str = ""
    scope: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    timings: tuple[Timing, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    metrics: tuple[Metric, ...] = ()
    flags: tuple[Flag, ...] = ()
    quarantined: str = ""
    gpu_s: float = 0.0
    energy_j: float = 0.0
    log: str = ""

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
    lists = {
        "checks": Check,
        "timings": Timing,
        "comparisons": Comparison,
        "metrics": Metric,
        "flags": Flag,
    }
    read: dict = dict(values) | {"outcome": Outcome(values["outcome"])}
    for name, kind in lists.items():
        read[name] = tuple(kind(**entry) for entry in values.get(name, ()))
    read["timings"] = tuple(
        replace(timing, samples_ms=tuple(timing.samples_ms), blocks=tuple(timing.blocks))
        for timing in read["timings"]
    )
    return Verdict(**read)
