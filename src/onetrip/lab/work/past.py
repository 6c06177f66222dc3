"""What became of a campaign's experiments, as its agent sees them."""

import json
import sqlite3
from statistics import geometric_mean

from onetrip.lab.agents.agent import Past
from onetrip.lab.queue.champions import Speedup, measured_speedup


def history_of(connection: sqlite3.Connection, campaign_id: int) -> list[Past]:
    """A campaign's search, oldest first; confirmations belong to what they confirm."""
    rows = connection.execute(
        "SELECT experiment.id, candidate.title, state, experiment.reason, hypothesis_id,"
        " hypothesis.status AS hypothesis_status, blob.data AS source, config,"
        " (SELECT max(attempt.id) FROM attempt WHERE experiment_id = experiment.id"
        "   AND outcome = 'done' AND invalid = '' AND quarantined = '') AS attempt_id"
        " FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " LEFT JOIN blob ON blob.sha256 = source_sha256"
        " LEFT JOIN hypothesis ON hypothesis.id = hypothesis_id"
        " WHERE campaign_id = ? AND purpose = 'search' ORDER BY experiment.id",
        (campaign_id,),
    ).fetchall()
    return [_past(connection, row) for row in rows]


def _past(connection: sqlite3.Connection, row: sqlite3.Row) -> Past:
    median_ms, share = _times(connection, row["attempt_id"])
    found = measured_speedup(connection, row["id"])
    pair = found if isinstance(found, Speedup) else None
    return Past(
        experiment_id=row["id"],
        title=row["title"] or json.dumps(json.loads(row["config"])),
        state=row["state"],
        reason=row["reason"],
        source=(row["source"] or b"").decode(),
        median_ms=median_ms,
        share_of_floor=share,
        speedup=None if pair is None else pair.middle,
        low=None if pair is None else pair.low,
        high=None if pair is None else pair.high,
        hypothesis_id=row["hypothesis_id"],
        hypothesis_status=row["hypothesis_status"] or "",
    )


def _times(
    connection: sqlite3.Connection, attempt_id: int | None
) -> tuple[float | None, float | None]:
    """Geometric means over the workloads: the time, and the share of the floor it reaches."""
    rows = connection.execute(
        "SELECT median_ms, floor_ms FROM measurement"
        " WHERE attempt_id = ? AND subject = 'candidate' AND regime = 'cold'",
        (attempt_id,),
    ).fetchall()
    if not rows:
        return None, None
    shares = [row["floor_ms"] / row["median_ms"] for row in rows if row["floor_ms"]]
    return (
        geometric_mean([row["median_ms"] for row in rows]),
        geometric_mean(shares) if len(shares) == len(rows) else None,
    )
