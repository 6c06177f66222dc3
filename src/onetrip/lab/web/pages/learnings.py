"""Learnings: what the lab knows by now, where it holds, how sure it is, and on what it rests."""

import json
import sqlite3
from collections import defaultdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from onetrip.lab.web.frame import reading
from onetrip.lab.web.render import render

_STATUSES = ("active", "superseded", "retracted")
# As many as a reader will scroll through; the search finds the others.
_MOST = 500

router = APIRouter()


@router.get("/learnings")
def learnings(request: Request, status: Annotated[str, Query(max_length=20)] = "") -> Response:
    """All learnings, those that hold first, the surest first; or those of one status."""
    with reading(request) as connection:
        found = _learnings(connection)
    counts = {name: sum(row["status"] == name for row in found) for name in _STATUSES}
    return render(
        request,
        "learnings.html",
        page="learnings",
        title="Learnings",
        chosen=status,
        rows=[row for row in found if status in ("", row["status"])],
        counts=[(name, count) for name, count in counts.items() if count],
    )


def _learnings(connection: sqlite3.Connection) -> list[dict]:
    found = connection.execute(
        "SELECT * FROM learning ORDER BY status <> 'active', confidence DESC, id DESC LIMIT ?",
        (_MOST,),
    ).fetchall()
    ties: dict[int, list[dict]] = defaultdict(list)
    for edge in connection.execute(
        "SELECT source_id AS id, relation, target_type AS type, target_id AS other FROM edge"
        " WHERE source_type = 'learning' UNION ALL"
        " SELECT target_id, relation || ' by', source_type, source_id FROM edge"
        " WHERE target_type = 'learning' ORDER BY 2, 3, 4"
    ):
        ties[edge["id"]].append(dict(edge))
    return [
        dict(row) | {"scope": json.loads(row["scope"]), "ties": ties[row["id"]]} for row in found
    ]
