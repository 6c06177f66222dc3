"""Problems: what is asked, what was reached, and the brief that who proposes reads first."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from onetrip.lab.views.problems import brief, list_problems
from onetrip.lab.web.frame import reading
from onetrip.lab.web.render import render

router = APIRouter()


@router.get("/problems")
def problems(request: Request) -> Response:
    """All problems, the last added first."""
    with reading(request) as connection:
        found = list_problems(connection)
    return render(request, "problems.html", page="problems", title="Problems", problems=found)


@router.get("/problems/{id}")
def problem_page(request: Request, id: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    """One problem with everything that its brief says."""
    with reading(request) as connection:
        if connection.execute("SELECT 1 FROM problem WHERE id = ?", (id,)).fetchone() is None:
            raise HTTPException(404, f"There is no problem {id} in this lab.")
        found = brief(connection, id)
    return render(
        request,
        "problem_brief.html",
        page="problems",
        title=found["problem"]["name"],
        found=found,
        problem=found["problem"],
    )
