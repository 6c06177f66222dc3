"""Memory that two processes see: bytes cross, objects never do."""

import fcntl
import mmap
import os
import tempfile
from collections.abc import Sequence


def create_region(name: str) -> int:
    """Descriptor of a new region without size; it has no name that another process could open."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    handle, path = tempfile.mkstemp(prefix=name)
    os.unlink(path)
    return handle


def fix_size(descriptor: int, size_bytes: int) -> None:
    """Give a region its size, once: who shrank it would kill the process on the other side."""
    os.ftruncate(descriptor, size_bytes)
    if hasattr(fcntl, "F_ADD_SEALS") and hasattr(os, "memfd_create"):
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def map_region(descriptor: int, size_bytes: int, *, readable_only: bool = False) -> mmap.mmap:
    """The region's bytes in this process."""
    protection = mmap.PROT_READ if readable_only else mmap.PROT_READ | mmap.PROT_WRITE
    return mmap.mmap(descriptor, size_bytes, mmap.MAP_SHARED, protection)


def read_at(memory: mmap.mmap, places: Sequence[int]) -> list[int]:
    """The bytes at some places, as they are now.

    >>> descriptor = create_region("example")
    >>> fix_size(descriptor, 4096)
    >>> memory = map_region(descriptor, 4096)
    >>> memory[7] = 3
    >>> read_at(memory, [7, 8])
    [3, 0]
    >>> memory.close(); os.close(descriptor)
    """
    return [memory[place] for place in places]
