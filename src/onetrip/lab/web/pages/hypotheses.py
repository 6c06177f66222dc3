"""Hypotheses: what is being validated, what was ruled out, and by which evidence."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from onetrip.lab.knowledge.hypotheses import STATUSES
from onetrip.lab.views.hypotheses import hypothesis, list_hypotheses
from onetrip.lab.web.effect_chart import effect_chart
from onetrip.lab.web.frame import reading
from onetrip.lab.web.render import render

# The undecided ones come first: they are what the queue works on.
_GROUPS = (
    ("Being validated", ("testing", "open")),
    ("Supported", ("supported",)),
    ("Ruled out", ("refuted",)),
    ("Undecided after all tests", ("inconclusive",)),
    ("No longer asked", ("superseded", "withdrawn")),
)

router = APIRouter()


@router.get("/hypotheses")
def hypotheses(request: Request, status: Annotated[str, Query(max_length=20)] = "") -> Response:
    """All hypotheses in groups, or those of one ``?status=refuted``."""
    with reading(request) as connection:
        every = list_hypotheses(connection)
        found = list_hypotheses(connection, status) if status else every
    groups = [
        (title, [row for row in found if row["status"] in statuses]) for title, statuses in _GROUPS
    ]
    counts = {name: sum(row["status"] == name for row in every) for name in STATUSES}
    return render(
        request,
        "hypotheses.html",
        page="hypotheses",
        title="Hypotheses",
        status=200,
        chosen=status,
        groups=[(title, rows) for title, rows in groups if rows],
        counts=[(name, count) for name, count in counts.items() if count],
    )


@router.get("/hypotheses/{id}")
def hypothesis_page(request: Request, id: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    """One hypothesis: the prediction as it was declared, and every effect that was observed."""
    with reading(request) as connection:
        found = hypothesis(connection, id)
    if found is None:
        raise HTTPException(404, f"There is no hypothesis {id} in this lab.")
    return render(
        request,
        "hypothesis.html",
        page="hypotheses",
        title=f"H{id} {found['title']}",
        found=found,
        chart=effect_chart("Observed, against what was predicted", found["effects"], found),
    )
