"""Judge a run: pairs of runs beside the baseline, bounds first, then the objective."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from onetrip.core.errors import ArgumentError
from onetrip.lab.judge.paired import median_interval, paired_speedup
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender
from onetrip.lab.problems.run_process import (
    Answer,
    RunFailedError,
    Runner,
    StoppedError,
    Watch,
    runner_of,
)
from onetrip.lab.problems.run_space import from_source
from onetrip.lab.problems.run_spec import MAXIMIZE, RunSpec, read_run
from onetrip.lab.verdict import Check, Comparison, Metric, Outcome, Timing, Verdict

# With fewer pairs than this, no interval says anything: the trial is out of time instead.
_FEWEST_PAIRS = 3
_SEEDS = 2**31 - 1

Side = str
CANDIDATE, BASELINE = "candidate", "baseline"


def judge_run(
    job: TrialJob,
    *,
    on_stage: Callable[[str, float | None], None] = lambda name, share: None,
    on_start: Callable[[int, str | None], None] = lambda pid, started: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Verdict:
    """Run a candidate and its baseline in turns. What was started is gone on return.

    Parameters
    ----------
    job : of a problem of kind "run"; the candidate is a "config", or a "source" of constants,
        which is read and not run. The rival "baseline" is the champion's configuration; without
        it, the file's own baseline.
    on_stage : receives what goes on, and how much of it is done.
    on_start : receives the pid of each process and when it started.
    should_stop : asked several times a second; the verdict is then "infra_lost".

    Returns
    -------
    Verdict
        "incorrect" where a run broke a bound; "done" with the median of every metric, and the
        ratio to the baseline in the objective's direction: above 1 is better.

    Notes
    -----
    Both runs of a pair get the same seed, and which is first is drawn. Bounds are held in every
    run, those against the baseline within the pair.
    """
    spec = read_run(job.problem)
    try:
        sides = _sides(spec, job)
    except ArgumentError as error:
        return Verdict(Outcome.CRASHED, f"while reading the configuration: {error}")
    trial = _Trial(spec, job, sides, on_stage, on_start, should_stop)
    try:
        return trial.run()
    except StoppedError:
        return Verdict(Outcome.INFRA_LOST, "stopped by the lab", evidence=trial.evidence())
    except _FailedSideError as failed:
        return _failure(failed, trial.evidence())
    finally:
        trial.close()


def _sides(spec: RunSpec, job: TrialJob) -> dict[Side, dict[str, object]]:
    """All parameters of the candidate and, where it is another, of its baseline."""
    rival = job.rivals.get(BASELINE, Contender("definition"))
    sides = {
        CANDIDATE: spec.config(_values(spec, job.candidate)),
        BASELINE: spec.config(_values(spec, rival)),
    }
    if sides[CANDIDATE] == sides[BASELINE]:
        del sides[BASELINE]
    return sides


def _values(spec: RunSpec, contender: Contender) -> Mapping[str, object]:
    """The parameters that a contender sets."""
    if contender.kind == "config":
        return contender.config
    if contender.kind == "source":
        return from_source(contender.source)
    if contender.kind == "definition":
        return {}
    raise ArgumentError(
        f"A run takes a configuration, not a {contender.kind}: parameters are {sorted(spec.space)}."
    )


class _FailedSideError(Exception):
    """A run of one side gave no metrics."""

    def __init__(self, side: Side, stage: str, failed: RunFailedError) -> None:
        super().__init__(failed.reason)
        self.side, self.stage, self.failed = side, stage, failed


@dataclass(slots=True)
class _Runs:
    """What one side answered, pair by pair."""

    runner: Runner
    config: Mapping[str, object]
    answers: list[Answer] = field(default_factory=list)

    def values(self, metric: str) -> list[float]:
        return [answer.metrics[metric] for answer in self.answers]


class _Trial:
    def __init__(
        self,
        spec: RunSpec,
        job: TrialJob,
        sides: Mapping[Side, Mapping[str, object]],
        on_stage: Callable[[str, float | None], None],
        on_start: Callable[[int, str | None], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._spec, self._job, self._on_stage = spec, job, on_stage
        self._begin_s = time.monotonic()
        self._watch = Watch(
            end_s=self._begin_s + job.seconds,
            limit_s=spec.seconds,
            memory_bytes=job.memory_bytes,
            should_stop=should_stop,
            on_start=on_start,
        )
        self._random = random.Random(job.seed)
        self._sides = {
            name: _Runs(runner_of(spec, config, job.device), config)
            for name, config in sides.items()
        }
        self._pairs: list[dict[str, object]] = []

    def run(self) -> Verdict:
        """Warm up, then run pair after pair until there are enough or the time is up."""
        for turn in range(self._spec.warmup):
            self._on_stage("warming up", turn / self._spec.warmup)
            self._pair("warming up")
        wanted = self._spec.repeats * (2 if self._job.purpose == "confirm" else 1)
        longest_s = 0.0
        for turn in range(wanted):
            left_s = self._watch.end_s - time.monotonic()
            if turn >= min(_FEWEST_PAIRS, wanted) and left_s < 1.5 * longest_s:
                break
            self._on_stage("running", turn / wanted)
            begin_s = time.monotonic()
            seed, order, answers = self._pair("running")
            longest_s = max(longest_s, time.monotonic() - begin_s)
            self._note(seed, order, answers)
            broken = self._broken(answers)
            if broken is not None:
                return broken
        return self._done()

    def evidence(self) -> dict[str, object]:
        """Every pair so far: seed, order, metrics, seconds."""
        return {
            "parameters": {name: dict(side.config) for name, side in self._sides.items()},
            "pairs": self._pairs,
        }

    def close(self) -> None:
        """End both sides."""
        for side in self._sides.values():
            side.runner.close()

    def _pair(self, stage: str) -> tuple[int, list[Side], dict[Side, Answer]]:
        seed = self._random.randrange(_SEEDS)
        order = list(self._sides)
        self._random.shuffle(order)
        answers = {}
        for name in order:
            try:
                answers[name] = self._sides[name].runner.once(seed, self._watch)
                self._require_metrics(answers[name])
            except RunFailedError as failed:
                raise _FailedSideError(name, stage, failed) from failed
        return seed, order, answers

    def _require_metrics(self, answer: Answer) -> None:
        wanted = {self._spec.objective, *(bound.metric for bound in self._spec.bounds)}
        missing = sorted(wanted - answer.metrics.keys())
        if missing:
            raise RunFailedError(
                Outcome.CRASHED,
                f"it gave no metric {', '.join(missing)}, only {sorted(answer.metrics)}",
            )

    def _note(self, seed: int, order: list[Side], answers: Mapping[Side, Answer]) -> None:
        for name, answer in answers.items():
            self._sides[name].answers.append(answer)
        self._pairs.append(
            {
                "seed": seed,
                "order": order,
                **{
                    name: {
                        # JSON has no word for what is not a number.
                        "metrics": {k: v if v == v else None for k, v in answer.metrics.items()},
                        "seconds": round(answer.seconds, 4),
                    }
                    for name, answer in answers.items()
                },
            }
        )

    def _broken(self, answers: Mapping[Side, Answer]) -> Verdict | None:
        """A verdict where the candidate's run of this pair is not what it must be."""
        metrics = answers[CANDIDATE].metrics
        checks = self._checks([answers])
        failed = next((check for check in checks if not check.passed), None)
        value = metrics[self._spec.objective]
        if failed is None and abs(value) < float("inf"):
            return None
        reason = failed.message if failed else f"`{self._spec.objective}` is {value}"
        return Verdict(
            Outcome.INCORRECT,
            reason,
            scope=f"run {len(self._pairs)}",
            evidence=self.evidence(),
            checks=tuple(checks),
            metrics=self._metrics(),
        )

    def _checks(self, pairs: Sequence[Mapping[Side, Answer]]) -> list[Check]:
        checks = []
        for bound in self._spec.bounds:
            worst: Check | None = None
            for answers in pairs:
                own = answers[CANDIDATE].metrics
                baseline = answers.get(BASELINE, answers[CANDIDATE]).metrics
                value, limit = own[bound.metric], bound.limit(baseline)
                passed = bound.holds(own, baseline)
                message = (
                    ""
                    if passed
                    else f"`{bound.metric}` is {value:.6g}, and the bound is "
                    f"`{bound.text}`: {limit:.6g}"
                )
                check = Check(bound.text, passed, _finite(value), _finite(limit), message)
                if worst is None or (worst.passed and not passed):
                    worst = check
            if worst is not None:
                checks.append(worst)
        return checks

    def _done(self) -> Verdict:
        pairs = len(self._pairs)
        every = [
            {name: side.answers[turn] for name, side in self._sides.items()}
            for turn in range(pairs)
        ]
        seconds = sum(answer.seconds for side in self._sides.values() for answer in side.answers)
        return Verdict(
            Outcome.DONE,
            scope=f"{pairs} runs of each side, every bound in every run",
            evidence=self.evidence(),
            checks=tuple(self._checks(every)),
            timings=tuple(self._timing(name, side) for name, side in self._sides.items()),
            comparisons=self._comparisons(),
            metrics=self._metrics(),
            gpu_s=0.0 if self._job.device == "cpu" else seconds,
        )

    def _comparisons(self) -> tuple[Comparison, ...]:
        if BASELINE not in self._sides:
            return ()
        own = self._sides[CANDIDATE].values(self._spec.objective)
        other = self._sides[BASELINE].values(self._spec.objective)
        if min(*own, *other) <= 0:
            # No ratio of what may be zero or negative.
            return ()
        slow, fast = (own, other) if self._spec.direction == MAXIMIZE else (other, own)
        ratio = paired_speedup([[value] for value in fast], [[value] for value in slow])
        return (Comparison(BASELINE, *ratio),)

    def _metrics(self) -> tuple[Metric, ...]:
        """Medians over the runs that gave them."""
        answers = self._sides[CANDIDATE].answers
        names = dict.fromkeys(name for answer in answers for name in answer.metrics)
        values = {
            name: [
                answer.metrics[name]
                for answer in answers
                if abs(answer.metrics.get(name, float("inf"))) < float("inf")
            ]
            for name in names
        }
        return tuple(
            Metric(name, median(found), self._spec.units.get(name, ""))
            for name, found in values.items()
            if found
        )

    def _timing(self, name: Side, side: _Runs) -> Timing:
        samples = tuple(1e3 * answer.seconds for answer in side.answers)
        peaks = [answer.metrics.get("peak_bytes") for answer in side.answers]
        known = [peak for peak in peaks if peak is not None]
        return Timing(
            name,
            "",
            side.config,  # type: ignore[arg-type]
            samples,
            *median_interval(samples),
            peak_bytes=int(median(known)) if known else None,
        )


def _failure(failed: _FailedSideError, evidence: dict[str, object]) -> Verdict:
    seen = {**evidence, **failed.failed.evidence, "stage": failed.stage, "side": failed.side}
    reason = f"while {failed.stage}: {failed.failed.reason}"
    if failed.side == BASELINE:
        # Nothing is known of the candidate, and it is not at fault.
        return Verdict(Outcome.INFRA_LOST, f"the baseline failed {reason}", evidence=seen)
    return Verdict(
        failed.failed.outcome,
        reason,
        evidence=seen,
        log=str(failed.failed.evidence.get("output", "")),
    )


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
