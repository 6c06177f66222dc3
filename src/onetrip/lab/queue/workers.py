"""Who runs attempts: processes of this machine, of others, tasks of a cluster."""

import os
import platform
import sqlite3
import time
from collections.abc import Mapping

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.judge.process import process_started
from onetrip.lab.queue.endings import lose_attempt, open_attempts, return_attempt
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.store.study import canonical

KINDS = ("local", "http", "ray")


def register_worker(
    connection: sqlite3.Connection,
    name: str,
    kind: str,
    capabilities: Mapping[str, object],
    token_sha256: str | None = None,
) -> int:
    """Note who is going to claim; a name that comes back takes its row over.

    Parameters
    ----------
    kind : "local" (this process; its death is seen at once), "http" or "ray".
    capabilities : devices, versions, sandbox: for readers.

    Raises
    ------
    ArgumentError
        Another process that is alive works under this name.
    """
    if kind not in KINDS:
        raise ArgumentError(complaint("kind", expected=f"one of {list(KINDS)}", got=repr(kind)))
    local = kind == "local"
    pid = os.getpid() if local else None
    started = process_started(os.getpid()) if local else None
    host = platform.node() if local else str(capabilities.get("host", ""))
    now = time.time()
    with transaction(connection):
        before = connection.execute("SELECT * FROM worker WHERE name = ?", (name,)).fetchone()
        if before is not None:
            ours = local and before["pid"] == pid and before["process_started"] == started
            if not ours and is_alive(before):
                got = f"{name!r}, under which process {before['pid']} works"
                raise ArgumentError(complaint("name", expected="a name of its own", got=got))
            # What this very process holds is still at work, in another thread.
            for attempt in [] if ours else open_attempts(connection, before["id"]):
                lose_attempt(connection, attempt, f"its worker {name} started again", now)
        worker_id = connection.execute(
            "INSERT INTO worker (name, kind, token_sha256, capabilities, host, pid,"
            " process_started, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET kind = excluded.kind,"
            " token_sha256 = excluded.token_sha256, capabilities = excluded.capabilities,"
            " host = excluded.host, pid = excluded.pid,"
            " process_started = excluded.process_started, seen_at = excluded.seen_at,"
            " ended_at = NULL RETURNING id",
            (name, kind, token_sha256, canonical(dict(capabilities)), host, pid, started, now),
        ).fetchone()["id"]
        append_event(connection, "worker.joined", "worker", worker_id, f"{name} joined", kind=kind)
    return worker_id


def retire_worker(connection: sqlite3.Connection, worker_id: int) -> None:
    """Note that a worker ended in good order; what it still held is queued again."""
    now = time.time()
    with transaction(connection):
        row = connection.execute(
            "UPDATE worker SET ended_at = ?, seen_at = ? WHERE id = ? AND ended_at IS NULL"
            " RETURNING name",
            (now, now, worker_id),
        ).fetchone()
        if row is None:
            return
        for attempt in open_attempts(connection, worker_id):
            return_attempt(connection, attempt, f"its worker {row['name']} ended", now)
        append_event(connection, "worker.left", "worker", worker_id, f"{row['name']} left")


def is_alive(worker: sqlite3.Row) -> bool:
    """A worker of this machine whose process still runs."""
    return (
        worker["kind"] == "local"
        and worker["host"] == platform.node()
        and worker["pid"] is not None
        and worker["process_started"] is not None
        and process_started(worker["pid"]) == worker["process_started"]
    )


def is_dead(worker: sqlite3.Row) -> bool:
    """A worker of this machine whose process is gone for certain."""
    return (
        worker["kind"] == "local"
        and worker["host"] == platform.node()
        and worker["process_started"] is not None
        and process_started(worker["pid"]) != worker["process_started"]
    )
