"""What a worker on another machine may ask the lab: a task, more time, to take an answer.

Mounted behind the page's gate, which lets a worker's token in here and nowhere else.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

from fastapi import Body, Depends, FastAPI, Request, Response
from pydantic import BaseModel, Field

from onetrip.core.device import Device
from onetrip.core.errors import DataError
from onetrip.lab.judge.machine import Machine
from onetrip.lab.queue import claims
from onetrip.lab.store.database import connect, transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.verdict import verdict_from
from onetrip.lab.work import desk
from onetrip.lab.work.bundle import pack

PATH = "/api/work"
_NO_CONTENT = 204


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

    def connection() -> Iterator[sqlite3.Connection]:
        with closing(connect(database)) as opened:
            yield opened

    Connection = Annotated[sqlite3.Connection, Depends(connection)]

    @app.post("/join")
    def join(request: Request, asked: Annotated[Joining, Body()], store: Connection) -> dict:
        worker_id = _worker_id(request)
        with transaction(store):
            row = store.execute(
                "UPDATE worker SET capabilities = ?, seen_at = unixepoch('subsec')"
                " WHERE id = ? RETURNING name",
                (
                    json.dumps({"devices": list(asked.machines), "machines": asked.machines}),
                    worker_id,
                ),
            ).fetchone()
            text = f"{row['name']} joined with {', '.join(asked.machines)}"
            append_event(store, "worker.joined", "worker", worker_id, text)
        return {"worker": row["name"], "lease_s": desk.LEASE_S}

    @app.post("/claim")
    def claim(request: Request, asked: Annotated[Asking, Body()], store: Connection) -> Response:
        worker_id = _worker_id(request)
        machine = _machine(store, worker_id, asked.device)
        task = desk.take(store, worker_id, asked.device, machine)
        if task is None:
            return Response(status_code=_NO_CONTENT)
        document = {"task": task.as_dict(), "files": pack(task.job.problem)}
        return Response(json.dumps(document), media_type="application/json")

    @app.post("/heartbeat")
    def heartbeat(request: Request, asked: Annotated[Beating, Body()], store: Connection) -> dict:
        _own(store, request, asked.attempt_id)
        ours = claims.heartbeat(
            store, asked.attempt_id, asked.n, stage=asked.stage, lease_s=desk.LEASE_S
        )
        return {"ours": ours}

    @app.post("/finish")
    def finish(request: Request, asked: Annotated[Answering, Body()], store: Connection) -> dict:
        _own(store, request, asked.attempt_id)
        try:
            verdict = verdict_from(asked.verdict)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"The verdict cannot be read: {error}.") from error
        return {"taken": desk.answer(store, asked.attempt_id, asked.n, verdict)}

    return app


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
    return Machine(Device(**machines[device]["device"]), machines[device]["environment"])


def _own(store: sqlite3.Connection, request: Request, attempt_id: int) -> None:
    """A worker may speak for its own attempts only."""
    worker_id = _worker_id(request)
    row = store.execute("SELECT worker_id FROM attempt WHERE id = ?", (attempt_id,)).fetchone()
    if row is None or row["worker_id"] != worker_id:
        raise DataError(f"Attempt {attempt_id} is not this worker's.")
