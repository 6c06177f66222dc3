"""Results: best so far, roofline, Pareto fronts, and which parameters decide."""

import sqlite3
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from onetrip.lab.views.problems import list_problems
from onetrip.lab.web.frame import reading
from onetrip.lab.web.render import render
from onetrip.lab.web.result_charts import importance_charts, result_charts

Number = Annotated[int | None, Query(ge=1, le=2**62)]

router = APIRouter()


@router.get("/results")
def results(request: Request, problem: Number = None, study: Number = None) -> Response:
    """Charts of one problem in one study; without numbers, of what was measured last."""
    with reading(request) as connection:
        problems = list_problems(connection)
        chosen = _chosen(connection, problems, problem)
        studies = result_charts(connection, chosen["id"]) if chosen else []
    shown = next((each for each in studies if study in (None, each.study_id)), None)
    if study is not None and shown is None:
        raise HTTPException(404, f"There is no result in a study {study} of this problem.")
    return render(
        request,
        "results.html",
        page="results",
        title="Results" + (f" of {chosen['name']}" if chosen else ""),
        problems=[each for each in problems if each["counts_by_state"]],
        problem=chosen,
        studies=studies,
        shown=shown,
    )


@router.get("/results/importance")
def results_importance(
    request: Request,
    problem: Annotated[int, Query(ge=1, le=2**62)],
    study: Annotated[int, Query(ge=1, le=2**62)],
) -> Response:
    """The importance of parameters, which the page asks for when it has shown the rest."""
    with reading(request) as connection:
        figures = importance_charts(connection, problem, study)
    return render(request, "importance.html", page="results", title="Importance", figures=figures)


def _chosen(
    connection: sqlite3.Connection, problems: list[dict], number: int | None
) -> dict | None:
    if number is not None:
        found = next((each for each in problems if each["id"] == number), None)
        if found is None:
            raise HTTPException(404, f"There is no problem {number} in this lab.")
        return found
    row = connection.execute(
        "SELECT problem_id FROM study JOIN attempt ON attempt.study_id = study.id"
        " WHERE outcome = 'done' ORDER BY ended_at DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return next(iter(problems), None)
    return next(each for each in problems if each["id"] == row["problem_id"])
