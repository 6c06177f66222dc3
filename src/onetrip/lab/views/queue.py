"""What runs and what waits, in the order in which it will be taken, and why."""

import sqlite3

from onetrip.lab.queue.evidence import typical_s
from onetrip.lab.views.experiments import rows_of
from onetrip.lab.views.now import running
from onetrip.lab.views.read import ids, rows

# The order in which a worker takes what waits.
_TURN = "ORDER BY pinned DESC, priority DESC, experiment.id"


def queue(connection: sqlite3.Connection, *, limit: int = 500) -> dict:
    """Running, waiting and paused experiments.

    Returns
    -------
    {`running`: rows of `now.running`, `waiting` and `paused`: rows of the list, in the queue's
    order, `total_waiting`, `expected_s`: of all that waits, as far as it is known}. A waiting row
    has besides `position` (1 is next), `why_here` (a sentence) and `terms` of its last change of
    priority, and `starts_in_s`: what is expected before it, over the workers there are.
    """
    waiting = connection.execute(
        "SELECT experiment.id, expected_s AS said_s, problem_id FROM experiment"
        f" JOIN candidate ON candidate.id = candidate_id WHERE state = 'queued' {_TURN}"
    ).fetchall()
    typical = typical_s(connection) if waiting else {}
    expected_s = {
        row["id"]: typical.get(row["problem_id"]) if row["said_s"] is None else row["said_s"]
        for row in waiting
    }
    workers = connection.execute(
        "SELECT count(DISTINCT worker_id) FROM attempt WHERE outcome IS NULL"
    ).fetchone()[0]
    shown = rows_of(connection, [row["id"] for row in waiting[:limit]])
    changes = _last_changes(connection, [row["id"] for row in shown])
    before_s: float | None = 0.0
    for position, row in enumerate(shown, 1):
        change = changes.get(row["id"], {})
        row["position"] = position
        row["terms"] = change.get("terms", {})
        row["why_here"] = _why_here(row, change)
        row["starts_in_s"] = None if before_s is None else before_s / max(1, workers)
        own_s = expected_s[row["id"]]
        before_s = None if before_s is None or own_s is None else before_s + own_s
    paused = connection.execute(f"SELECT id FROM experiment WHERE state = 'paused' {_TURN}")
    return {
        "running": running(connection),
        "waiting": shown,
        "paused": rows_of(connection, [row["id"] for row in paused.fetchmany(limit)]),
        "total_waiting": len(waiting),
        "expected_s": sum(one or 0.0 for one in expected_s.values()),
    }


def _why_here(row: dict, change: dict) -> str:
    if row["pinned"] > 0:
        return "pinned: before all that is not"
    if row["pinned"] < 0:
        return "put last by hand: after all that is not"
    return change.get("why", "in the order of its arrival: nothing has moved it yet")


def _last_changes(connection: sqlite3.Connection, experiment_ids: list[int]) -> dict[int, dict]:
    return {
        change["experiment_id"]: change
        for change in rows(
            connection,
            "SELECT * FROM priority_change WHERE id IN"
            " (SELECT max(id) FROM priority_change"
            "  WHERE experiment_id IN (SELECT value FROM json_each(?)) GROUP BY experiment_id)",
            ids(experiment_ids),
        )
    }
