"""One tuner at a time on one database: the kernel drops the lock when its holder dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.2


@contextmanager
def only_writer(database: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the database's lock inside this block; wait for another holder, and say so once.

    `on_wait` receives a sentence that names the other process.
    """
    path = database.with_name(database.name + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        said = False
        while not _take(file.fileno()):
            if not said:
                file.seek(0)
                holder = file.read().strip() or "another process"
                on_wait(f"{holder} works on {database}: waiting until it ends.")
                said = True
            time.sleep(_POLL_S)
        try:
            file.truncate(0)
            file.write(f"onetrip tune (process {os.getpid()})\n")
            file.flush()
            yield
        finally:
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
