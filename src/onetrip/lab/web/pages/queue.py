"""Queue: what waits, in which order, and why; and the hands that change it."""

import sqlite3
from collections.abc import Callable

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from onetrip.lab.queue import order
from onetrip.lab.views import queue as view
from onetrip.lab.web.frame import reading, writing
from onetrip.lab.web.render import render

router = APIRouter()

# Nobody orders more by hand, and the list is drawn again with every event.
_SHOWN = 100


class Place(BaseModel):
    """Where an experiment is to go: directly before another one, or last of all."""

    model_config = ConfigDict(extra="forbid")
    before: int | None


@router.get("/queue")
def queue(request: Request) -> HTMLResponse:
    """What runs, waits and pauses."""
    with reading(request) as connection:
        content = view.queue(connection, limit=_SHOWN + 1)
    # The first that is not shown: what is put below the last row goes before it.
    hidden = content["waiting"][_SHOWN:]
    content["waiting"] = content["waiting"][:_SHOWN]
    following = hidden[0]["id"] if hidden else None
    return render(
        request, "queue.html", page="queue", title="Queue", following=following, **content
    )


@router.post("/queue/{id}/move")
def move(request: Request, id: int, place: Place) -> dict[str, bool]:
    """Put an experiment before another."""
    with writing(request) as connection:
        order.move(connection, id, place.before)
    return {"done": True}


@router.post("/queue/{id}/{action}")
def act(request: Request, id: int, action: str) -> dict[str, bool]:
    """Pin, unpin, pause, resume or cancel an experiment."""
    if action not in _ACTIONS:
        raise HTTPException(404, f"An experiment can be {', '.join(_ACTIONS)}; not {action}.")
    with writing(request) as connection:
        _ACTIONS[action](connection, id)
    return {"done": True}


def _pin(connection: sqlite3.Connection, id: int) -> None:
    highest = connection.execute(
        "SELECT max(max(pinned), 0) FROM experiment WHERE state IN ('queued', 'paused')"
    ).fetchone()[0]
    order.pin(connection, id, (highest or 0) + 1)


def _unpin(connection: sqlite3.Connection, id: int) -> None:
    order.pin(connection, id, 0)


_ACTIONS: dict[str, Callable[[sqlite3.Connection, int], None]] = {
    "pin": _pin,
    "unpin": _unpin,
    "pause": order.pause,
    "resume": order.resume,
    "cancel": order.cancel,
}
