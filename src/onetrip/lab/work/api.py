"""What a worker on another machine may ask the lab: a task, more time, to take an answer.

Mounted behind the page's gate, which lets a worker's token in here and nowhere else.
"""

import json
import sqlite3
import time
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from onetrip.core.errors import DataError, OnetripError
from onetrip.lab.judge.machine import Machine, machine_from
from onetrip.lab.queue import claims
from onetrip.lab.store.database import connect, transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.store.study import canonical
from onetrip.lab.verdict import verdict_from
from onetrip.lab.work import tasks
from onetrip.lab.work.bundle import pack

PATH = "/api/work"


class Joining(BaseModel):
    """What a worker says of itself: for each device its ceilings and its environment."""

    machines: dict[str, dict[str, dict]] = Field(min_length=1)


class Asking(BaseModel):
    """A worker has time for one task on one of its devices."""

    device: str


class Beating(BaseModel):
    """An attempt is alive, and in this stage."""

    attempt_id: int
    n: int
    stage: str = Field(max_length=200)


class Answering(BaseModel):
    """What came of an attempt."""

    attempt_id: int
    n: int
    verdict: dict


def work_app(database: Path) -> FastAPI:
    """The application to mount at `PATH`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def store() -> AbstractContextManager[sqlite3.Connection]:
        # Opened where it is used: a connection belongs to one thread, an answer to any.
        return closing(connect(database))

    @app.post("/join")
    def join(request: Request, asked: Joining) -> dict:
        worker_id = _worker_id(request)
        with store() as connection:
            return _join(connection, worker_id, asked)

    @app.post("/claim")
    def claim(request: Request, asked: Asking) -> Response:
        worker_id = _worker_id(request)
        with store() as connection:
            machine = _machine(connection, worker_id, asked.device)
            task = tasks.take(connection, worker_id, asked.device, machine)
        if task is None:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        bundle = pack(task.job.problem)
        return JSONResponse({"task": task.as_dict(), "bundle": asdict(bundle)})

    @app.post("/heartbeat")
    def heartbeat(request: Request, asked: Beating) -> dict:
        with store() as connection:
            _own(connection, request, asked.attempt_id)
            ours = claims.heartbeat(
                connection, asked.attempt_id, asked.n, stage=asked.stage, lease_s=claims.LEASE_S
            )
        return {"ours": ours}

    @app.post("/finish")
    def finish(request: Request, asked: Answering) -> dict:
        try:
            verdict = verdict_from(asked.verdict)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"The verdict cannot be read: {error}.") from error
        with store() as connection:
            _own(connection, request, asked.attempt_id)
            return {"taken": tasks.answer(connection, asked.attempt_id, asked.n, verdict)}

    @app.exception_handler(OnetripError)
    def refuse(request: Request, error: OnetripError) -> Response:
        return JSONResponse({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    return app


def _join(connection: sqlite3.Connection, worker_id: int, asked: Joining) -> dict:
    capabilities = {"devices": list(asked.machines), "machines": asked.machines}
    with transaction(connection):
        row = connection.execute(
            "UPDATE worker SET capabilities = ?, seen_at = ? WHERE id = ? RETURNING name",
            (canonical(capabilities), time.time(), worker_id),
        ).fetchone()
        text = f"{row['name']} joined with {', '.join(asked.machines)}"
        append_event(connection, "worker.joined", "worker", worker_id, text)
    return {"worker": row["name"], "lease_s": claims.LEASE_S}


def _worker_id(request: Request) -> int:
    worker_id = request.scope.get("onetrip.worker_id")
    if worker_id is None:
        raise DataError(
            "Only a worker's token opens this: `onetrip lab worker add NAME` makes one."
        )
    return worker_id


def _machine(store: sqlite3.Connection, worker_id: int, device: str) -> Machine:
    row = store.execute("SELECT capabilities FROM worker WHERE id = ?", (worker_id,)).fetchone()
    machines = json.loads(row["capabilities"]).get("machines", {})
    if device not in machines:
        raise DataError(f"This worker joined without a device {device!r}, only {list(machines)}.")
    return machine_from(machines[device])


def _own(store: sqlite3.Connection, request: Request, attempt_id: int) -> None:
    """A worker may speak for its own attempts only."""
    worker_id = _worker_id(request)
    row = store.execute("SELECT worker_id FROM attempt WHERE id = ?", (attempt_id,)).fetchone()
    if row is None or row["worker_id"] != worker_id:
        raise DataError(f"Attempt {attempt_id} is not this worker's.")
