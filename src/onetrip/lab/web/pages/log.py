"""Log: everything that happened, the newest first, as it happens."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from onetrip.lab.store.events import Event
from onetrip.lab.web.frame import reading
from onetrip.lab.web.render import render

router = APIRouter()

# What an event is about, in the order of the chips. The first five are the story of the lab.
KINDS = (
    "experiment",
    "champion",
    "hypothesis",
    "learning",
    "problem",
    "campaign",
    "queue",
    "worker",
    "edge",
    "attempt",
)
# Each attempt goes through many stages; who wants them asks for them.
_USUAL = tuple(kind for kind in KINDS if kind not in ("attempt", "edge"))
_AT_ONCE = 100


@router.get("/log")
def log(
    request: Request,
    show: Annotated[str, Query(max_length=200)] = "",
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> HTMLResponse:
    """Events of the kinds in `show` ("experiment,champion"), from the newest before `before` on."""
    asked = [kind for kind in KINDS if kind in show.split(",")]
    kinds = asked or list(_USUAL)
    with reading(request) as connection:
        events = latest_events(connection, kinds, limit=_AT_ONCE + 1, before=before)
    older = events[_AT_ONCE - 1].seq if len(events) > _AT_ONCE else None
    return render(
        request,
        "log.html",
        page="log",
        title="Log",
        events=events[:_AT_ONCE],
        kinds=kinds,
        choices=[(kind, kind in kinds, _toggled(kinds, kind)) for kind in KINDS],
        older=older,
        show=show,
        before=before,
    )


def latest_events(
    connection: sqlite3.Connection, kinds: Sequence[str], *, limit: int, before: int | None = None
) -> list[Event]:
    """The newest events of these kinds, newest first."""
    wanted = " OR ".join("type GLOB ?" for _ in kinds)
    rows = connection.execute(
        f"SELECT * FROM event WHERE seq < ? AND ({wanted}) ORDER BY seq DESC LIMIT ?",
        (2**62 if before is None else before, *(f"{kind}.*" for kind in kinds), limit),
    )
    return [Event(**dict(row) | {"document": json.loads(row["document"])}) for row in rows]


def _toggled(kinds: Sequence[str], kind: str) -> str:
    chosen = [k for k in KINDS if (k in kinds) != (k == kind)]
    return ",".join(chosen)
