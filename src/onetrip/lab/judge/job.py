"""What the tuner asks of a worker, as plain values that travel as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from onetrip.core.selection import Config

# The worker that prepares takes a GPU when there is one, else the CPU.
ANY_DEVICE = "any"


@dataclass(frozen=True, slots=True)
class ProblemRef:
    """Which problem: a workload's name or a recorded file; neither is the operator's default."""

    operator: str
    workload: str | None
    recorded: str | None
    device_kind: str


@dataclass(frozen=True, slots=True)
class Contender:
    """An implementation with a configuration."""

    impl: str
    config: Config


@dataclass(frozen=True, slots=True)
class JudgeJob:
    """Verify one candidate, then time it beside its baselines.

    Parameters
    ----------
    seed : of inputs and of the order of samples; drawn after the candidate was fixed.
    baselines : subject -> contender: "default", and "current" where a table has an entry.
    eager : whether plain torch has room for the whole problem.
    eager_timed : whether it is timed too.
    backward : a step is forward and backward.
    truth_rows : rows on which float64 truth is computed; None for all.
    warmup, samples, seconds_each : of the timing protocol, for each contender.
    memory_bytes : what a candidate may take over its inputs; None for no limit.
    seconds : time limit of the whole job.
    """

    problem: ProblemRef
    candidate: Contender
    baselines: Mapping[str, Contender]
    eager: bool
    eager_timed: bool
    backward: bool
    seed: int
    truth_rows: int | None
    warmup: int
    samples: int
    seconds_each: float
    memory_bytes: int | None
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """The job document for the worker."""
        return {"task": "judge", **asdict(self)}


def judge_job_from(document: Mapping) -> JudgeJob:
    """Read what `JudgeJob.as_dict` wrote.

    >>> contender = Contender("torch", {})
    >>> job = JudgeJob(ProblemRef("linear_cross_entropy", None, None, "cpu"), contender,
    ...                {"default": contender}, True, True, True, 1, None, 2, 5, 1.0, None, 30.0)
    >>> judge_job_from(job.as_dict()) == job
    True
    """
    values = {name: document[name] for name in JudgeJob.__slots__}
    values["problem"] = ProblemRef(**values["problem"])
    values["candidate"] = Contender(**values["candidate"])
    values["baselines"] = {
        subject: Contender(**contender) for subject, contender in values["baselines"].items()
    }
    return JudgeJob(**values)
