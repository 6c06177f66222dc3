"""The heartbeat of one attempt: renews its lease from a thread while the judge works."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from onetrip.core.errors import OnetripError
from onetrip.lab.queue.claims import LEASE_S, heartbeat
from onetrip.lab.store.database import connect

_BEATS_PER_LEASE = 6
# What is written at once when a stage changes; a judge may change it many times a second.
_LEAST_PAUSE_S = 0.25

Beat = Callable[[str], bool]


class Pulse:
    """Renews a lease until it is left; `lost` when the lease is somebody else's by now.

    Parameters
    ----------
    beats : entered by the pulse's thread, which leaves it at the end. What it yields renews the
        lease and notes the stage; False says that the lease is gone.
    """

    def __init__(
        self, beats: AbstractContextManager[Beat], *, period_s: float = LEASE_S / _BEATS_PER_LEASE
    ) -> None:
        self._beats = beats
        self._period_s = period_s
        self._stage = "starting"
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def stage(self, name: str, share: float | None = None) -> None:
        """Say what the judge does now."""
        text = name if share is None else f"{name} ({share:.0%})"
        if text != self._stage:
            self._stage = text
            self._changed.set()

    @property
    def lost(self) -> bool:
        """The attempt is no longer ours: its answer would not be taken."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._beats as beat:
                self._renew(beat)
        except (OnetripError, sqlite3.Error):
            # Whoever could renew it no longer can: it lapses, and somebody else takes it.
            self._lost.set()

    def _renew(self, beat: Beat) -> None:
        while not self._ended.is_set():
            self._changed.wait(self._period_s)
            self._changed.clear()
            if self._ended.is_set():
                return
            if not beat(self._stage):
                self._lost.set()
                return
            self._ended.wait(_LEAST_PAUSE_S)


@contextmanager
def local_beats(database: Path, attempt_id: int, n: int) -> Iterator[Beat]:
    """Heartbeats straight into the database, over one connection of the thread that enters."""
    with closing(connect(database)) as connection:
        yield lambda stage: heartbeat(connection, attempt_id, n, stage=stage, lease_s=LEASE_S)
