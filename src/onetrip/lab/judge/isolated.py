"""The isolated judge: oracle, candidate and rivals in processes of their own; bytes cross.

This process holds no torch, no device and no tensor. It says who does what when, holds the second
clock, and makes the verdict from raw samples and from what the oracle saw.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from onetrip.core.device import Device
from onetrip.lab.judge import findings
from onetrip.lab.judge.child import Child, Deadline, Stopped
from onetrip.lab.judge.process import process_started
from onetrip.lab.judge.proof import prove, prove_again, prove_rivals
from onetrip.lab.judge.race import Race, race
from onetrip.lab.judge.ruling import LabAtFault, Ruling
from onetrip.lab.judge.side import CONTENDER, Side, start_side, unforeseen_draw
from onetrip.lab.judge.static_rules import static_flags
from onetrip.lab.judge.suspicion import after_both, is_suspicion, once_more
from onetrip.lab.judge.telemetry import Telemetry
from onetrip.lab.judge.trial import Stage, Trial
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.judge.warm import QUIETLY, WARM
from onetrip.lab.sandbox.level import level
from onetrip.lab.verdict import Outcome, Verdict

ORACLE = (*QUIETLY, sys.executable, "-P", "-m", "onetrip.lab.judge.oracle")
_LOG_CHARACTERS = 8000

OnStart = Callable[[int, str | None], None]


@dataclass(frozen=True, slots=True)
class Programs:
    """What is started for the oracle and for a contender."""

    oracle: Sequence[str] = ORACLE
    contender: Sequence[str] = CONTENDER


def judge_isolated(
    job: TrialJob,
    *,
    on_stage: Stage = lambda name, share: None,
    on_start: OnStart = lambda pid, started: None,
    should_stop: Callable[[], bool] = lambda: False,
    ceilings: Device | None = None,
) -> Verdict:
    """Try one candidate. Whatever happens, all that was started is gone on return.

    Parameters
    ----------
    on_stage : receives what goes on, and how much of it is done where that is known.
    on_start : receives the candidate's pid and `process_started`, before its source is sent.
    should_stop : asked several times a second; the verdict is then "infra_lost".
    ceilings : of the device, from which floors follow; None for no floors.
    """
    with Judge(ceilings=ceilings) as judge:
        return judge.judge(job, on_stage=on_stage, on_start=on_start, should_stop=should_stop)


class Judge:
    """Judges one candidate after the other, with one oracle as long as it lives.

    Used by one thread: the oracle dies with the thread that started it.

    Parameters
    ----------
    ceilings : of the device, from which floors follow; None for no floors.
    """

    def __init__(self, *, ceilings: Device | None = None, programs: Programs | None = None) -> None:
        self._ceilings = ceilings
        self._programs = programs or Programs()
        self._oracle: Child | None = None

    def judge(
        self,
        job: TrialJob,
        *,
        on_stage: Stage = lambda name, share: None,
        on_start: OnStart = lambda pid, started: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Verdict:
        """Try one candidate; see `judge_isolated`. A suspicion has a limit of its own."""

        def once(job: TrialJob) -> Verdict:
            return self._once(job, on_stage, on_start, should_stop)

        first = once(job)
        if not is_suspicion(first):
            return first
        on_stage("suspected: looking again, beside a control", None)
        return after_both(first, once(once_more(job)))

    def _once(
        self, job: TrialJob, on_stage: Stage, on_start: OnStart, should_stop: Callable[[], bool]
    ) -> Verdict:
        deadline = Deadline(time.monotonic() + job.seconds, should_stop)
        sides: dict[str, Side] = {}
        trial = None
        began_s = time.monotonic()
        try:
            warm = self._programs == Programs() and job.device == "cpu"
            if warm:
                walled = _forks_contenders(job) and level().name == "bubblewrap"
                WARM.begin(walled=walled and job.candidate.kind == "source")
            oracle = self._oracle_process(deadline, warm=warm)
            for name, contender in {"candidate": job.candidate, **job.rivals}.items():
                sides[name] = start_side(
                    name,
                    contender,
                    device=job.device,
                    seconds=job.seconds,
                    memory_bytes=job.memory_bytes,
                    command=self._programs.contender,
                    warm=warm and _forks_contenders(job),
                )
            candidate = sides["candidate"].child
            on_start(candidate.pid, process_started(candidate.pid))
            trial = Trial(job, oracle, sides, deadline, unforeseen_draw(), on_stage)
            with Telemetry(job.device) as telemetry:
                verdict = _conduct(trial, telemetry, self._ceilings)
        except Ruling as ruling:
            verdict = Verdict(
                ruling.outcome,
                ruling.reason,
                scope=_scope(trial),
                evidence=ruling.evidence,
                checks=tuple(trial.checks.values()) if trial else (),
            )
        except LabAtFault as fault:
            self.close()
            verdict = Verdict(Outcome.INFRA_LOST, fault.reason, evidence=fault.evidence)
        except Stopped:
            # The oracle may be in the middle of an answer.
            self.close()
            verdict = Verdict(Outcome.INFRA_LOST, "stopped by the lab")
        finally:
            for side in sides.values():
                side.end()
            if sys.exc_info()[0] is not None:
                self.close()
        return _completed(verdict, job, sides, time.monotonic() - began_s)

    def close(self) -> None:
        """End the oracle."""
        if self._oracle is not None:
            self._oracle.end()
            self._oracle = None

    def __enter__(self) -> "Judge":
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _oracle_process(self, deadline: Deadline, *, warm: bool) -> Child:
        if self._oracle is not None and self._oracle.forked and not warm:
            # No fork of a template has ever been tried on a device.
            self.close()
        if self._oracle is None:
            self._oracle = Child(self._programs.oracle, warm=warm)
            self._oracle.tell({"parent_pid": self._oracle.parent_pid}, deadline)
        return self._oracle


def _forks_contenders(job: TrialJob) -> bool:
    """Whether contenders of this trial may be forked from a process that has imported torch.

    Not where a title is at stake: addresses that were drawn once for all forks would favour the
    same contender in both of its runs.
    """
    return job.purpose != "confirm"


def _conduct(trial: Trial, telemetry: Telemetry, ceilings: Device | None) -> Verdict:
    """The order of proof: nothing is timed that is not right."""
    before = telemetry.sample()
    trial.open()
    trial.calibrate()
    trial.load()
    prove(trial)
    prove_rivals(trial)
    found = race(trial, telemetry)
    prove_again(trial)
    findings.refuse_work_ahead(trial)
    findings.refuse_helpers_ahead(trial)
    findings.refuse_slow_taking(trial)
    findings.hold_clocks_together(trial)
    return _done(trial, found, ceilings, telemetry.since(before).get("energy_j", 0.0))


def _done(trial: Trial, found: Race, ceilings: Device | None, energy_j: float) -> Verdict:
    timings = findings.timings_of(trial, found, ceilings)
    if not any(timing.subject == "candidate" for timing in timings):
        raise Ruling(
            Outcome.TIMEOUT,
            f"right, but a call takes up to {trial.longest_call_s:.3g} s: none could be timed in "
            f"the trial's {trial.job.seconds:.0f} s",
            {"longest_call_s": trial.longest_call_s},
        )
    evidence: dict[str, object] = {
        "verified_calls": trial.verified,
        "judged_calls": trial.calls,
        "problem": {name: trial.facts[name] for name in ("name", "fingerprint", "tolerance")},
        "empty_call_ms": findings.empty_calls_ms(trial.sides["candidate"]),
        **findings.failures_of(list(trial.sides.values())),
    }
    if found.cut_short:
        evidence["cut_short"] = found.cut_short
    return Verdict(
        Outcome.DONE,
        scope=_scope(trial),
        evidence=evidence,
        checks=tuple(trial.checks.values()),
        timings=timings,
        comparisons=findings.comparisons_of(trial, found),
        flags=findings.runtime_flags(trial),
        quarantined=findings.below_the_floor(timings, trial, ceilings),
        energy_j=energy_j,
    )


def _scope(trial: Trial | None) -> str:
    if trial is None or not trial.facts:
        return ""
    return (
        f"{trial.verified} of {trial.calls} calls on {len(trial.case_names())} cases, each on data "
        "of its own, against float64"
    )


def _completed(verdict: Verdict, job: TrialJob, sides: dict[str, Side], seconds: float) -> Verdict:
    """The verdict with its labels, its log and its cost."""
    labels = static_flags(job.candidate.source) if job.candidate.kind == "source" else ()
    child = sides["candidate"].child if "candidate" in sides else None
    return replace(
        verdict,
        evidence={**verdict.evidence, "sandbox": child.level if child else ""},
        flags=(*labels, *verdict.flags),
        gpu_s=seconds if job.device.startswith("cuda") else 0.0,
        log=child.log()[-_LOG_CHARACTERS:] if child else "",
    )
