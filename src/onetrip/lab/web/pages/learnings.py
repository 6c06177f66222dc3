"""Learnings: what the lab knows by now, where it holds, how sure it is, and on what it rests."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from onetrip.lab.views.learnings import STATUSES, list_learnings
from onetrip.lab.web.frame import reading
from onetrip.lab.web.render import render

router = APIRouter()


@router.get("/learnings")
def learnings(request: Request, status: Annotated[str, Query(max_length=20)] = "") -> Response:
    """All learnings, those that hold first, the surest first; or those of one status."""
    with reading(request) as connection:
        every = list_learnings(connection)
        rows = list_learnings(connection, status) if status else every
    counts = {name: sum(row["status"] == name for row in every) for name in STATUSES}
    return render(
        request,
        "learnings.html",
        page="learnings",
        title="Learnings",
        chosen=status,
        rows=rows,
        counts=[(name, count) for name, count in counts.items() if count],
    )
