"""A suspicion that rests on clocks is looked into once more, with a control beside the candidate.

On a machine that got busier since the calibration an honest call seems to hide time. The control is
the problem's own definition in a process of its own: what it waits for in the same blocks is the
machine's doing. Only what the second trial measured counts, so that a candidate which behaves in
one of the two gains nothing by the other.
"""

import hashlib
from dataclasses import replace

from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender
from onetrip.lab.verdict import OUT, Outcome, Verdict

CONTROL = "control"
# Rules that compare times; the others are proved by bytes.
_RULES = frozenset({"clock disagreement", "work ahead"})


def is_suspicion(verdict: Verdict) -> bool:
    """Whether a verdict accuses, and rests on times alone."""
    return verdict.outcome is Outcome.HACKED and verdict.evidence.get("rule") in _RULES


def once_more(job: TrialJob) -> TrialJob:
    """The same trial on other data, with a control among the rivals.

    >>> again = once_more(TrialJob(problem=None, candidate=None, seed=7))
    >>> list(again.rivals), again.seed != 7, again == once_more(again)
    (['control'], True, False)
    """
    digest = hashlib.sha256(f"{job.seed}/once more".encode()).digest()
    return replace(
        job,
        seed=int.from_bytes(digest[:8]) >> 2,
        rivals={**job.rivals, CONTROL: Contender("definition")},
    )


def after_both(first: Verdict, second: Verdict) -> Verdict:
    """What holds after the second trial: its verdict, without the control's times.

    Where nothing could be measured beside a control, the first verdict stays.
    """
    costs = {
        "gpu_s": first.gpu_s + second.gpu_s,
        "energy_j": first.energy_j + second.energy_j,
    }
    if second.outcome is Outcome.TIMEOUT or f"{CONTROL}{OUT}" in second.evidence:
        evidence = {**first.evidence, "looked at again": second.reason or "without a control"}
        return replace(first, evidence=evidence, **costs)
    return replace(
        second,
        timings=tuple(timing for timing in second.timings if timing.subject != CONTROL),
        comparisons=tuple(pair for pair in second.comparisons if pair.baseline != CONTROL),
        evidence={**second.evidence, "suspected at first": first.reason},
        **costs,
    )
