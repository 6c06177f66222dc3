"""The few numbers that stand for an experiment: time, share of the floor, ratios, memory, error."""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable

from onetrip.lab.views.read import ids, rows

# What a candidate is first of all compared with; all other subjects are peers.
BASELINES = ("baseline", "default", "current")


def figures(connection: sqlite3.Connection, experiment_ids: Iterable[int]) -> dict[int, dict]:
    """For each experiment that has a valid answer, its summary.

    Several workloads count as their geometric mean. The interval of a mean is the mean of the
    intervals' ends, which is wider than it need be, never narrower. Cold times stand for a
    candidate where they were taken, else warm ones.

    Returns
    -------
    id -> {`attempt_id`, `outcome`, `quarantined`, `median_ms`, `low_ms`, `high_ms`, `floor_ms`,
    `floor_share`, `peak_bytes`, `workloads`, `regime`, `error_share` (largest error over its
    allowance), `ratio` and `best_peer` ({`baseline`, `speedup`, `low`, `high`}: above 1 the
    candidate is faster), `ratios` (all of them), `metrics` (name -> {`value`, `unit`})}. What was
    not measured is None.
    """
    answers = rows(
        connection,
        "SELECT id, experiment_id, outcome, quarantined, study_id, started_at, ended_at"
        " FROM answer WHERE experiment_id IN (SELECT value FROM json_each(?))",
        ids(experiment_ids),
    )
    details = _Details(connection, [answer["id"] for answer in answers])
    return {answer["experiment_id"]: details.summary(answer) for answer in answers}


def without_figures() -> dict:
    """The summary of an experiment that has no valid answer."""
    return dict.fromkeys(_NAMES) | {"ratios": [], "metrics": {}, "quarantined": ""}


def geometric_mean(values: list[float]) -> float | None:
    """The mean of ratios and of times of different sizes; None of nothing.

    >>> geometric_mean([2.0, 8.0])
    4.0
    """
    if not values or min(values) <= 0:
        return None
    if len(values) == 1:
        return values[0]
    return math.exp(math.fsum(map(math.log, values)) / len(values))


_NAMES = (
    "attempt_id",
    "outcome",
    "study_id",
    "answered_at",
    "median_ms",
    "low_ms",
    "high_ms",
    "floor_ms",
    "floor_share",
    "peak_bytes",
    "workloads",
    "regime",
    "error_share",
    "ratio",
    "best_peer",
)


class _Details:
    """Times, ratios, errors and metrics of some attempts, read in four queries."""

    def __init__(self, connection: sqlite3.Connection, attempt_ids: list[int]) -> None:
        self.times = _grouped(
            connection,
            "SELECT attempt_id, regime, median_ms, low_ms, high_ms, floor_ms, peak_bytes"
            " FROM measurement WHERE subject = 'candidate'",
            attempt_ids,
        )
        self.ratios = _grouped(
            connection,
            "SELECT attempt_id, regime, baseline, speedup, low, high FROM comparison WHERE true",
            attempt_ids,
        )
        self.errors = _grouped(
            connection,
            "SELECT attempt_id, max_error, allowance FROM check_result"
            " WHERE max_error IS NOT NULL AND allowance > 0",
            attempt_ids,
        )
        self.metrics = _grouped(
            connection, "SELECT attempt_id, name, value, unit FROM metric WHERE true", attempt_ids
        )

    def summary(self, answer: dict) -> dict:
        attempt_id = answer["id"]
        times, regime = _one_regime(self.times[attempt_id])
        median_ms, low_ms, high_ms, floor_ms = (
            geometric_mean([time[name] for time in times if time[name] is not None])
            for name in ("median_ms", "low_ms", "high_ms", "floor_ms")
        )
        if any(time["floor_ms"] is None for time in times):
            # A mean over other workloads than the time's would make a wrong share.
            floor_ms = None
        peaks = [time["peak_bytes"] for time in times if time["peak_bytes"] is not None]
        ratios = _by_baseline(_one_regime(self.ratios[attempt_id])[0])
        peers = [ratio for ratio in ratios if ratio["baseline"] not in BASELINES]
        return {
            "attempt_id": attempt_id,
            "outcome": answer["outcome"],
            "quarantined": answer["quarantined"],
            "study_id": answer["study_id"],
            "answered_at": answer["ended_at"],
            "median_ms": median_ms,
            "low_ms": low_ms,
            "high_ms": high_ms,
            "floor_ms": floor_ms,
            "floor_share": floor_ms / median_ms if floor_ms and median_ms else None,
            "peak_bytes": max(peaks, default=None),
            "workloads": len(times),
            "regime": regime,
            "error_share": max(
                (error["max_error"] / error["allowance"] for error in self.errors[attempt_id]),
                default=None,
            ),
            "ratio": _first(ratios),
            # The peer that is hardest to beat.
            "best_peer": min(peers, key=lambda ratio: ratio["speedup"], default=None),
            "ratios": ratios,
            "metrics": {
                metric["name"]: {"value": metric["value"], "unit": metric["unit"]}
                for metric in self.metrics[attempt_id]
            },
        }


def _grouped(
    connection: sqlite3.Connection, query: str, attempt_ids: list[int]
) -> dict[int, list[sqlite3.Row]]:
    found: dict[int, list[sqlite3.Row]] = defaultdict(list)
    query += " AND attempt_id IN (SELECT value FROM json_each(?))"
    for row in connection.execute(query, (ids(attempt_ids),)):
        found[row["attempt_id"]].append(row)
    return found


def _one_regime(found: list[sqlite3.Row]) -> tuple[list[sqlite3.Row], str | None]:
    if not found:
        return [], None
    regime = "cold" if any(row["regime"] == "cold" for row in found) else "warm"
    return [row for row in found if row["regime"] == regime], regime


def _by_baseline(ratios: list[sqlite3.Row]) -> list[dict]:
    grouped: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for ratio in ratios:
        grouped[ratio["baseline"]].append(ratio)
    return [
        {
            "baseline": baseline,
            "speedup": speedup,
            "low": geometric_mean([row["low"] for row in group]),
            "high": geometric_mean([row["high"] for row in group]),
        }
        for baseline, group in sorted(grouped.items())
        if (speedup := geometric_mean([row["speedup"] for row in group])) is not None
    ]


def _first(ratios: list[dict]) -> dict | None:
    named = {ratio["baseline"]: ratio for ratio in ratios}
    return next((named[name] for name in BASELINES if name in named), None)
