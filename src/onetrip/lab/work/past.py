"""What became of a campaign's experiments, as its agent sees them."""

import json
import sqlite3
from collections.abc import Mapping

from onetrip.lab.agents.agent import Past
from onetrip.lab.queue.champions import Speedup, measured_speedup
from onetrip.lab.views.figures import figures


def history_of(connection: sqlite3.Connection, campaign_id: int) -> list[Past]:
    """A campaign's search, oldest first; confirmations belong to what they confirm."""
    rows = connection.execute(
        "SELECT experiment.id, candidate.title, state, experiment.reason, hypothesis_id,"
        " hypothesis.status AS hypothesis_status, blob.data AS source, config"
        " FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " LEFT JOIN blob ON blob.sha256 = source_sha256"
        " LEFT JOIN hypothesis ON hypothesis.id = hypothesis_id"
        " WHERE campaign_id = ? AND purpose = 'search' ORDER BY experiment.id",
        (campaign_id,),
    ).fetchall()
    answers = figures(connection, (row["id"] for row in rows), ("times",))
    return [_past(connection, row, answers.get(row["id"], {})) for row in rows]


def _past(connection: sqlite3.Connection, row: sqlite3.Row, answer: Mapping) -> Past:
    # A time below the floor is not believed: nobody is to chase it.
    believed = answer if answer.get("outcome") == "done" and not answer["quarantined"] else {}
    found = measured_speedup(connection, row["id"])
    pair = found if isinstance(found, Speedup) else None
    return Past(
        experiment_id=row["id"],
        title=row["title"] or json.dumps(json.loads(row["config"])),
        state=row["state"],
        reason=row["reason"],
        source=(row["source"] or b"").decode(),
        median_ms=believed.get("median_ms"),
        share_of_floor=believed.get("floor_share"),
        speedup=None if pair is None else pair.middle,
        low=None if pair is None else pair.low,
        high=None if pair is None else pair.high,
        hypothesis_id=row["hypothesis_id"],
        hypothesis_status=row["hypothesis_status"] or "",
    )
