"""One trial: what a claim asks, put to the judge that its kind of problem needs."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from onetrip.lab.judge.machine import machine
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.claims import Claim
from onetrip.lab.verdict import Verdict

if TYPE_CHECKING:
    from onetrip.lab.judge.isolated import Judge as IsolatedJudge

DEFAULT_LIMIT_S = 300.0
OnStage = Callable[[str, float | None], None]
OnStart = Callable[[int, str | None], None]
ShouldStop = Callable[[], bool]
Judge = Callable[[TrialJob, OnStage, OnStart, ShouldStop], Verdict]


def trial_job(claim: Claim, device: str, rivals: Mapping[str, Contender]) -> TrialJob:
    """The claim as the judge wants it."""
    limits: Mapping[str, Any] = claim.limits
    return TrialJob(
        problem=claim.problem,
        candidate=claim.contender,
        rivals=rivals,
        device=device,
        seed=claim.seed,
        purpose=claim.purpose,
        seconds=float(limits.get("seconds", DEFAULT_LIMIT_S)),
        memory_bytes=limits.get("memory_bytes"),
        cases=tuple(limits.get("cases", ())),
    )


class KeptJudge:
    """Judges here, on this machine, and keeps the oracle from one job to the next.

    For one thread, which must outlive it: the oracle dies with the thread that started it.
    """

    def __init__(self) -> None:
        self._kept: dict[str, "IsolatedJudge"] = {}

    def __call__(
        self, job: TrialJob, on_stage: OnStage, on_start: OnStart, should_stop: ShouldStop
    ) -> Verdict:
        """Put a job to the judge that its kind of problem needs."""
        # Here: the page hands out jobs and takes answers, and judges none.
        from onetrip.lab.judge.isolated import Judge as IsolatedJudge
        from onetrip.lab.problems.run import judge_run

        if job.problem.kind == "run":
            return judge_run(job, on_stage=on_stage, on_start=on_start, should_stop=should_stop)
        if job.device not in self._kept:
            # The ceilings say what is too fast to be true.
            self._kept[job.device] = IsolatedJudge(ceilings=machine(job.device).device)
        return self._kept[job.device].judge(
            job, on_stage=on_stage, on_start=on_start, should_stop=should_stop
        )

    def close(self) -> None:
        """End the oracles."""
        while self._kept:
            self._kept.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def judge(job: TrialJob, on_stage: OnStage, on_start: OnStart, should_stop: ShouldStop) -> Verdict:
    """Judge one job here, with an oracle of its own."""
    with KeptJudge() as kept:
        return kept(job, on_stage, on_start, should_stop)
