"""Files below a folder as units, and what stands in their place but cannot be read."""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, cast

from onetrip.core.errors import DataError, complaint
from onetrip.data.codes import explained
from onetrip.data.sources.source import Unit, UnitError

_ENDS_BYTES = 4 << 10
# What keeps a file from being opened at all; anything else is a fault of the disk.
_UNREADABLE = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}
)
# As a stamp: whatever the file is once it can be read, it is read then.
_NOT_READABLE = "not readable"

_Identity = tuple[int, int]


def find_units(location: Path, patterns: Sequence[str]) -> tuple[Unit, ...]:
    """Files below a folder that fit one of the patterns, or the one file, sorted by their path.

    Capital letters make no difference, and links to folders are followed. What is hidden
    (`.name`) is left out: systems and copying programs leave such files and folders beside real
    ones. A link that leads nowhere and a folder that may not be listed are units, too: reading
    them says so (U18).
    """
    if location.is_file():
        return (unit_of(location, location.parent),)
    found: list[Path] = []
    if location.is_dir():
        try:
            found = sorted(_below(location, patterns, frozenset()))
        except OSError as error:
            expected = "a folder that may be listed"
            got = f"{str(location)!r}: {error.strerror}"
            raise DataError(complaint("input", expected=expected, got=got)) from error
    if not found:
        expected = f"a file, or a folder with files like {' or '.join(patterns)}"
        raise DataError(complaint("input", expected=expected, got=repr(str(location))))
    return tuple(unit_of(path, location) for path in found)


def unit_of(path: Path, folder: Path) -> Unit:
    """A file as a unit; size and time of the last change stand for its content."""
    name = path.relative_to(folder).as_posix()
    try:
        status = path.stat()
    except OSError:
        return Unit(name, path.absolute(), 0, _NOT_READABLE)
    if path.is_dir() or not os.access(path, os.R_OK):
        return Unit(name, path.absolute(), 0, _NOT_READABLE)
    return Unit(name, path.absolute(), status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


def opened(path: Path, buffering: int = -1) -> BinaryIO:
    """A file of a unit, opened for reading; raises UnitError U18 where it cannot be."""
    try:
        return cast(BinaryIO, path.open("rb", buffering))
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise UnitError("U18", explained("U18", f"{error.strerror}.")) from error


def content_of(unit: Unit) -> str:
    """Stands for the content of a file: its length, its first and its last 4 KiB.

    A gzip file ends in the checksum of its text. "" where it cannot be read.
    """
    digest = hashlib.blake2b(unit.bytes.to_bytes(8, "little"), digest_size=16)
    try:
        with unit.path.open("rb") as file:
            digest.update(file.read(_ENDS_BYTES))
            file.seek(max(0, unit.bytes - _ENDS_BYTES))
            digest.update(file.read(_ENDS_BYTES))
    except OSError:
        return ""
    return digest.hexdigest()


def _below(folder: Path, patterns: Sequence[str], above: frozenset[_Identity]) -> Iterator[Path]:
    """Files that fit, at any depth; a link to a folder `above` it holds nothing new."""
    status = folder.stat()
    identity = status.st_dev, status.st_ino
    if identity in above:
        return
    for name in os.listdir(folder):
        path = folder / name
        if name.startswith("."):
            continue
        if os.path.isdir(path):
            try:
                yield from _below(path, patterns, above | {identity})
            except OSError:
                yield path
            continue
        fits = any(fnmatchcase(name.lower(), pattern) for pattern in patterns)
        # A link that leads nowhere may have been one to a folder, if its name has no dot.
        if (fits and os.path.isfile(path)) or (
            (fits or "." not in name) and os.path.islink(path) and not os.path.exists(path)
        ):
            yield path
