"""The processes below a process, seen from outside: who they are, what they hold, their end."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Census:
    """Processes below some processes: their ids, their threads, the memory that they hold."""

    pids: tuple[int, ...]
    threads: int
    memory_bytes: int


def census(*root_pids: int) -> Census:
    """Count everything below `root_pids`, whatever group or session it moved to.

    Orphans are found too as long as a root or something below it adopts them: the first
    process of a PID namespace does, and so does a subreaper. Nothing is found where the system
    has no /proc.
    """
    if not _PROC.is_dir():
        return Census((), 0, 0)
    children: dict[int, list[tuple[int, int, int]]] = {}
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name, in brackets, may hold spaces and brackets itself.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        state, parent, threads, pages = fields[0], int(fields[1]), int(fields[17]), int(fields[21])
        if state != "Z":
            children.setdefault(parent, []).append((int(folder.name), threads, pages))
    found: list[tuple[int, int, int]] = []
    open_pids = list(root_pids)
    while open_pids:
        below = children.get(open_pids.pop(), [])
        found += below
        open_pids += [pid for pid, _, _ in below]
    return Census(
        pids=tuple(pid for pid, _, _ in found),
        threads=sum(threads for _, threads, _ in found),
        memory_bytes=sum(pages for _, _, pages in found) * os.sysconf("SC_PAGE_SIZE"),
    )


def end_all_below(root_pid: int, *, seconds: float = 5.0) -> bool:
    """Kill everything below `root_pid` until nothing is left; False if something stays."""
    deadline = time.monotonic() + seconds
    while pids := census(root_pid).pids:
        # Stopped first: what forks while it is being counted would always be one ahead.
        for signal_number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                _send(pid, signal_number)
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _send(pid: int, signal_number: int) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return
