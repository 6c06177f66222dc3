"""An agent without opinions: it varies the constants that a source names in KNOBS."""

import math
from collections.abc import Mapping, Sequence

from onetrip.lab.agents.agent import Lesson, Past, Proposal
from onetrip.lab.search.knobs import read_knobs, with_values
from onetrip.lab.search.point_proposers import point_proposer
from onetrip.lab.search.points import Tried

_WAITING = frozenset({"queued", "paused", "running"})


class KnobSearch:
    """Searches the constants of one source.

    Parameters
    ----------
    source : text of a candidate with KNOBS.
    proposer : "grid", "evolution", "TPE" or "CMA-ES".
    seed : of the proposer.
    """

    def __init__(self, source: str, proposer: str = "TPE", seed: int = 0) -> None:
        self._source = source
        self._knobs = read_knobs(source)
        self._proposer = point_proposer(proposer, self._knobs.choices, seed)

    @property
    def name(self) -> str:
        """Name of the proposer."""
        return self._proposer.name

    def propose(self, brief: Mapping[str, object], history: Sequence[Past]) -> Proposal | None:
        """The values of the source as it stands first, then what the proposer says."""
        if not history:
            why = "the source as it stands, which all variations must beat"
            return Proposal(self._source, _title(self._knobs.values), why)
        first = history[0]
        tried = [Tried(read_knobs(past.source).values, _score(past, first)) for past in history]
        suggestion = self._proposer.propose(tried)
        if suggestion is None:
            return None
        source = with_values(self._source, suggestion.point)
        return Proposal(source, _title(suggestion.point), suggestion.why, first.experiment_id)

    def learn(self, brief: Mapping[str, object], history: Sequence[Past]) -> Sequence[Lesson]:
        """Which values the best had, and over how many."""
        able = [past for past in history if past.median_ms is not None]
        if len(able) < 2:
            return ()
        ranked = sorted(able, key=lambda past: past.median_ms or math.inf)
        best, worst = ranked[0], ranked[-1]
        text = (
            f"Of {len(history)} points of {', '.join(self._knobs.choices)}, {len(able)} were right."
            f" Fastest: {best.title} at {best.median_ms:.4g} ms; slowest: {worst.title} at "
            f"{worst.median_ms:.4g} ms."
        )
        return (Lesson(text, 0.7, (best.experiment_id, worst.experiment_id)),)

    def spent(self) -> Mapping[str, float]:
        """Nothing: it does not think."""
        return {}


def _title(point: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in point.items())


def _score(past: Past, first: Past) -> float | None:
    """Time in units of the first point's, for a proposer that minimises.

    From the paired speedup where there is one, so that a slow minute of the machine does not
    count against whoever was measured in it.
    """
    if past.state in _WAITING:
        return None
    if past.median_ms is None:
        return math.inf
    if past is first:
        return 1.0
    if past.speedup is not None:
        return 1.0 / past.speedup
    return past.median_ms / first.median_ms if first.median_ms else math.inf
