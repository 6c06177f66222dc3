"""The running log: every change appends one event in the transaction that makes it."""

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass

from onetrip.lab.store.study import canonical


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `seq` only grows, so a reader that was away asks for what is new.

    `type` is "<subject>.<what>": "experiment.queued", "attempt.stage", "hypothesis.supported".
    `text` is one sentence for a reader, `document` what a program needs.
    """

    seq: int
    at: float
    type: str
    subject_type: str
    subject_id: int | None
    text: str
    document: Mapping[str, object]


def append_event(
    connection: sqlite3.Connection,
    type: str,
    subject_type: str,
    subject_id: int | None,
    text: str,
    **document: object,
) -> int:
    """Append one event; part of whatever transaction is open. Return its sequence number."""
    cursor = connection.execute(
        "INSERT INTO event (at, type, subject_type, subject_id, text, document)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING seq",
        (time.time(), type, subject_type, subject_id, text, canonical(document)),
    )
    return cursor.fetchone()["seq"]


def events_after(
    connection: sqlite3.Connection, seq: int, *, limit: int = 500, newest: bool = False
) -> list[Event]:
    """Events with a larger sequence number, oldest first; of too many the oldest or the newest."""
    order = "DESC" if newest else "ASC"
    rows = connection.execute(
        f"SELECT * FROM event WHERE seq > ? ORDER BY seq {order} LIMIT ?", (seq, limit)
    ).fetchall()
    found = [Event(**dict(row) | {"document": json.loads(row["document"])}) for row in rows]
    return found[::-1] if newest else found


def last_seq(connection: sqlite3.Connection) -> int:
    """The newest event's number; 0 when nothing has happened yet."""
    return connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0]
