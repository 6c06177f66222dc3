"""What the user asks of `onetrip tune`."""

from dataclasses import dataclass
from pathlib import Path

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.search.ranking import OBJECTIVES

# Enough for a few dozen candidates of a tenth of a second, and for the confirmation.
DEFAULT_BUDGET_S = 120.0


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """One tune.

    Parameters
    ----------
    operator : name of the operator.
    workload, recorded : which problem; neither is the operator's default.
    device_kind : "cpu" or "cuda"; None takes a device when there is one.
    impls : implementations to search; empty for all that run here.
    objective : "latency", "memory" or "pareto" (both, latency leading).
    budget_s : seconds of search and confirmation; training a workload comes on top.
    candidate_limit_s : seconds after which a candidate is killed; None for three times what the
        slowest right one took.
    seed : of the search; a candidate's inputs are drawn from the system's randomness.
    """

    operator: str
    workload: str | None = None
    recorded: Path | None = None
    device_kind: str | None = None
    impls: tuple[str, ...] = ()
    objective: str = "latency"
    budget_s: float = DEFAULT_BUDGET_S
    candidate_limit_s: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            expected = f"one of {list(OBJECTIVES)}"
            raise ArgumentError(complaint("objective", expected=expected, got=repr(self.objective)))
        if self.workload is not None and self.recorded is not None:
            way_out = "Leave one of them out."
            raise ArgumentError(
                complaint("recorded", expected="alone", got="a workload too", way_out=way_out)
            )
        for name in ("budget_s", "candidate_limit_s"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                expected = "a positive number of seconds"
                raise ArgumentError(complaint(name, expected=expected, got=seconds))
