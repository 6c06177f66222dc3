"""From what became of a candidate to an outcome with a reason."""

from collections.abc import Mapping

from onetrip.lab.judge.child import Babbled, Breached, Child, Gone, Late
from onetrip.lab.judge.wire import Reply, Status
from onetrip.lab.verdict import Check, Outcome

_STATUSES = {
    Status.RAISED: Outcome.CRASHED,
    Status.COMPILE_ERROR: Outcome.COMPILE_ERROR,
    Status.OUT_OF_MEMORY: Outcome.OUT_OF_MEMORY,
    Status.WRONG_OUTPUT: Outcome.INCORRECT,
    Status.BROKEN_RULE: Outcome.HACKED,
    Status.UNSUPPORTED: Outcome.CRASHED,
}
# A write beyond the buffer is a mistake more often than a trick. The others serve nobody who
# does the work.
_HONEST_MISTAKES = frozenset({"guard band", "unwritten output", "not deterministic"})
_REASON_CHARACTERS = 300


class Ruling(Exception):
    """The end of a trial: what the candidate is found to be, and why."""

    def __init__(
        self,
        outcome: Outcome,
        reason: str,
        evidence: Mapping[str, object] | None = None,
        checks: tuple[Check, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.evidence = dict(evidence or {})
        self.checks = checks


class LabAtFault(Exception):
    """The oracle or the lab failed; the candidate is to be tried again."""

    def __init__(self, reason: str, evidence: Mapping[str, object] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.evidence = dict(evidence or {})


def ruling_on_reply(reply: Reply, stage: str) -> Ruling:
    """What an error that the harness caught makes of the contender."""
    reason, _, trace = reply.text.partition("\n\n")
    return Ruling(
        _STATUSES[reply.status],
        f"while {stage}: {_short(reason)}",
        {"stage": stage, "status": reply.status.name.lower(), "traceback": trace},
    )


def ruling_on_rule(rule: str, seen: str, stage: str, evidence: Mapping[str, object]) -> Ruling:
    """What a rule that the oracle saw broken makes of the candidate."""
    outcome = Outcome.INCORRECT if rule in _HONEST_MISTAKES else Outcome.HACKED
    return Ruling(
        outcome, f"while {stage}: {rule}: {seen}", {**evidence, "rule": rule, "seen": seen}
    )


def ruling_on_end(
    end: Gone | Late | Breached | Babbled, child: Child, stage: str, limit_s: float
) -> Ruling:
    """What the death, or the silence, of a contender's process makes of it."""
    evidence: dict[str, object] = {"stage": stage, "sandbox": child.level}
    if isinstance(end, Late):
        reason = f"while {stage}: no answer when the trial's {limit_s:.0f} s were over"
        return Ruling(Outcome.TIMEOUT, reason, evidence)
    if isinstance(end, Babbled):
        reason = f"while {stage}: forged answer: {end}"
        return Ruling(Outcome.HACKED, _short(reason), {**evidence, "rule": "forged answer"})
    breach = end.breach if isinstance(end, Breached) else child.breach()
    if breach is not None:
        outcome = Outcome.OUT_OF_MEMORY if breach.wall == "memory" else Outcome.CRASHED
        reason = f"while {stage}: more {breach.wall} than it may have: {breach.what}"
        return Ruling(outcome, reason, {**evidence, "breach": breach.wall, "seen": breach.what})
    status = end.returncode if isinstance(end, Gone) else None
    if child.could_not_start(status):
        raise LabAtFault("the sandbox could not be built", {**evidence, "output": child.log()})
    evidence["exit_status"] = status
    name = child.signal_name(status)
    if name == "SIGXCPU":
        return Ruling(Outcome.TIMEOUT, f"while {stage}: used up its processor time", evidence)
    if name is not None:
        hint = ", most often for want of memory" if name == "SIGKILL" else ""
        return Ruling(Outcome.CRASHED, f"while {stage}: killed by {name}{hint}", evidence)
    if status is None:
        return Ruling(
            Outcome.CRASHED, f"while {stage}: closed the judge's connection and went on", evidence
        )
    reason = f"while {stage}: left with exit status {status} and no answer"
    return Ruling(Outcome.CRASHED, reason, evidence)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _REASON_CHARACTERS else text[: _REASON_CHARACTERS - 1] + "…"
