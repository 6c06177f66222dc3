"""One candidate's trial: run it on inputs it never saw, hold it to the truth, then time it."""

import gc
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from onetrip.bench.problems import resolve
from onetrip.bench.timing import TimingReport, interleaved
from onetrip.lab.judge import verify
from onetrip.lab.judge.calls import Step, Steps, Tensors, first_step, new_case, pinned
from onetrip.lab.judge.failure import Stage
from onetrip.lab.judge.job import Contender, JudgeJob, judge_job_from
from onetrip.lab.judge.limits import limited_memory
from onetrip.lab.verdict import Check, Comparison, Outcome, Timing, Verdict
from onetrip.testing.contract.operator import Call, Case
from onetrip.testing.poison import poisoned


def run(document: Mapping, stage: Stage) -> dict[str, object]:
    """Answer a job document with a verdict document. What the candidate raises goes to the top."""
    try:
        return judge(judge_job_from(document), stage).as_dict()
    finally:
        _leave_nothing()


def _leave_nothing() -> None:
    """The next job of this worker finds the device as a new process would."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def judge(job: JudgeJob, stage: Stage) -> Verdict:
    """Verify, then time. Nothing is timed that is not correct."""
    stage("reading the problem")
    ref = job.problem
    problem = resolve(ref.operator, workload=ref.workload, recorded=ref.recorded)
    inputs = problem.inputs(job.seed, ref.device_kind)
    case = new_case(ref.operator, problem.workload, ref.device_kind)
    wrt = case.differentiable(inputs) if job.backward else ()
    candidate = pinned(case, job.candidate)

    steps, checks, scope = _against_truth(job, case, candidate, inputs, wrt, stage)
    if not _all_passed(checks):
        return _incorrect(checks, scope)
    if job.truth_rows is not None:
        stage("running the whole problem")
        whole = case.reference if job.eager else candidate
        steps, expected = first_step(case, whole, inputs, wrt, job.seed)
        if job.eager:
            actual = _guarded(steps.of(candidate), inputs, job.memory_bytes)
            checks += verify.at_full_size(actual, expected)
            scope += ", and the whole problem against plain torch"
            del actual
        del expected
    if not _all_passed(checks):
        return _incorrect(checks, scope)
    stage("timing")
    # They take turns while the clock runs: no sample sees the inputs of the one before it.
    sets = [inputs, verify.roll_rows(inputs, case.operator.spec)]
    return _timed(job, case, steps, sets, checks, scope)


def _against_truth(
    job: JudgeJob,
    case: Case,
    candidate: Call,
    inputs: Tensors,
    wrt: tuple[str, ...],
    stage: Stage,
) -> tuple[Steps, list[Check], str]:
    spec = case.operator.spec
    scope = "all rows against float64"
    if job.truth_rows is not None:
        letter = next(iter(spec.axes))
        inputs = verify.take_rows(inputs, spec, job.truth_rows, job.seed)
        scope = f"{job.truth_rows} rows (axis {letter}) against float64"
    stage("computing the truth")
    wide = verify.wide(inputs)
    steps, gold = first_step(case, case.reference, wide, wrt, job.seed)
    eager = steps.of(case.reference)(inputs)
    stage("running the candidate")
    given = {name: tensor.clone() for name, tensor in inputs.items()}
    actual = _guarded(steps.of(candidate), given, job.memory_bytes)
    stage("verifying")
    checks = verify.against_truth(actual, eager, gold, spec)
    return steps, [*checks, *verify.untouched(inputs, given)], scope


def _guarded(step: Step, inputs: Tensors, memory_bytes: int | None) -> dict[str, Tensor]:
    """One step with fresh memory poisoned: no old result can pass for the candidate's own."""
    on_device = any(tensor.is_cuda for tensor in inputs.values())
    with limited_memory(None if on_device else memory_bytes), poisoned():
        results = step(inputs)
        if on_device:
            # A launch that fails on the device is the candidate's, not the next stage's.
            torch.cuda.synchronize()
    return results


def _timed(
    job: JudgeJob,
    case: Case,
    steps: Steps,
    sets: list[dict[str, Tensor]],
    checks: list[Check],
    scope: str,
) -> Verdict:
    contenders = {"candidate": job.candidate, **job.baselines}
    calls = {subject: pinned(case, contender) for subject, contender in contenders.items()}
    if job.eager_timed:
        contenders["eager"] = Contender("reference", {})
        calls["eager"] = case.reference
    report = _time({subject: steps.of(call) for subject, call in calls.items()}, sets, job)
    failure = report.failures.get("candidate")
    if failure is not None:
        # It ran before: only many calls, or the clock's own needs, can have broken it.
        out_of_memory = failure.outcome == "out_of_memory"
        return Verdict(
            Outcome.OUT_OF_MEMORY if out_of_memory else Outcome.CRASHED,
            reason=f"while timing: {failure.reason}",
            scope=scope,
            checks=tuple(checks),
        )
    return _done(report, contenders, checks, scope)


def _time(steps: Mapping[str, Step], sets: list[dict[str, Tensor]], job: JudgeJob) -> TimingReport:
    turn = 0

    def next_inputs() -> None:
        nonlocal turn
        turn += 1

    def call(step: Step) -> Callable[[], object]:
        return lambda: step(sets[turn % len(sets)])

    return interleaved(
        {subject: call(step) for subject, step in steps.items()},
        device=job.problem.device_kind,
        warmup=job.warmup,
        samples=job.samples,
        seconds_each=job.seconds_each,
        prepare=next_inputs,
        seed=job.seed,
    )


def _all_passed(checks: list[Check]) -> bool:
    return all(check.passed for check in checks)


def _incorrect(checks: list[Check], scope: str) -> Verdict:
    worst = next(check for check in checks if not check.passed)
    return Verdict(Outcome.INCORRECT, reason=worst.message, scope=scope, checks=tuple(checks))


def _done(
    report: TimingReport,
    contenders: Mapping[str, Contender],
    checks: list[Check],
    scope: str,
) -> Verdict:
    timings = tuple(
        Timing(
            subject=subject,
            impl=contenders[subject].impl,
            config=contenders[subject].config,
            samples_ms=timing.samples_ms,
            median_ms=timing.median_ms,
            low_ms=timing.low_ms,
            high_ms=timing.high_ms,
            peak_bytes=timing.peak_bytes,
        )
        for subject, timing in report.timings.items()
    )
    comparisons = []
    for baseline in report.timings.keys() - {"candidate"}:
        pair = report.speedup("candidate", baseline)
        comparisons.append(Comparison(baseline, pair.median, pair.low, pair.high))
    evidence = {f"{subject} failed": failure.reason for subject, failure in report.failures.items()}
    return Verdict(
        Outcome.DONE,
        scope=scope,
        evidence=evidence,
        checks=tuple(checks),
        timings=timings,
        comparisons=tuple(sorted(comparisons, key=lambda pair: pair.baseline)),
    )
