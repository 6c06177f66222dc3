"""The problem, the device and the environment, found out by a worker so that we load no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from onetrip.core import errors
from onetrip.core.cost import Cost
from onetrip.core.device import Device
from onetrip.core.selection import Problem
from onetrip.lab.judge.failure import verdict_of_death
from onetrip.lab.judge.job import ANY_DEVICE, ProblemRef
from onetrip.lab.judge.process import WORKER, Message, run_job
from onetrip.lab.queue.submit import ProblemFacts
from onetrip.lab.store.study import fingerprint
from onetrip.lab.tune.request import TuneRequest
from onetrip.lab.tune.watcher import Watcher

# Training a workload takes a minute and a half; a machine may be slow or busy.
PREPARE_LIMIT_S = 900.0


@dataclass(frozen=True, slots=True)
class TunedProblem:
    """A problem as a tune knows it; `key` names the data behind a source that can change."""

    operator: str
    workload: str
    source: str
    axes: Mapping[str, int]
    dtype: str
    options: Mapping[str, object]
    backward: bool
    key: str = ""

    def fingerprint(self) -> str:
        """SHA-256 of all that changes the work."""
        parts = (self.operator, self.workload, self.source, self.key, self.dtype, self.backward)
        return fingerprint([*parts, dict(self.axes), dict(self.options)])

    def facts(self, cost: Cost) -> ProblemFacts:
        """The problem as the store keeps it; its one case has no name, nor have its timings."""
        case = {"name": "", "timed": True, "dtype": self.dtype, "cost": asdict(cost)}
        return ProblemFacts(
            kind="operator",
            name=f"{self.operator}/{self.workload}",
            fingerprint=self.fingerprint(),
            spec={
                "location": self.operator,
                "options": {"workload": self.workload},
                "source": self.source,
                "axes": dict(self.axes),
                "dtype": self.dtype,
                "arguments": dict(self.options),
                "backward": self.backward,
                "cases": [case],
            },
            brief=(
                f"`{self.operator}` on its problem `{self.workload}`, as `onetrip tune` searches "
                "its configurations: within one process, beside the default."
            ),
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """Answer of the worker's task "prepare"; `ref` names the problem to every later worker."""

    ref: ProblemRef
    problem: Problem
    row: TunedProblem
    device: Device
    environment: Mapping[str, object]
    memory_bytes: int | None


def prepare(
    request: TuneRequest,
    *,
    backward: bool,
    watcher: Watcher,
    command: tuple[str, ...] = WORKER,
) -> Prepared:
    """Make the problem (training it, when it is to be trained) and look at the device.

    Raises
    ------
    OnetripError
        What the worker found wrong: an unknown workload, a damaged file, no device.
    """
    recorded = None if request.recorded is None else str(request.recorded.resolve())
    ref = ProblemRef(
        request.operator, request.workload, recorded, request.device_kind or ANY_DEVICE
    )
    stage = "starting"

    def on_message(message: Message) -> None:
        nonlocal stage
        stage = str(message["stage"])
        share = message.get("share")
        watcher.preparing(stage, share if isinstance(share, float) else None)

    ended = run_job(
        {"task": "prepare", "problem": asdict(ref), "seconds": PREPARE_LIMIT_S},
        seconds=PREPARE_LIMIT_S,
        on_message=on_message,
        command=command,
    )
    answer = ended.answer
    if answer is None:
        death = verdict_of_death(ended, stage, PREPARE_LIMIT_S)
        raise errors.OnetripError(f"The problem could not be made: {death.reason}.\n{ended.tail}")
    if "outcome" in answer:
        raise _as_error(answer)
    return _prepared(answer, ref, backward)


def _prepared(answer: Mapping, ref: ProblemRef, backward: bool) -> Prepared:
    device = Device(**answer["device"])
    problem = Problem(**answer["problem"])
    row = TunedProblem(
        operator=ref.operator,
        workload=answer["workload"],
        source=answer["source"],
        axes=problem.axes,
        dtype=problem.dtype,
        options=problem.options,
        backward=backward,
        key=answer["key"],
    )
    workload = None if ref.recorded else row.workload
    ref = replace(ref, workload=workload, device_kind=problem.device_kind)
    return Prepared(ref, problem, row, device, answer["environment"], answer["memory_bytes"])


def _as_error(answer: Mapping) -> errors.OnetripError:
    """The worker's own error where it was one of ours, else one that tells what it was."""
    evidence = answer["evidence"]
    kind = getattr(errors, evidence["error"], None)
    if isinstance(kind, type) and issubclass(kind, errors.OnetripError):
        return kind(evidence["message"])
    return errors.OnetripError(
        f"The problem could not be made: {answer['reason']}\n{evidence['traceback']}"
    )
