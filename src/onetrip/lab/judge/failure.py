"""Turn an error, or a death, into an outcome with a reason and evidence."""

import signal
import traceback
from collections.abc import Callable

from onetrip.lab.judge.process import Ended
from onetrip.lab.verdict import Outcome, Verdict

_TRACEBACK_CHARACTERS = 3000


class Stage:
    """What the worker is doing, so that an error can say when it happened."""

    def __init__(self, send: Callable[[dict[str, object]], None]) -> None:
        self._send = send
        self.name = "starting"

    def __call__(self, name: str) -> None:
        """Enter a stage: "reading the problem", "verifying", "timing"."""
        self.name = name
        self._send({"stage": name})

    def progress(self, name: str, share: float) -> None:
        """Say how much of a long stage is done, from 0 to 1."""
        self.name = name
        self._send({"stage": name, "share": share})


def describe(error: Exception, stage: str) -> dict[str, object]:
    """Answer of a worker whose job raised `error` during `stage`."""
    # Here, not above: the tuner reads this module too, and needs no torch.
    from onetrip.bench.outcome import failure_of

    failure = failure_of(error)
    outcomes = {"out_of_memory": Outcome.OUT_OF_MEMORY, "compile_error": Outcome.COMPILE_ERROR}
    trace = "".join(traceback.format_exception(error))
    return Verdict(
        outcomes.get(failure.outcome, Outcome.CRASHED),
        reason=f"while {stage}: {failure.reason}",
        evidence={
            "stage": stage,
            "error": type(error).__name__,
            "message": str(error)[:_TRACEBACK_CHARACTERS],
            "traceback": trace[-_TRACEBACK_CHARACTERS:],
        },
    ).as_dict()


def verdict_of_death(ended: Ended, stage: str, limit_s: float) -> Verdict:
    """Verdict on a worker that ended without an answer."""
    evidence = {"stage": stage, "output": ended.tail, "exit_status": ended.returncode}
    if ended.timed_out:
        reason = f"while {stage}: no answer after {limit_s:.0f} s"
        return Verdict(Outcome.TIMEOUT, reason, evidence=evidence)
    status = ended.returncode or 0
    if status == -signal.SIGXCPU:
        reason = f"while {stage}: used up its CPU time"
        return Verdict(Outcome.TIMEOUT, reason, evidence=evidence)
    if status == -signal.SIGKILL:
        reason = f"while {stage}: killed by SIGKILL, most often the system short of memory"
    elif status < 0:
        reason = f"while {stage}: killed by {signal.Signals(-status).name}"
    else:
        reason = f"while {stage}: left with exit status {status} and no answer"
    return Verdict(Outcome.CRASHED, reason, evidence=evidence)
