"""Now: the machine, what runs on it, and what it leads to."""

import sqlite3
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from onetrip.lab.views import now as view
from onetrip.lab.web.devices import Sample
from onetrip.lab.web.frame import frame_of, reading
from onetrip.lab.web.pages.log import latest_events
from onetrip.lab.web.render import render
from onetrip.lab.web.samples import newest_samples, series

router = APIRouter()

_MINUTES = 10
_STORY = ("experiment", "champion", "hypothesis", "learning", "problem", "campaign")


@router.get("/")
def now(request: Request) -> HTMLResponse:
    """The first page."""
    with reading(request) as connection:
        devices = _devices(request, newest_samples(connection))
        return render(
            request,
            "now.html",
            page="now",
            title="Now",
            minutes=_MINUTES,
            devices=devices,
            at=time.time(),
            running=view.running(connection),
            campaigns=view.campaigns(connection),
            champions=view.champions(connection),
            workers=view.workers(connection),
            counts=_counts(connection),
            events=latest_events(connection, _STORY, limit=12),
        )


@router.get("/samples")
def samples(
    request: Request,
    host: Annotated[str, Query(max_length=255)],
    device: Annotated[str, Query(max_length=64)],
    minutes: Annotated[float, Query(gt=0, le=7 * 24 * 60)] = _MINUTES,
) -> dict[str, list[float | None]]:
    """Columns of what a device did in the last `minutes`."""
    sampler = frame_of(request).sampler
    pending = sampler.pending() if sampler is not None else ()
    with reading(request) as connection:
        since = time.time() - 60 * minutes
        return series(connection, host, device, since=since, pending=pending)


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    rows = connection.execute("SELECT state, count(*) FROM experiment GROUP BY state ORDER BY 2")
    return {state: count for state, count in reversed(rows.fetchall())}


def _devices(request: Request, kept: list[Sample]) -> list[Sample]:
    """The last sample of each device: of this process when it looks itself, else the database's."""
    sampler = frame_of(request).sampler
    latest = sampler.latest if sampler is not None else ()
    found = {(sample.host, sample.device): sample for sample in (*kept, *latest)}
    # GPUs first: they are what one comes to see.
    return [found[key] for key in sorted(found, key=lambda key: (key[1] == "cpu", key))]
