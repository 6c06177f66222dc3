"""Facts about a problem for a process without torch: a worker finds them out."""

from collections.abc import Callable

from onetrip.core import errors
from onetrip.lab.judge.failure import verdict_of_death
from onetrip.lab.judge.process import WORKER, Message, run_job
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.queue.submit import ProblemFacts

# Screening a large problem on a CPU; training an operator's workload on its first use.
_LIMIT_S = 900.0


def facts_of(
    ref: ProblemRef,
    *,
    weight: float = 1.0,
    on_stage: Callable[[str], None] = lambda stage: None,
    command: tuple[str, ...] = WORKER,
) -> ProblemFacts:
    """Load and screen a problem in a worker; for a run, read its file.

    Parameters
    ----------
    ref : where the problem is.
    weight : its share of the whole that it stands for.
    on_stage : told what the worker is doing.

    Returns
    -------
    ProblemFacts
        `refused` says why a problem may not be judged: it accepts all zeros, say.

    Raises
    ------
    OnetripError
        What is wrong with the problem's files, as the worker found it.
    """
    if ref.kind == "run":
        from onetrip.lab.problems.run_spec import run_facts

        return run_facts(ref, weight=weight)
    stage = "starting"

    def on_message(message: Message) -> None:
        nonlocal stage
        stage = str(message["stage"])
        on_stage(stage)

    ended = run_job(
        {"task": "describe", "problem": ref.as_dict(), "seconds": _LIMIT_S},
        seconds=_LIMIT_S,
        on_message=on_message,
        command=command,
    )
    if ended.answer is None:
        death = verdict_of_death(ended, stage, _LIMIT_S)
        raise errors.DataError(
            f"The problem {ref.location} could not be read: {death.reason}.\n{ended.tail}"
        )
    if "outcome" in ended.answer:
        raise _as_error(ref, dict(ended.answer))
    return ProblemFacts(**{**ended.answer, "weight": weight})  # type: ignore[arg-type]


def _as_error(ref: ProblemRef, answer: dict) -> errors.OnetripError:
    """The worker's own error where it was one of ours, else one that tells what it was."""
    evidence = answer["evidence"]
    kind = getattr(errors, evidence["error"], None)
    if isinstance(kind, type) and issubclass(kind, errors.OnetripError):
        return kind(evidence["message"])
    return errors.DataError(
        f"The problem {ref.location} could not be read: {answer['reason']}\n{evidence['traceback']}"
    )
