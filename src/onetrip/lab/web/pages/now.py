"""Now: the machine, what runs on it, and what it leads to."""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from onetrip.lab.views import now as view
from onetrip.lab.web.frame import Frame, frame_of, reading
from onetrip.lab.web.render import render
from onetrip.lab.web.samples import newest_samples, series

router = APIRouter()

_MINUTES = 10


@router.get("/")
def now(request: Request) -> HTMLResponse:
    """The first page."""
    with reading(request) as connection:
        samples = {(s.host, s.device): s for s in newest_samples(connection)}
        content = view.now(connection)
    samples |= {(s.host, s.device): s for s in _latest(frame_of(request))}
    content["devices"] = [samples[key] for key in sorted(samples)]
    return render(
        request,
        "now.html",
        page="now",
        title="Now",
        minutes=_MINUTES,
        **content,
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


def _latest(frame: Frame):
    return frame.sampler.latest if frame.sampler is not None else ()
