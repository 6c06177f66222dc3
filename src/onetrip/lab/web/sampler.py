"""Look at the machine once a second, in one thread, and remember a day of it.

Samples of more than a day ago become means of a minute: `thin` runs once a minute.
"""

import logging
import socket
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from onetrip.lab.store.database import connect
from onetrip.lab.web.devices import Reader, Sample, open_readers
from onetrip.lab.web.samples import keep_samples, thin

_LOOK_EVERY_S = 1.0
# Each commit waits for the disk: ten looks share one.
_KEEP_EVERY = 10
_THIN_EVERY_S = 60.0
# Whatever is older was thinned the time before.
_DAY_AND_MORE_S = 25 * 3600.0
# What cannot be written is not kept for ever.
_MOST_PENDING = 6000

_log = logging.getLogger(__name__)


class Sampler:
    """One thread that looks, and one list that all pages read.

    Parameters
    ----------
    database : where samples are kept.
    readers : what to look at; None finds what this machine has.
    """

    def __init__(self, database: Path, readers: Sequence[Reader] | None = None) -> None:
        self.latest: tuple[Sample, ...] = ()
        self._database = database
        self._readers = readers
        self._host = socket.gethostname()
        self._pending: deque[Sample] = deque(maxlen=_MOST_PENDING)
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look until the block ends."""
        thread = threading.Thread(target=self._run, name="onetrip-sampler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def pending(self) -> list[Sample]:
        """What is not in the database yet, oldest first."""
        return list(self._pending)

    def look(self, at: float) -> tuple[Sample, ...]:
        """Take one look at everything."""
        readers = self._readers or ()
        self.latest = tuple(
            Sample(at, self._host, device, values)
            for reader in readers
            for device, values in reader()
        )
        self._pending.extend(self.latest)
        return self.latest

    def keep(self, connection: sqlite3.Connection) -> None:
        """Write what is pending."""
        samples = self.pending()
        keep_samples(connection, samples)
        for _ in samples:
            self._pending.popleft()

    def _run(self) -> None:
        with ExitStack() as stack:
            if self._readers is None:
                self._readers = open_readers(stack)
            connection = stack.enter_context(closing(connect(self._database)))
            looks, next_thin, thinned_at = 0, time.monotonic() + _THIN_EVERY_S, 0.0
            while not self._stop.is_set():
                self.look(float(int(time.time())))
                looks += 1
                try:
                    if looks % _KEEP_EVERY == 0:
                        self.keep(connection)
                    if time.monotonic() >= next_thin:
                        next_thin = time.monotonic() + _THIN_EVERY_S
                        now = time.time()
                        thin(connection, now, since=max(0.0, thinned_at - _DAY_AND_MORE_S))
                        thinned_at = now
                except sqlite3.OperationalError as error:
                    # A lock that is held for long, a full disk: the page lives without a record.
                    _log.warning("device samples are not kept: %s", error)
                self._stop.wait(_LOOK_EVERY_S - time.time() % _LOOK_EVERY_S)
            self.keep(connection)
