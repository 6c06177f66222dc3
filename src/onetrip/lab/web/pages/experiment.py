"""One experiment: what was run, why, what was predicted, what came out, and by which evidence."""

import sqlite3
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from onetrip.lab.knowledge.effects import effects_of
from onetrip.lab.knowledge.hypotheses import prediction_text
from onetrip.lab.views.experiments import experiment
from onetrip.lab.web.attempt_charts import check_charts, ratio_chart, timing_charts
from onetrip.lab.web.effect_chart import effect_chart
from onetrip.lab.web.frame import reading
from onetrip.lab.web.markup import plain
from onetrip.lab.web.render import render
from onetrip.lab.web.sentences import verdict_sentence
from onetrip.lab.web.source_code import code, diff

Number = Annotated[int, Path(ge=1, le=2**62)]
_TAIL_LINES = 200
_UNFINISHED = ("queued", "paused", "running", "infra_lost")

router = APIRouter()


@router.get("/experiments/{id}")
def experiment_page(
    request: Request, id: Number, attempt: Annotated[int | None, Query(ge=1, le=2**62)] = None
) -> Response:
    """Everything about one experiment; of several attempts the one asked for, or the last."""
    with reading(request) as connection:
        found = _found(connection, id)
        effects = _effects(connection, found)
    shown = _shown(found["attempts"], attempt)
    log = "" if shown is None else plain(shown["log"])
    candidate, parent = found["candidate"], found["parent"]
    return render(
        request,
        "experiment.html",
        page="experiments",
        title=f"#{id} {found['title']}",
        found=found,
        sentence=verdict_sentence(found),
        unfinished=found["state"] in _UNFINISHED,
        prediction=found["prediction"],
        predicted=prediction_text(found["prediction"]) if found["prediction"] else "",
        effects=effect_chart("What this experiment shows", effects, found["prediction"])
        if effects
        else None,
        attempt=shown,
        checks=check_charts(shown),
        ratios=ratio_chart(shown),
        timings=timing_charts(shown),
        code=None if candidate["source"] is None else code(candidate["source"]),
        diff=diff(found["diff"], parent and parent["source"], candidate["source"])
        if found["diff"]
        else None,
        log="\n".join(log.splitlines()[-_TAIL_LINES:]),
        log_lines=len(log.splitlines()),
        tail_lines=_TAIL_LINES,
    )


@router.get("/experiments/{id}/log")
def log_file(
    request: Request, id: Number, attempt: Annotated[int | None, Query(ge=1, le=2**62)] = None
) -> Response:
    """The whole log of an attempt, as a file: a browser shows no hostile text as a page."""
    with reading(request) as connection:
        shown = _shown(_found(connection, id)["attempts"], attempt)
    return _attachment("" if shown is None else shown["log"], f"experiment-{id}.log")


@router.get("/experiments/{id}/source")
def source_file(request: Request, id: Number) -> Response:
    """The candidate's source, as a file."""
    with reading(request) as connection:
        source = _found(connection, id)["candidate"]["source"]
    if source is None:
        raise HTTPException(404, f"Experiment {id} is a configuration and has no source.")
    return _attachment(source, f"experiment-{id}.py")


@router.get("/candidates/{id}")
def candidate(request: Request, id: Number) -> Response:
    """A candidate is shown by its newest experiment."""
    query = "SELECT max(id) AS id FROM experiment WHERE candidate_id = ?"
    with reading(request) as connection:
        newest = connection.execute(query, (id,)).fetchone()["id"]
    if newest is None:
        raise HTTPException(404, f"There is no experiment of candidate {id}.")
    return RedirectResponse(f"/experiments/{newest}", 303)


def _found(connection: sqlite3.Connection, id: int) -> dict:
    found = experiment(connection, id)
    if found is None:
        raise HTTPException(404, f"There is no experiment {id} in this lab.")
    return found


def _effects(connection: sqlite3.Connection, found: dict) -> list[dict]:
    if found["hypothesis_id"] is None:
        return []
    effects = effects_of(connection, found["hypothesis_id"])
    return [effect.as_dict() for effect in effects if effect.experiment_id == found["id"]]


def _shown(attempts: list[dict], number: int | None) -> dict | None:
    if number is not None:
        shown = next((attempt for attempt in attempts if attempt["n"] == number), None)
        if shown is None:
            raise HTTPException(404, f"There is no attempt {number} of this experiment.")
        return shown
    return attempts[-1] if attempts else None


def _attachment(text: str, name: str) -> Response:
    return Response(
        text,
        media_type="text/plain; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )
