"""An agent without a model: it climbs a ladder of edits, and keeps only what proved faster."""

from collections.abc import Mapping, Sequence

from onetrip.lab.agents import row_softmax_cpu, row_softmax_triton
from onetrip.lab.agents.agent import Lesson, Past, Proposal
from onetrip.lab.agents.ladder import Step

PROBLEM = "row_softmax"
_SURE, _UNSURE = 0.9, 0.3


class ScriptedAgent:
    """Proposes the steps of a ladder in order; each starts from the fastest that is right so far.

    Parameters
    ----------
    device : "cpu" climbs in plain torch, anything else in Triton.
    steps : another ladder, for another problem.

    Examples
    --------
    >>> agent = ScriptedAgent("cpu")
    >>> agent.propose({}, []).title
    'A row at a time'
    """

    def __init__(self, device: str = "cpu", steps: Sequence[Step] | None = None) -> None:
        ladder = row_softmax_cpu if device == "cpu" else row_softmax_triton
        self.steps = tuple(ladder.STEPS if steps is None else steps)

    @property
    def name(self) -> str:
        """Under which its experiments are filed."""
        return "agent:scripted"

    def propose(self, brief: Mapping[str, object], history: Sequence[Past]) -> Proposal | None:
        """The next rung, on top of the leader."""
        if len(history) >= len(self.steps):
            return None
        step = self.steps[len(history)]
        leader = leader_of(history)
        return Proposal(
            source=step.source,
            title=step.title,
            why=step.why,
            parent=None if leader is None else leader.experiment_id,
            prediction=step.prediction if leader is not None else None,
        )

    def learn(self, brief: Mapping[str, object], history: Sequence[Past]) -> Sequence[Lesson]:
        """What each rung taught that was measured."""
        return [
            Lesson(*lesson_of(step, past), (past.experiment_id,))
            for step, past in zip(self.steps, history, strict=False)
            if past.state in ("done", "incorrect")
        ]

    def spent(self) -> Mapping[str, float]:
        """Nothing: no model is asked."""
        return {}


def leader_of(history: Sequence[Past]) -> Past | None:
    """The first that was right, then each that was faster than what it was made from.

    >>> first, slower = Past(1, "a", "done"), Past(2, "b", "done", speedup=0.9, low=0.8, high=0.95)
    >>> leader_of([first, slower]).experiment_id
    1
    """
    leader = None
    for past in history:
        if past.state == "done" and (leader is None or past.faster):
            leader = past
    return leader


def lesson_of(step: Step, past: Past) -> tuple[str, float]:
    """What one rung taught, and how sure that is.

    An answer that is wrong, and a prediction that is refuted, teach the same. One that is
    inconclusive teaches that this machine does not tell.
    """
    if past.state == "incorrect" or past.hypothesis_status == "refuted":
        return step.if_wrong, _SURE
    if past.hypothesis_id is None or past.hypothesis_status == "supported":
        return step.if_right, _SURE
    interval = "" if past.low is None else f": the ratio lies in {past.low:.2f} to {past.high:.2f}"
    return f"{step.title}: not decided here{interval}. Measure again on a quiet machine.", _UNSURE
