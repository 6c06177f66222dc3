"""Queue: what waits, in which order, and why; and the hands that change it."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from onetrip.lab.views import queue as view
from onetrip.lab.web.frame import reading
from onetrip.lab.web.render import render

router = APIRouter()


@router.get("/queue")
def queue(request: Request) -> HTMLResponse:
    """What runs, waits and pauses."""
    with reading(request) as connection:
        content = view.queue(connection)
    return render(request, "queue.html", page="queue", title="Queue", **content)
