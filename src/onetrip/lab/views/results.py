"""What a problem's experiments amount to: best so far, roofline, Pareto front, importance.

Results compare only within one study, so each answer is a list of `studies`, the one with the
newest result first. What was made invalid, quarantined or never right is in none of them.
"""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from onetrip.lab.views.experiments import title_of
from onetrip.lab.views.figures import CHANGING, PARTS, figures
from onetrip.lab.views.importance import importance_of
from onetrip.lab.views.read import ids, one, rows
from onetrip.lab.views.studies import cases_of, cost_of, studies_of

# Peaks and errors that differ by less are equal: allocators round, and seeds differ.
_SAME_DIGITS = 3
_SAME_ERROR = 2


def best_so_far(connection: sqlite3.Connection, problem_id: int) -> dict:
    """The step curve over time and over experiments.

    Returns
    -------
    {`studies`: [{`study_id`, `device`, `metric`, `unit`, `direction`, `floor_ms`, `points`}]}; a
    point is {`id`, `candidate_id`, `title`, `order` (counts the answers), `at`, `purpose`,
    `value`, `low`, `high` (None where there is no interval), `best` (it was the best when it
    came), `champion`, `best_value` (of the curve after it)}. The metric is "latency_ms", or a
    run's own objective.
    """
    spec = _spec(connection, problem_id)
    name = str(spec.get("objective") or "latency_ms")
    direction = "increase" if spec.get("direction") == "maximize" else "decrease"
    measured = _measured(connection, problem_id, ("times", "metrics"))
    studies = []
    for study in studies_of(connection, problem_id):
        points, unit = [], ""
        for row in measured[study["study_id"]]:
            value, low, high, unit = _value(row, name)
            if value is not None:
                points.append(_point(row) | {"value": value, "low": low, "high": high})
        _mark_best(points, -1 if direction == "increase" else 1)
        if points:
            floor_ms = [row["floor_ms"] for row in measured[study["study_id"]] if row["floor_ms"]]
            studies.append(
                _head(study)
                | {
                    "metric": name,
                    "unit": unit,
                    "direction": direction,
                    "floor_ms": max(floor_ms, default=None) if name == "latency_ms" else None,
                    "points": points,
                }
            )
    return {"studies": studies}


def roofline(connection: sqlite3.Connection, problem_id: int) -> dict:
    """What the device allows and what was reached, by operations per compulsory byte.

    Returns
    -------
    {`studies`: [{`study_id`, `device`, `ceilings`: [{`dtype`, `tflops`}], `bandwidth_gbps`,
    `dtypes`: of the problem, `points`, `why_none`: when there are none}]}; a point is {`id`,
    `title`, `workload`, `subject`, `mark` ("tried", "champion" or "peer"), `flops_per_byte`,
    `tflops`, `bandwidth_gbps`, `median_ms`}. Each peer has one point: its median over all.
    """
    cases = {case["name"]: case for case in cases_of(_spec(connection, problem_id))}
    costs = {
        name: cost
        for name, case in cases.items()
        if (cost := cost_of(case)) is not None and cost.flops and cost.bytes
    }
    measured = _measured(connection, problem_id, ())
    studies = []
    for study in studies_of(connection, problem_id):
        ceilings = study["ceilings"] or {"tflops": {}, "bandwidth_gbps": 0.0}
        times = _times(connection, measured[study["study_id"]])
        points = [
            time
            | {
                "flops_per_byte": cost.flops / cost.bytes,
                "tflops": cost.flops / time["median_ms"] * 1e-9,
                "bandwidth_gbps": cost.bytes / time["median_ms"] * 1e-6,
            }
            for time in times
            if (cost := costs.get(time["workload"])) is not None
        ]
        why_none = ""
        if not points:
            why_none = (
                "nothing is right and timed yet" if costs else "the problem does not state its cost"
            )
        studies.append(
            _head(study)
            | {
                "ceilings": [
                    {"dtype": dtype, "tflops": tflops}
                    for dtype, tflops in sorted(ceilings["tflops"].items())
                ],
                "bandwidth_gbps": ceilings["bandwidth_gbps"],
                "dtypes": sorted({case["dtype"] for case in cases.values() if case.get("dtype")}),
                "points": points,
                "why_none": why_none,
            }
        )
    return {"studies": studies}


def pareto(connection: sqlite3.Connection, problem_id: int) -> dict:
    """Candidates that no other beats in all of time, memory and error.

    Returns
    -------
    {`studies`: [{`study_id`, `device`, `points`}]}; a point is {`id`, `candidate_id`, `title`,
    `median_ms`, `low_ms`, `high_ms`, `peak_bytes`, `error_share`, `champion`, `front` (bettered by
    none in all three), `front_memory` (in time and memory), `front_error` (in time and error)}. A
    candidate counts once: its confirmation where there is one, else its search.
    """
    measured = _measured(connection, problem_id, ("times", "errors"))
    studies = []
    for study in studies_of(connection, problem_id):
        latest: dict[int, dict] = {}
        for row in sorted(measured[study["study_id"]], key=lambda row: row["purpose"] == "confirm"):
            if row["median_ms"] is not None:
                latest[row["candidate_id"]] = row
        found = sorted(latest.values(), key=lambda row: row["id"])
        fronts = {
            "front": _front(found, _time, _memory, _error),
            "front_memory": _front(found, _time, _memory),
            "front_error": _front(found, _time, _error),
        }
        names = ("median_ms", "low_ms", "high_ms", "peak_bytes", "error_share")
        points = [
            _point(row)
            | {name: row[name] for name in names}
            | {name: row["id"] in front for name, front in fronts.items()}
            for row in found
        ]
        if points:
            studies.append(_head(study) | {"points": points})
    return {"studies": studies}


