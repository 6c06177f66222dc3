"""Take back what dead workers held and finish what they began, while nobody else would notice."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from onetrip.lab.queue.claims import reap
from onetrip.lab.store.database import connect
from onetrip.lab.work.tasks import settle_left_over

EVERY_S = 5.0


@contextmanager
def reaping(database: Path, *, every_s: float = EVERY_S) -> Iterator[None]:
    """Look for lapsed leases and dead workers until the block ends."""
    ended = threading.Event()

    def run() -> None:
        with closing(connect(database)) as connection:
            while not ended.wait(every_s):
                reap(connection)
                settle_left_over(connection)

    thread = threading.Thread(target=run, name="onetrip-reaper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
