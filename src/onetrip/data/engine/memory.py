"""How many workers a bound on memory bears."""

import os
import re
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.units import short_bytes_text

# Measured (docs/guide/data.md): resident bytes of the process that hands out tasks, and of a
# worker at its highest, reading and writing with every buffer full.
PARENT_BYTES = 160 << 20
WORKER_BYTES = 420 << 20

# What a worker has of itself before it reads anything.
_IDLE_BYTES = 120 << 20

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True)
class Admission:
    """Workers that fit, and what a task may hold in memory."""

    workers: int
    task_bytes: int


def admit(workers: int | None, memory: str, cores: int | None = None) -> Admission:
    """Hold `workers` against the bound, or take as many as fit and have a core.

    Raises ArgumentError with the arithmetic where they do not fit.

    >>> admit(2, "2GB").workers
    2
    >>> admit(8, "2GB")
    Traceback (most recent call last):
    ...
    onetrip.core.errors.ArgumentError: `workers` must be at most 4 with --memory 2GB, got 8. ...
    """
    bound = read_memory(memory)
    fitting = (bound - PARENT_BYTES) // WORKER_BYTES
    arithmetic = (
        f"The run itself takes {short_bytes_text(PARENT_BYTES)}, a worker up to "
        f"{short_bytes_text(WORKER_BYTES)}"
    )
    if fitting < 1:
        least = short_bytes_text(PARENT_BYTES + WORKER_BYTES)
        raise ArgumentError(
            complaint("memory", expected=f"at least {least}", got=memory, way_out=f"{arithmetic}.")
        )
    if workers is None:
        workers = min(fitting, cores or cores_here())
    if workers < 1:
        raise ArgumentError(complaint("workers", expected="at least 1", got=workers))
    if workers > fitting:
        total = PARENT_BYTES + workers * WORKER_BYTES
        way_out = f"{arithmetic}: {workers} workers take {short_bytes_text(total)}."
        expected = f"at most {fitting} with --memory {memory}"
        raise ArgumentError(complaint("workers", expected=expected, got=workers, way_out=way_out))
    return Admission(workers, (bound - PARENT_BYTES) // workers - _IDLE_BYTES)


def read_memory(text: str, argument: str = "memory") -> int:
    """Bytes of "2GB", "512MiB" or "1.5g", in powers of 1024."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text.lower())
    if not match:
        expected = "a size like 2GB or 512MB"
        raise ArgumentError(complaint(argument, expected=expected, got=repr(text)))
    return int(float(match[1]) * _UNITS[match[2]])


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
