"""One trial: what a claim asks, put to the judge that its kind of problem needs."""

from collections.abc import Callable, Mapping
from typing import Any

from onetrip.lab.judge.machine import machine
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.claims import Claim
from onetrip.lab.verdict import Verdict

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


def judge(job: TrialJob, on_stage: OnStage, on_start: OnStart, should_stop: ShouldStop) -> Verdict:
    """Judge a job here, on this machine, whose ceilings say what is too fast to be true."""
    if job.problem.kind == "run":
        from onetrip.lab.problems.run import judge_run

        return judge_run(job, on_stage=on_stage, on_start=on_start, should_stop=should_stop)
    from onetrip.lab.judge.isolated import judge_isolated

    return judge_isolated(
        job,
        on_stage=on_stage,
        on_start=on_start,
        should_stop=should_stop,
        ceilings=machine(job.device).device,
    )
