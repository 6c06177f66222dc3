"""Files that are there whole or not at all: written aside, synced, then renamed."""

import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text

_HOST = re.sub(r"\W", "", socket.gethostname())
_ASIDE = re.compile(r"^\.aside-(?P<host>\w*)-(?P<process>\d+)-")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is there: its name in its folder, size and SHA-256."""

    name: str
    bytes: int
    sha256: str


class AsideFile:
    """A file under a temporary name that is hashed as it is written.

    `publish` syncs it and gives it its name; without that it is gone at `discard`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".aside-{_HOST}-{os.getpid()}-{next(_numbers)}-{path.name}")
        self._file = self._aside.open("xb")
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._discarded = False

    @property
    def closed(self) -> bool:
        """Whether the file takes no more bytes; what Arrow asks of a file."""
        return self._file.closed and not self._discarded

    def write(self, data: Any) -> int:
        """Append bytes; what a writer adds when it is thrown away with its file goes nowhere."""
        if self._discarded:
            return memoryview(data).nbytes
        self._hash.update(data)
        written = self._file.write(data)
        self._bytes += written
        return written

    def tell(self) -> int:
        """How many bytes there are."""
        return self._bytes

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        if not self._discarded:
            self._file.flush()

    def publish(self) -> Written:
        """Make the file durable under its own name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._aside.replace(self._path)
        return Written(self._path.name, self._bytes, self._hash.hexdigest())

    def discard(self) -> None:
        """Leave nothing behind."""
        self._discarded = True
        # On a full disk there is no room for what is still buffered. Nobody wants it any more.
        with suppress(OSError):
            self._file.close()
        self._aside.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a JSON document that is there whole or not at all."""
    file = AsideFile(path)
    try:
        file.write(json.dumps(value, indent=1, ensure_ascii=False).encode())
        file.publish()
    except BaseException:
        file.discard()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_abandoned(folder: Path) -> int:
    """Remove what processes of this host left aside that are no longer there; how many files."""
    removed = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _ASIDE.match(path.name)
        if match and match["host"] == _HOST and not _is_alive(int(match["process"])):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Turn the errors of a full disk into a DataError that says what is kept and what to do."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not is_full_disk(error):
            raise
        raise full_disk(folder) from error


def is_full_disk(error: BaseException) -> bool:
    """Whether an error says that no more can be written: disk, quota or limit of a file's size."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def full_disk(folder: Path) -> DataError:
    """The error of a full disk (S01)."""
    free = bytes_text(shutil.disk_usage(folder).free)
    return DataError(
        f"S01: the disk of {folder} takes no more ({free} free). What is finished is kept: make "
        "room and run the same command again."
    )


def this_process() -> str:
    """This process, as `is_gone` knows it.

    >>> is_gone(this_process())
    False
    """
    return f"{_HOST} {os.getpid()}"


def is_gone(process: str) -> bool:
    """Whether a process that called itself so ran on this machine, and runs no more."""
    host, _, number = process.partition(" ")
    return host == _HOST and number.isdecimal() and not _is_alive(int(number))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
