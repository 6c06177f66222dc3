"""The few numbers that stand for an experiment: time, share of the floor, ratios, memory, error."""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable

from onetrip.lab.views.read import ids, rows

# What a candidate is first of all compared with, the first that there is; all others are peers.
BASELINES = ("baseline", "default", "current", "champion")
# Those of them that are another program from one attempt to the next.
CHANGING = ("baseline", "current", "champion")
PARTS = ("times", "ratios", "errors", "metrics")

_NOTHING: dict[str, dict] = {
    "times": dict.fromkeys(
        (
            "median_ms",
            "low_ms",
            "high_ms",
            "floor_ms",
            "floor_share",
            "peak_bytes",
            "workloads",
            "regime",
        )
    ),
    "ratios": {"ratio": None, "best_peer": None, "ratios": []},
    "errors": {"error_share": None},
    "metrics": {"metrics": {}},
}
_ANSWER = ("attempt_id", "outcome", "study_id", "answered_at")


def figures(
    connection: sqlite3.Connection,
    experiment_ids: Iterable[int],
    parts: Collection[str] = PARTS,
) -> dict[int, dict]:
    """For each experiment that has a valid answer, its summary, or only some parts of it.

    Several workloads count as their geometric mean. The interval of a mean is the mean of the
    intervals' ends, which is wider than it need be, never narrower. Cold times stand for a
    candidate where they were taken, else warm ones.

    Returns
    -------
    id -> {`attempt_id`, `outcome`, `quarantined`, `study_id`, `answered_at`} and of the part
    "times": `median_ms`, `low_ms`, `high_ms`, `floor_ms`, `floor_share`, `peak_bytes`,
    `workloads`, `regime`; "ratios": `ratio` and `best_peer` ({`baseline`, `speedup`, `low`,
    `high`}: above 1 the candidate is faster), `ratios` (all of them); "errors": `error_share`
    (largest error over its allowance); "metrics": `metrics` (name -> {`value`, `unit`}). What was
    not measured is None.
    """
    answers = rows(
        connection,
        "SELECT id AS attempt_id, experiment_id, outcome, quarantined, study_id,"
        " ended_at AS answered_at"
        " FROM answer WHERE experiment_id IN (SELECT value FROM json_each(?))",
        ids(experiment_ids),
    )
    attempt_ids = ids(answer["attempt_id"] for answer in answers)
    found = {answer.pop("experiment_id"): answer for answer in answers}
    for part in parts:
        pieces = _READ[part](connection, attempt_ids)
        for answer in found.values():
            answer.update(pieces.get(answer["attempt_id"], _NOTHING[part]))
    return found


def without_figures() -> dict:
    """The summary of an experiment that has no valid answer."""
    empty: dict = dict.fromkeys(_ANSWER) | {"quarantined": ""}
    for part in PARTS:
        empty |= _NOTHING[part]
    return empty


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


def _times(connection: sqlite3.Connection, attempt_ids: str) -> dict[int, dict]:
    grouped = _grouped(
        connection,
        "SELECT attempt_id, regime, median_ms, low_ms, high_ms, floor_ms, peak_bytes"
        " FROM measurement WHERE subject = 'candidate'",
        attempt_ids,
    )
    found = {}
    for attempt_id, both in grouped.items():
        times, regime = _one_regime(both)
        median_ms = geometric_mean([time["median_ms"] for time in times])
        # A mean over other workloads than the time's would make a wrong share: all or none.
        floors = [time["floor_ms"] for time in times]
        floor_ms = None if None in floors else geometric_mean(floors)
        peaks = [time["peak_bytes"] for time in times if time["peak_bytes"] is not None]
        found[attempt_id] = {
            "median_ms": median_ms,
            "low_ms": geometric_mean([time["low_ms"] for time in times]),
            "high_ms": geometric_mean([time["high_ms"] for time in times]),
            "floor_ms": floor_ms,
            "floor_share": floor_ms / median_ms if floor_ms and median_ms else None,
            "peak_bytes": max(peaks, default=None),
            "workloads": len(times),
            "regime": regime,
        }
    return found


def _ratios(connection: sqlite3.Connection, attempt_ids: str) -> dict[int, dict]:
    grouped = _grouped(
        connection,
        "SELECT attempt_id, regime, baseline, speedup, low, high FROM comparison WHERE true",
        attempt_ids,
    )
    found = {}
    for attempt_id, both in grouped.items():
        ratios = _by_baseline(_one_regime(both)[0])
        named = {ratio["baseline"]: ratio for ratio in ratios}
        peers = [ratio for name, ratio in named.items() if name not in BASELINES]
        found[attempt_id] = {
            "ratio": next((named[name] for name in BASELINES if name in named), None),
            # The peer that is hardest to beat.
            "best_peer": min(peers, key=lambda ratio: ratio["speedup"], default=None),
            "ratios": ratios,
        }
    return found


def _errors(connection: sqlite3.Connection, attempt_ids: str) -> dict[int, dict]:
    grouped = _grouped(
        connection,
        "SELECT attempt_id, max_error / allowance AS share FROM check_result"
        " WHERE max_error IS NOT NULL AND allowance > 0",
        attempt_ids,
    )
    return {
        attempt_id: {"error_share": max(check["share"] for check in checks)}
        for attempt_id, checks in grouped.items()
    }


def _metrics(connection: sqlite3.Connection, attempt_ids: str) -> dict[int, dict]:
    grouped = _grouped(
        connection, "SELECT attempt_id, name, value, unit FROM metric WHERE true", attempt_ids
    )
    return {
        attempt_id: {
            "metrics": {
                metric["name"]: {"value": metric["value"], "unit": metric["unit"]}
                for metric in metrics
            }
        }
        for attempt_id, metrics in grouped.items()
    }


_READ = {"times": _times, "ratios": _ratios, "errors": _errors, "metrics": _metrics}


def _grouped(
    connection: sqlite3.Connection, query: str, attempt_ids: str
) -> dict[int, list[sqlite3.Row]]:
    found: dict[int, list[sqlite3.Row]] = defaultdict(list)
    query += " AND attempt_id IN (SELECT value FROM json_each(?))"
    for row in connection.execute(query, (attempt_ids,)):
        found[row["attempt_id"]].append(row)
    return found


def _one_regime(found: list[sqlite3.Row]) -> tuple[list[sqlite3.Row], str]:
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
