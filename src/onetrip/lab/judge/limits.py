"""Limits that a worker puts on itself before it runs code that may misbehave."""

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_SPARE_CPU_S = 60
_SIGNAL_GRACE_S = 5


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its tuner dies, however it dies (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit("the tuner is gone")


def limit_cpu_time(seconds: float, *, more_follow: bool = False) -> None:
    """No core files, and no more CPU time from now on than all cores have in `seconds`.

    A backstop: the tuner's own clock comes first while the tuner lives. A hard limit can only be
    lowered, so a process whose next job will need another one sets none.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft = int(time.process_time() + seconds * (os.cpu_count() or 1)) + _SPARE_CPU_S
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or hard > soft + _SIGNAL_GRACE_S:
        # The soft limit's signal says what happened, the hard one's does not.
        resource.setrlimit(
            resource.RLIMIT_CPU, (soft, hard if more_follow else soft + _SIGNAL_GRACE_S)
        )


@contextmanager
def limited_memory(more_bytes: int | None) -> Iterator[None]:
    """Let this process grow by at most `more_bytes` inside this block; None sets no limit.

    Only where the system tells how large a process is, and never on a device, whose driver
    reserves far more addresses than it uses.
    """
    held_bytes = _address_space_bytes()
    if more_bytes is None or held_bytes is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held_bytes + more_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space_bytes() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None
    return pages * resource.getpagesize()
