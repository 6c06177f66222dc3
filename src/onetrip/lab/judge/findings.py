"""From the raw samples of a trial to times, comparisons, suspicions and the floor."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onetrip.core.cost import Cost
from onetrip.core.device import Device
from onetrip.lab.judge.paired import median_interval, paired_speedup, quantile
from onetrip.lab.judge.race import Race
from onetrip.lab.judge.ruling import Ruling
from onetrip.lab.judge.side import Sample, Side
from onetrip.lab.judge.trial import Trial
from onetrip.lab.verdict import OUT, Comparison, Flag, Outcome, Timing

# Below this share of the floor a time is not believed: ceilings are measured to some percent, and
# a CPU's caches keep what a flush of 64 MiB does not reach.
FLOOR_SLACK: Mapping[str, float] = {"cpu": 0.5, "cuda": 0.9}
# How far the judge's clock may exceed the child's, beyond the cost of an empty call.
_LEAST_GAP_NS = 150_000
_GAP_SHARE = 0.25
_OVERHEAD_SHARE = 0.5
# Work of other threads between the arrival of the inputs and the start of the clock.
_LEAST_AHEAD_NS = 1_000_000
# Most of it is the flush. Warm calls have none: there a millisecond is seen.
_TAKING_SHARE = 0.5
_AHEAD_SHARE = 0.3
# Processor time of other processes comes in ticks of ten milliseconds.
_LEAST_HELP_NS = 50_000_000
_FEWEST_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Floor:
    """The least time of a case on a device, in words too."""

    floor_ms: float
    arithmetic: str


def floor_of(about: Mapping, ceilings: Device | None) -> Floor | None:
    """What no implementation goes below; None where the ceilings or the cost are not known."""
    if ceilings is None or about["cost"] is None:
        return None
    cost, dtype = Cost(**about["cost"]), about["dtype"]
    compute_ms, memory_ms = cost.compute_ms(ceilings, dtype), cost.memory_ms(ceilings)
    words = (
        f"{cost.flops} operations at {ceilings.tflops_for(dtype):.4g} Tflop/s take "
        f"{compute_ms:.4g} ms, {cost.bytes} bytes at {ceilings.bandwidth_gbps:.4g} GB/s take "
        f"{memory_ms:.4g} ms"
    )
    return Floor(max(compute_ms, memory_ms), words)


def timings_of(trial: Trial, race: Race, ceilings: Device | None) -> tuple[Timing, ...]:
    """Times of every contender on every case, cold and warm."""
    found = []
    for (case, regime), blocks in race.blocks.items():
        floor = floor_of(trial.about(case), ceilings)
        for side in trial.racing():
            samples_ms = [
                sample.elapsed_ns * 1e-6
                for sample in side.samples
                if (sample.case, sample.regime) == (case, regime)
            ]
            if not samples_ms:
                continue
            median_ms, low_ms, high_ms = median_interval(samples_ms, trial.job.seed % (1 << 32))
            found.append(
                Timing(
                    subject=side.name,
                    impl=side.contender.impl or side.contender.kind,
                    config=dict(side.contender.config),  # type: ignore[arg-type]
                    samples_ms=tuple(samples_ms),
                    median_ms=median_ms,
                    low_ms=low_ms,
                    high_ms=high_ms,
                    peak_bytes=side.peak_bytes.get(case),
                    workload=case,
                    regime=regime,
                    floor_ms=None if floor is None else floor.floor_ms,
                    blocks=tuple(blocks),
                )
            )
    return tuple(found)


def comparisons_of(trial: Trial, race: Race) -> tuple[Comparison, ...]:
    """The candidate against every rival, paired by block."""
    candidate = trial.sides["candidate"]
    found = []
    for case, regime in race.blocks:
        mine = _by_block(candidate.samples, case, regime)
        for rival in trial.racing()[1:]:
            theirs = _by_block(rival.samples, case, regime)
            both = sorted(mine.keys() & theirs.keys())
            if not both:
                continue
            speedup, low, high = paired_speedup(
                [mine[block] for block in both],
                [theirs[block] for block in both],
                trial.job.seed % (1 << 32),
            )
            found.append(Comparison(rival.name, speedup, low, high, case, regime))
    return tuple(found)


def hold_clocks_together(trial: Trial) -> None:
    """Raise if a child's clock leaves out time that the judge's clock saw.

    Raises
    ------
    Ruling
        "hacked", with both clocks, if in three quarters of the calls the judge waited longer than
        the child's time and all else about a call explain.
    """
    side = trial.sides["candidate"]
    for (case, regime), samples in _by_leg(side.samples).items():
        if len(samples) < _FEWEST_SAMPLES:
            continue
        beside_ns = _explained(trial, case, regime, _gap)
        elapsed_ns = float(np.median([sample.elapsed_ns for sample in samples]))
        gap_ns = quantile([_gap(sample) for sample in samples], 0.25) - beside_ns
        allowed_ns = max(_LEAST_GAP_NS, _GAP_SHARE * elapsed_ns, _OVERHEAD_SHARE * beside_ns)
        if gap_ns > allowed_ns:
            seen = {
                "rule": "clock disagreement",
                "case": case,
                "regime": regime,
                "child_median_ms": elapsed_ns * 1e-6,
                "judge_median_ms": float(np.median([s.wall_ns for s in samples])) * 1e-6,
                "beside_a_call_ms": beside_ns * 1e-6,
                "unexplained_ms": gap_ns * 1e-6,
                "allowed_ms": allowed_ns * 1e-6,
            }
            raise Ruling(
                Outcome.HACKED,
                f"clock disagreement on case {case}: its own clock says "
                f"{seen['child_median_ms']:.3g} ms, the judge waited {seen['judge_median_ms']:.3g} "
                f"ms, of which {seen['beside_a_call_ms']:.3g} ms are explained",
                seen,
            )


def refuse_slow_taking(trial: Trial) -> None:
    """Raise if the contender takes its inputs far more slowly than the harness alone does.

    What it computes then, it need not compute when the clock runs.
    """
    side = trial.sides["candidate"]
    for (case, regime), samples in _by_leg(side.samples).items():
        if len(samples) < _FEWEST_SAMPLES:
            continue
        alone_ns = _explained(trial, case, regime, _taking)
        taking_ns = quantile([_taking(sample) for sample in samples], 0.25)
        allowed_ns = alone_ns + max(_LEAST_AHEAD_NS, _TAKING_SHARE * alone_ns)
        if taking_ns > allowed_ns:
            raise Ruling(
                Outcome.HACKED,
                f"work ahead of the clock on case {case}: its inputs were taken in "
                f"{taking_ns * 1e-6:.3g} ms, the harness alone needs {alone_ns * 1e-6:.3g} ms",
                {"rule": "work ahead", "case": case, "regime": regime,
                 "taking_ms": taking_ns * 1e-6, "alone_ms": alone_ns * 1e-6},
            )  # fmt: skip


def _explained(trial: Trial, case: str, regime: str, measure: Callable[[Sample], int]) -> float:
    """What the judge waits for on account of the harness and of whatever else the machine does.

    Rivals of the problem's own ran in the candidate's blocks, under its load: beside them the empty
    calls, from before it was loaded, tell only what the harness takes, which is the least of them.
    A moment's load then would excuse all that the candidate hides.
    """
    rivals = [
        quantile([measure(sample) for sample in samples], 0.5)
        for rival in trial.racing()
        if not rival.sandboxed and (samples := _by_leg(rival.samples).get((case, regime), []))
    ]
    empty = _by_leg(trial.sides["candidate"].empty)[case, regime]
    harness = quantile([measure(sample) for sample in empty], 0.0 if rivals else 0.75)
    return max([harness, *rivals])


def _gap(sample: Sample) -> int:
    return max(0, sample.wall_ns - sample.elapsed_ns)


def _taking(sample: Sample) -> int:
    return sample.given_ns


def empty_calls_ms(side: Side) -> dict[str, float]:
    """What a call of nothing costs by the judge's clock, by case."""
    return {
        case: min(_gap(sample) for sample in samples) * 1e-6
        for (case, regime), samples in _by_leg(side.empty).items()
        if regime == "warm"
    }


