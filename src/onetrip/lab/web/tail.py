"""Follow the end of the event table: one thread looks, every stream waits for what it finds."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from onetrip.lab.store.database import connect
from onetrip.lab.store.events import last_seq

# Streams send at most twice a second, so looking more often would show nothing sooner.
_LOOK_EVERY_S = 0.25


class Tail:
    """The newest event's number, and a way to wait for a newer one."""

    def __init__(self, database: Path) -> None:
        self.seq = 0
        self._database = database
        self._stop = threading.Event()
        self._moved = asyncio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """The application ends, and so must its streams."""
        return self._closed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the table until the block ends."""
        loop = asyncio.get_running_loop()
        thread = threading.Thread(
            target=self._look, args=(loop,), name="onetrip-event-tail", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self.close()
            await asyncio.to_thread(thread.join)

    def close(self) -> None:
        """Wake and end every stream; a server that stops waits for them otherwise."""
        self._closed = True
        self._stop.set()
        self._moved.set()

    async def beyond(self, seq: int, timeout_s: float) -> bool:
        """Wait until there is an event after `seq`; False when the time passed without one."""
        if self.seq > seq or self._closed:
            return not self._closed
        try:
            await asyncio.wait_for(self._moved.wait(), timeout_s)
        except TimeoutError:
            return False
        return self.seq > seq and not self._closed

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        connection = connect(self._database)
        try:
            while not self._stop.is_set():
                seq = last_seq(connection)
                if seq != self.seq:
                    loop.call_soon_threadsafe(self._announce, seq)
                self._stop.wait(_LOOK_EVERY_S)
        finally:
            connection.close()

    def _announce(self, seq: int) -> None:
        self.seq = seq
        # Who waits holds the old one; who comes later waits for the next.
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