def importance(connection: sqlite3.Connection, problem_id: int) -> dict:
    """How much each parameter of the configurations decides, implementation by implementation.

    Returns
    -------
    {`studies`: [{`study_id`, `device`, `impls`: [{`impl`, `results`, `parameters`: [{`name`,
    `share`}] (they sum to 1), `why_none`}]}], `why_none`: when it cannot be told at all}
    """
    measured = _measured(connection, problem_id, ("times", "ratios"))
    studies, why_none = [], "no configuration has been measured yet"
    for study in studies_of(connection, problem_id):
        by_impl: dict[str, list[dict]] = defaultdict(list)
        for row in measured[study["study_id"]]:
            if row["config"] and row["median_ms"] is not None:
                by_impl[row["impl"]].append(row)
        if by_impl:
            impls = [importance_of(impl, found) for impl, found in sorted(by_impl.items())]
            studies.append(_head(study) | {"impls": impls})
            why_none = ""
    return {"studies": studies, "why_none": why_none}


def _spec(connection: sqlite3.Connection, problem_id: int) -> dict:
    found = one(connection, "SELECT spec FROM problem WHERE id = ?", problem_id)
    return {} if found is None else found["spec"]


def _head(study: dict) -> dict:
    return {"study_id": study["study_id"], "device": study["device"]}


def _measured(
    connection: sqlite3.Connection, problem_id: int, parts: Collection[str] = PARTS
) -> dict[int | None, list[dict]]:
    """Study -> what was right and counts there, in the order in which it was answered."""
    found = rows(
        connection,
        "SELECT experiment.id, experiment.purpose, candidate.id AS candidate_id, candidate.title,"
        " impl, config, EXISTS (SELECT 1 FROM champion WHERE experiment_id = experiment.id)"
        " AS champion FROM experiment JOIN candidate ON candidate.id = experiment.candidate_id"
        " WHERE candidate.problem_id = ?",
        problem_id,
    )
    known = figures(connection, (row["id"] for row in found), parts)
    grouped: dict[int | None, list[dict]] = defaultdict(list)
    for row in found:
        figure = known.get(row["id"])
        if figure is not None and figure["outcome"] == "done" and not figure["quarantined"]:
            grouped[figure["study_id"]].append(row | figure)
    for group in grouped.values():
        group.sort(key=lambda row: (row["answered_at"] or 0.0, row["id"]))
    return grouped


def _point(row: dict) -> dict:
    return {
        "id": row["id"],
        "candidate_id": row["candidate_id"],
        "title": title_of(row),
        "purpose": row["purpose"],
        "at": row["answered_at"],
        "champion": bool(row["champion"]),
    }


def _value(row: dict, metric: str) -> tuple[float | None, float | None, float | None, str]:
    if metric == "latency_ms":
        return row["median_ms"], row["low_ms"], row["high_ms"], "ms"
    found = row["metrics"].get(metric)
    return (None, None, None, "") if found is None else (found["value"], None, None, found["unit"])


def _mark_best(points: list[dict], better: int) -> None:
    best = math.inf
    for order, point in enumerate(points, 1):
        point["order"] = order
        point["best"] = better * point["value"] < best
        best = min(best, better * point["value"])
        point["best_value"] = better * best


def _times(connection: sqlite3.Connection, measured: list[dict]) -> list[dict]:
    known = {row["attempt_id"]: row for row in measured}
    points = []
    peers: dict[tuple[str, str], list[float]] = defaultdict(list)
    for time in connection.execute(
        "SELECT attempt_id, workload, subject, median_ms FROM measurement"
        " WHERE regime = 'cold' AND attempt_id IN (SELECT value FROM json_each(?))",
        (ids(known),),
    ):
        row = known[time["attempt_id"]]
        if time["subject"] != "candidate":
            if time["subject"] not in CHANGING:
                peers[time["workload"], time["subject"]].append(time["median_ms"])
            continue
        points.append(
            {
                "id": row["id"],
                "title": title_of(row),
                "workload": time["workload"],
                "subject": "candidate",
                "mark": "champion" if row["champion"] else "tried",
                "median_ms": time["median_ms"],
            }
        )
    for (workload, subject), medians in sorted(peers.items()):
        points.append(
            {
                "id": None,
                "title": subject,
                "workload": workload,
                "subject": subject,
                "mark": "peer",
                "median_ms": sorted(medians)[len(medians) // 2],
            }
        )
    return points


def _time(row: dict) -> float | None:
    return row["median_ms"]


def _memory(row: dict) -> float | None:
    peak_bytes = row["peak_bytes"]
    return None if peak_bytes is None else float(f"{peak_bytes:.{_SAME_DIGITS}g}")


def _error(row: dict) -> float | None:
    share = row["error_share"]
    return None if share is None else round(share, _SAME_ERROR)


def _front(found: Iterable[dict], *measures: Callable[[dict], float | None]) -> set[int]:
    """Numbers of those that no other is at least as good as in everything and better in one."""
    points = []
    for row in found:
        values = tuple(measure(row) for measure in measures)
        if None not in values:
            points.append((values, row["id"]))
    kept: list[tuple] = []
    front: set[int] = set()
    # In the order of the first measure only an earlier one can beat a later one.
    for values, number in sorted(points):
        if any(
            other != values and all(a <= b for a, b in zip(other, values, strict=True))
            for other in kept
        ):
            continue
        kept.append(values)
        front.add(number)
    return front