def refuse_work_ahead(trial: Trial) -> None:
    """Raise if other threads worked while the inputs lay there and the clock stood still."""
    for (case, _), samples in _by_leg(trial.sides["candidate"].samples).items():
        if len(samples) < _FEWEST_SAMPLES:
            continue
        ahead_ns = float(np.median([sample.ahead_ns for sample in samples]))
        elapsed_ns = float(np.median([sample.elapsed_ns for sample in samples]))
        if ahead_ns > max(_LEAST_AHEAD_NS, _AHEAD_SHARE * elapsed_ns):
            raise Ruling(
                Outcome.HACKED,
                f"work ahead of the clock on case {case}: other threads worked "
                f"{ahead_ns * 1e-6:.3g} ms between the arrival of the inputs and the call",
                {"rule": "work ahead", "case": case, "ahead_ms": ahead_ns * 1e-6},
            )


def refuse_helpers_ahead(trial: Trial) -> None:
    """Raise if other processes of the candidate worked while the clock stood still."""
    side = trial.sides["candidate"]
    elapsed_ns = sum(sample.elapsed_ns for sample in side.samples)
    if side.company.ahead_ns > max(_LEAST_HELP_NS, _AHEAD_SHARE * elapsed_ns):
        raise Ruling(
            Outcome.HACKED,
            f"work ahead of the clock: {len(side.company.others)} other processes worked "
            f"{side.company.ahead_ns * 1e-6:.3g} ms between the arrival of inputs and the calls",
            {"rule": "work ahead", "ahead_ms": side.company.ahead_ns * 1e-6},
        )


