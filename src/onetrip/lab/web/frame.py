"""What every page shares: the database, the keys, the tail of events, the files beside the code."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import Request

from onetrip.lab.store.database import connect
from onetrip.lab.store.events import last_seq
from onetrip.lab.web.sampler import Sampler
from onetrip.lab.web.session_token import Keys, Scope
from onetrip.lab.web.tail import Tail

WEB_DIR = Path(__file__).resolve().parent
STATIC_DIR = WEB_DIR / "static"
TEMPLATES_DIR = WEB_DIR / "templates"


class Frame:
    """The state of one application; a page reaches it by `frame_of`."""

    def __init__(
        self, database: Path, keys: Keys, *, read_only: bool = False, sampler: Sampler | None = None
    ) -> None:
        self.database = database
        self.keys = keys
        self.read_only = read_only
        self.sampler = sampler
        self.tail = Tail(database)
        # Streams of events that are open now.
        self.streams = 0


def frame_of(request: Request) -> Frame:
    """The state of the application that answers `request`."""
    return request.app.state.frame


def scope_of(request: Request) -> Scope:
    """What the visitor may do, as the gate found."""
    return request.scope["onetrip.scope"]


@contextmanager
def reading(request: Request) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, for the pages; open it in the function that uses it."""
    with writing(request) as connection:
        connection.execute("PRAGMA query_only = ON")
        # Before anything else is read: what happens from here on comes by the stream.
        request.scope.setdefault("onetrip.seq", last_seq(connection))
        yield connection


@contextmanager
def writing(request: Request) -> Iterator[sqlite3.Connection]:
    """A connection for what a visitor may change."""
    connection = connect(frame_of(request).database)
    try:
        yield connection
    finally:
        connection.close()
