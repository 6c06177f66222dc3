"""The result of a tune as one document: baselines, best, ratio, floor, and every trial."""

from collections import Counter
from collections.abc import Mapping

from onetrip.lab.search.ranking import front, scores
from onetrip.lab.store.history import Trial
from onetrip.lab.tune.session import Outcomes
from onetrip.lab.verdict import Timing, Verdict


def document(found: Outcomes) -> dict[str, object]:
    """Plain values, for JSON.

    Times are medians in ms with 95 % intervals; `speedup` is paired, within one process: above 1
    the best is faster. `over_floor` is a time over the floor, `floor_share` the floor over it.
    """
    opened, trial = found.opened, None if found.leader is None else found.leader.trial
    verdict = None if trial is None else trial.verdict
    promoted = found.decision.standing == "promoted"
    return {
        "operator": opened.operator,
        "workload": opened.workload,
        "source": opened.source,
        "axes": dict(opened.problem.axes),
        "dtype": opened.problem.dtype,
        "options": dict(opened.problem.options),
        "backward": found.prepared.row.backward,
        "device": opened.device.as_dict(),
        "environment": dict(found.prepared.environment),
        "floor": floor(found),
        "objective": opened.objective,
        "seed": found.request.seed,
        "budget_s": opened.budget_s,
        "seconds": round(found.seconds, 3),
        "stopped": found.stopped,
        "session": found.campaign_id,
        "points": opened.points,
        "known_before": opened.known,
        "counts": counts(found),
        "standing": found.decision.standing.value,
        "why": found.decision.why,
        "table": str(found.table) if promoted else None,
        "baselines": {
            subject: _timing(timing, found)
            for subject in ("eager", "default", "current")
            if verdict is not None and (timing := verdict.timing(subject)) is not None
        },
        "best": None if trial is None or verdict is None else _best(trial, verdict, found),
        "front": [
            {
                "experiment": score.trial.experiment_id,
                "impl": score.trial.impl,
                "config": dict(score.trial.config),
                "latency_ms": score.latency_ms,
                "peak_bytes": int(score.peak_bytes),
            }
            for score in front(scores(found.trials))
            if score.peak_bytes != float("inf")
        ],
        "trials": [_trial(trial, found) for trial in found.trials],
    }


def floor(found: Outcomes) -> dict[str, object]:
    """Compute and memory time of the compulsory work, and the larger of the two."""
    cost, device, dtype = found.opened.cost, found.opened.device, found.opened.problem.dtype
    return {
        "floor_ms": cost.floor_ms(device, dtype),
        "compute_ms": cost.compute_ms(device, dtype),
        "memory_ms": cost.memory_ms(device),
        "bound": cost.bound(device, dtype),
        "beaten": floor_is_beaten(found),
    }


def floor_is_beaten(found: Outcomes) -> bool:
    """Whether a time lies below the floor: then the ceilings were measured too low."""
    floor_ms = found.opened.cost.floor_ms(found.opened.device, found.opened.problem.dtype)
    return any(
        timing.median_ms < floor_ms
        for trial in found.trials
        if trial.verdict is not None
        for timing in trial.verdict.timings
    )


def counts(found: Outcomes) -> dict[str, int]:
    """How many experiments of the study stand in each state."""
    return dict(Counter(trial.state for trial in found.trials))


def over_floor(found: Outcomes, latency_ms: float) -> float | None:
    """How many times the floor a time is; None for a problem without work."""
    floor_ms = found.opened.cost.floor_ms(found.opened.device, found.opened.problem.dtype)
    return latency_ms / floor_ms if floor_ms else None


def _best(trial: Trial, verdict: Verdict, found: Outcomes) -> dict[str, object]:
    own = verdict.timing("candidate")
    return {
        "experiment": trial.experiment_id,
        "confirmed": trial.purpose == "confirm",
        "verified": verdict.scope,
        "speedup": {
            pair.baseline: {"median": pair.speedup, "low": pair.low, "high": pair.high}
            for pair in verdict.comparisons
        },
        "errors": {
            check.tensor: {"max_error": check.max_error, "allowance": check.allowance}
            for check in verdict.checks
        },
    } | ({} if own is None else _timing(own, found))


def _timing(timing: Timing, found: Outcomes) -> dict[str, object]:
    over = over_floor(found, timing.median_ms)
    return {
        "impl": timing.impl,
        "config": dict(timing.config),
        "latency_ms": {
            "median": timing.median_ms,
            "low": timing.low_ms,
            "high": timing.high_ms,
            "samples": len(timing.samples_ms),
        },
        "peak_bytes": timing.peak_bytes,
        "over_floor": over,
        "floor_share": None if not over else 1 / over,
    }


def _trial(trial: Trial, found: Outcomes) -> dict[str, object]:
    own = None if trial.verdict is None else trial.verdict.timing("candidate")
    pair = None if trial.verdict is None else trial.verdict.against("default")
    measured: Mapping[str, object] = {}
    if own is not None:
        measured = {
            "latency_ms": own.median_ms,
            "peak_bytes": own.peak_bytes,
            "speedup": None if pair is None else [pair.speedup, pair.low, pair.high],
        }
    return {
        "experiment": trial.experiment_id,
        "purpose": trial.purpose,
        "impl": trial.impl,
        "config": dict(trial.config),
        "proposer": trial.proposer,
        "why": trial.why,
        "state": trial.state,
        "reason": trial.reason,
        "seconds": round(trial.seconds, 3),
        "this_session": trial.campaign_id == found.campaign_id,
        **measured,
    }
