"""When a candidate takes the default's place: only on a confirmed difference."""

from dataclasses import dataclass
from enum import StrEnum

from onetrip.core.selection import Problem
from onetrip.core.tuning import TunedEntry
from onetrip.core.units import bytes_text
from onetrip.lab.search.ranking import SAME_MEMORY, Score
from onetrip.lab.verdict import Comparison, Timing

# The best may fall in its confirmation and the next best take its place, this often in a tune.
CONFIRMATIONS = 3


class Standing(StrEnum):
    """What became of the best candidate.

    `IN_TABLE`: ``impl="auto"`` runs it already. `TABLE_STAYS`: it beats the default, but not
    what ``impl="auto"`` runs.
    """

    PROMOTED = "promoted"
    IN_TABLE = "in_table"
    TABLE_STAYS = "table_stays"
    DEFAULT_STAYS = "default_stays"
    NOT_CONFIRMED = "not_confirmed"
    NOTHING_MEASURED = "nothing_measured"


@dataclass(frozen=True, slots=True)
class Decision:
    """The standing and its reason, in a sentence."""

    standing: Standing
    why: str


def decide(
    leader: Score | None,
    objective: str,
    *,
    is_default: bool,
    is_current: bool,
    fallen: int = 0,
) -> Decision:
    """Whether `leader` goes into the tuning table.

    Parameters
    ----------
    is_default : the leader is its implementation's default configuration.
    is_current : the leader is what ``impl="auto"`` runs today.
    fallen : how many others did better in the search and not in their confirmation.
    """
    if leader is None:
        return Decision(Standing.NOTHING_MEASURED, "no configuration was found correct and timed")
    if is_default:
        return Decision(
            Standing.DEFAULT_STAYS, "no configuration did better than the default in the search"
        )
    trial = leader.trial
    if trial.purpose != "confirm" or trial.verdict is None:
        if fallen >= CONFIRMATIONS:
            why = f"the best {fallen} of the search did no better when they were measured again"
            return Decision(Standing.DEFAULT_STAYS, why)
        return Decision(
            Standing.NOT_CONFIRMED,
            "the tune ended before the best configuration was confirmed; the next one goes on here",
        )
    if trial.verdict.against("default") is None:
        reason = trial.verdict.evidence.get("default failed", "it was not timed")
        return Decision(Standing.DEFAULT_STAYS, f"the default gave no time to compare: {reason}")
    judged = _better_in_memory if objective == "memory" else _better_in_time
    better, why = judged(leader, "default")
    if better and objective == "pareto" and leader.costs_memory:
        better, why = False, f"{why}, but it takes more memory than the default"
    if not better:
        return Decision(Standing.DEFAULT_STAYS, why)
    if is_current:
        return Decision(Standing.IN_TABLE, f'{why}; it is what impl="auto" runs already')
    if trial.verdict.timing("current") is not None:
        beats_current, against = judged(leader, "current")
        if not beats_current:
            return Decision(Standing.TABLE_STAYS, f"{why}; {against}")
    return Decision(Standing.PROMOTED, why)


def tuned_entry(
    leader: Score, operator: str, problem: Problem, *, objective: str, campaign_id: int
) -> TunedEntry:
    """The tuning table's line for a promoted leader."""
    own, default = _timing(leader, "candidate"), _timing(leader, "default")
    pair = _against(leader, "default")
    return TunedEntry(
        operator=operator,
        device=problem.device_name,
        impl=leader.trial.impl,
        dtype=problem.dtype,
        axes=dict(problem.axes),
        config=dict(leader.trial.config),
        latency_ms=own.median_ms,
        baseline_ms=default.median_ms,
        evidence=(
            f"onetrip tune, session {campaign_id}, experiment {leader.trial.experiment_id}, "
            f"objective {objective}: {pair.speedup:.3f} times the default's speed "
            f"({pair.low:.3f} to {pair.high:.3f}), {len(own.samples_ms)} samples, "
            f"verified on {leader.trial.verdict.scope if leader.trial.verdict else 'nothing'}"
        ),
    )


def _better_in_time(leader: Score, baseline: str) -> tuple[bool, str]:
    pair = _against(leader, baseline)
    name = _name(baseline)
    span = f"{pair.speedup:.3f} times {name}'s speed ({pair.low:.3f} to {pair.high:.3f})"
    if pair.faster:
        return True, f"confirmed at {span}"
    if pair.slower:
        return False, f"confirmed slower than {name}: {span}"
    return False, f"no difference to {name} could be shown: {span}"


def _better_in_memory(leader: Score, baseline: str) -> tuple[bool, str]:
    own, other = _timing(leader, "candidate").peak_bytes, _timing(leader, baseline).peak_bytes
    name = _name(baseline)
    if own is None or other is None:
        return False, "peak memory was not measured"
    span = f"{bytes_text(own)} at its peak, {name} {bytes_text(other)}"
    return own < other * (1 - SAME_MEMORY), span


def _name(baseline: str) -> str:
    return "the default" if baseline == "default" else "today's choice"


def _timing(leader: Score, subject: str) -> Timing:
    timing = leader.trial.verdict and leader.trial.verdict.timing(subject)
    if not timing:
        raise LookupError(f"experiment {leader.trial.experiment_id} did not time {subject!r}")
    return timing


def _against(leader: Score, baseline: str) -> Comparison:
    pair = leader.trial.verdict and leader.trial.verdict.against(baseline)
    if not pair:
        raise LookupError(f"experiment {leader.trial.experiment_id} has no {baseline!r}")
    return pair
