"""The attempts of an experiment, each with everything that it taught."""

import json
import sqlite3
from collections import defaultdict

from onetrip.lab.views.read import ids, rows

_PARTS = {
    "checks": "SELECT * FROM check_result WHERE {}",
    "timings": "SELECT * FROM measurement WHERE {} ORDER BY workload, subject, regime",
    "comparisons": "SELECT * FROM comparison WHERE {} ORDER BY workload, baseline, regime",
    "metrics": "SELECT * FROM metric WHERE {} ORDER BY name",
    "flags": "SELECT * FROM flag WHERE {} ORDER BY id",
}


def attempts_of(connection: sqlite3.Connection, experiment_id: int) -> list[dict]:
    """All attempts, first to last; the seed of one that still runs stays secret."""
    found = rows(
        connection,
        "SELECT attempt.*, worker.name AS worker, worker.kind AS worker_kind,"
        " device.name AS device_name, study.environment_sha256, policy, data AS log"
        " FROM attempt LEFT JOIN worker ON worker.id = worker_id"
        " LEFT JOIN study ON study.id = attempt.study_id"
        " LEFT JOIN device ON device.id = device_id"
        " LEFT JOIN tolerance ON tolerance.id = tolerance_id"
        " LEFT JOIN blob ON blob.sha256 = log_sha256"
        " WHERE experiment_id = ? ORDER BY n",
        experiment_id,
    )
    attempt_ids = ids(attempt["id"] for attempt in found)
    parts = {name: _by_attempt(connection, query, attempt_ids) for name, query in _PARTS.items()}
    for attempt in found:
        if attempt["ended_at"] is None:
            attempt["seed"] = None
        attempt["tolerance"] = attempt.pop("policy")
        attempt["evidence"] = json.loads(attempt["evidence"])
        log = attempt["log"]
        attempt["log"] = "" if log is None else log.decode("utf-8", errors="replace")
        for name, by_attempt in parts.items():
            attempt[name] = by_attempt[attempt["id"]]
    return found


def _by_attempt(
    connection: sqlite3.Connection, query: str, attempt_ids: str
) -> dict[int, list[dict]]:
    grouped: dict[int, list[dict]] = defaultdict(list)
    condition = "attempt_id IN (SELECT value FROM json_each(?))"
    for row in rows(connection, query.format(condition), attempt_ids):
        grouped[row.pop("attempt_id")].append(row)
    for group in grouped.values():
        for row in group:
            if "passed" in row:
                row["passed"] = bool(row["passed"])
    return grouped
