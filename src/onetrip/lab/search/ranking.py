"""Which of the measured configurations is best for an objective."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onetrip.lab.store.history import Trial
from onetrip.lab.store.study import canonical
from onetrip.lab.verdict import Outcome

OBJECTIVES = ("latency", "memory", "pareto")
# Peaks that differ by less are equal: allocators round.
SAME_MEMORY = 0.005


@dataclass(frozen=True, slots=True)
class Score:
    """One configuration's standing.

    `latency_ms` is the typical time of its implementation's default over the measured speedup
    against that default, so that a slow minute of the machine does not count against whoever
    was measured in it. `trial` is the confirmation where there is one, else the search's.
    """

    trial: Trial
    latency_ms: float
    peak_bytes: float

    def key(self, objective: str) -> tuple[float, float]:
        """What is minimised, and what decides between equals."""
        if objective == "memory":
            return self.peak_bytes, self.latency_ms
        return self.latency_ms, self.peak_bytes

    @property
    def costs_memory(self) -> bool:
        """Takes more memory than the default beside which it was measured."""
        verdict = self.trial.verdict
        default = None if verdict is None else verdict.timing("default")
        if default is None or default.peak_bytes is None:
            return False
        return self.peak_bytes > default.peak_bytes * (1 + SAME_MEMORY)

    def dominates(self, other: "Score") -> bool:
        """No worse in both time and memory, and better in one."""
        ours = (self.latency_ms, self.peak_bytes)
        theirs = (other.latency_ms, other.peak_bytes)
        return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))


def scores(trials: Iterable[Trial]) -> list[Score]:
    """Scores of all configurations that were found correct and timed.

    One that failed its confirmation is out, however well it did before.
    """
    latest: dict[tuple[str, str], Trial] = {}
    typical_ms: dict[str, list[float]] = {}
    for trial in trials:
        if trial.verdict is None or trial.verdict.outcome is Outcome.INFRA_LOST:
            continue
        key = (trial.impl, canonical(dict(trial.config)))
        if not trial.done:
            latest.pop(key, None)
            continue
        # A confirmation comes after the search's trial of the same candidate and replaces it.
        latest[key] = trial
        default = trial.verdict.timing("default")
        if default is not None:
            typical_ms.setdefault(trial.impl, []).append(default.median_ms)
    return [
        score
        for trial in latest.values()
        if (score := _score(trial, typical_ms.get(trial.impl, []))) is not None
    ]


def best(scored: Sequence[Score], objective: str) -> Score | None:
    """The first by `objective`.

    For "pareto" the fastest that takes no more memory than its implementation's default does.
    """
    able = [score for score in scored if objective != "pareto" or not score.costs_memory]
    return min(able, key=lambda score: score.key(objective), default=None)


def front(scored: Sequence[Score]) -> list[Score]:
    """Configurations that no other beats in both time and memory, fastest first."""
    kept = [score for score in scored if not any(other.dominates(score) for other in scored)]
    return sorted(kept, key=lambda score: score.key("latency"))


def _score(trial: Trial, typical_ms: list[float]) -> Score | None:
    if trial.verdict is None:
        return None
    own = trial.verdict.timing("candidate")
    if own is None:
        return None
    pair, default = trial.verdict.against("default"), trial.verdict.timing("default")
    latency_ms = own.median_ms
    if pair is not None and default is not None and typical_ms:
        # What the default's speedup over itself differs from 1 is noise.
        speedup = 1.0 if trial.config == default.config else pair.speedup
        latency_ms = statistics.median(typical_ms) / speedup
    peak_bytes = float("inf") if own.peak_bytes is None else float(own.peak_bytes)
    return Score(trial, latency_ms, peak_bytes)
