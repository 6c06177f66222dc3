"""Log: everything that happened, in order."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from onetrip.lab.web.render import render

router = APIRouter()


@router.get("/log")
def log(request: Request) -> HTMLResponse:
    """The running log."""
    return render(request, "log.html", page="log", title="Log")
