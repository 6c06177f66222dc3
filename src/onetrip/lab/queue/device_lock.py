"""One attempt at a time on a device, whoever runs it: the kernel drops the lock with its holder.

The lock is of the machine's user, not of a database: two labs share a device too.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from onetrip.core import settings

_POLL_S = 0.02


class _Stopped(Exception):
    """The wait was given up."""


@contextmanager
def devices_held(
    devices: Sequence[str],
    who: str,
    on_wait: Callable[[str], None] = lambda sentence: None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[float | None]:
    """Hold these devices inside the block; gives the seconds waited, None when told to stop.

    Parameters
    ----------
    devices : "cpu", "cuda:0"; taken in one order by everybody, so that nobody waits in a ring.
    who : what the others read while they wait: "onetrip tune".
    on_wait : receives a sentence that names the holder, once for each device.
    """
    folder = lock_folder()
    settings.make_folder(folder)
    started = time.monotonic()
    with ExitStack() as held:
        try:
            for device in sorted(devices):
                _take(folder, device, who, on_wait, should_stop, held)
        except _Stopped:
            yield None
            return
        yield time.monotonic() - started


def lock_folder() -> Path:
    """Where the locks of this user's devices lie."""
    return settings.cache_dir() / "locks"


def _take(
    folder: Path,
    device: str,
    who: str,
    on_wait: Callable[[str], None],
    should_stop: Callable[[], bool],
    held: ExitStack,
) -> None:
    name = device.replace(":", "-")
    file = held.enter_context((folder / f"{name}.lock").open("a+"))
    said = False

    def wait() -> None:
        nonlocal said
        if should_stop():
            raise _Stopped
        if not said:
            on_wait(f"{_holder(file)} works on {device}: waiting for its turn.")
            said = True
        time.sleep(_POLL_S)

    # Who waits stands at the gate: a holder that comes back at once finds it taken, so that two
    # take turns.
    with (folder / f"{name}.gate").open("a+") as gate:
        while not _try(gate):
            wait()
        while not _try(file):
            wait()
    file.truncate(0)
    file.write(f"{who} (process {os.getpid()})\n")
    file.flush()


def _try(file: IO[str]) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip() or "another process"