def below_the_floor(timings: Sequence[Timing], trial: Trial, ceilings: Device | None) -> str:
    """Why the candidate's times are not believed, or nothing."""
    slack = FLOOR_SLACK["cpu" if trial.job.device == "cpu" else "cuda"]
    for timing in timings:
        # What lies in the cache may come faster than memory can.
        if timing.subject != "candidate" or timing.regime != "cold" or timing.floor_ms is None:
            continue
        floor = floor_of(trial.about(timing.workload), ceilings)
        if floor is not None and timing.median_ms < slack * floor.floor_ms:
            return (
                f"case {timing.workload}: {timing.median_ms:.4g} ms is below {slack:g} of the "
                f"floor of {floor.floor_ms:.4g} ms ({floor.arithmetic})"
            )
    return ""


def runtime_flags(trial: Trial) -> tuple[Flag, ...]:
    """What was seen at run time and is no proof of anything."""
    samples = trial.sides["candidate"].samples
    found = []
    trailing = [sample.trailing_ns for sample in samples if sample.trailing_ns]
    if trailing:
        found.append(
            Flag(
                "work on another stream",
                f"in {len(trailing)} of {len(samples)} calls the device worked on for up to "
                f"{max(trailing) * 1e-6:.3g} ms when the call's own stream was done; it is counted",
                "runtime",
            )
        )
    company = trial.sides["candidate"].company
    company.look()
    if company.others:
        found.append(Flag("processes left running", f"{len(company.others)} of them", "runtime"))
    threads = [sample.threads for sample in samples]
    if threads and threads[-1] > threads[0] + 8:
        found.append(Flag("threads left running", f"from {threads[0]} to {threads[-1]}", "runtime"))
    return tuple(found)


def _by_leg(samples: Sequence[Sample]) -> dict[tuple[str, str], list[Sample]]:
    found: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.case, sample.regime].append(sample)
    return found


def _by_block(samples: Sequence[Sample], case: str, regime: str) -> dict[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    for sample in samples:
        if (sample.case, sample.regime) == (case, regime):
            found[sample.block].append(max(sample.elapsed_ns, 1) * 1e-6)
    return found


def failures_of(sides: Sequence[Side]) -> dict[str, str]:
    """Why rivals are out, for the evidence."""
    return {f"{side.name}{OUT}": side.failure for side in sides if side.failure}
