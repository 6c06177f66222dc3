"""The text of a unit in blocks of whole lines, and the first unit that can be read."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from onetrip.core.errors import DataError, complaint
from onetrip.data.sources.folder import opened
from onetrip.data.sources.source import Unit, UnitError

BLOCK_BYTES = 4 << 20

Read = TypeVar("Read")

_GZIP = b"\x1f\x8b"


def of_first_readable(units: Sequence[Unit], read: Callable[[Unit], Read]) -> Read:
    """What `read` gives of the first unit that it can read; the others are set aside in their turn.

    Raises DataError with what is wrong with the first, where none can be read.
    """
    wrong = ""
    for unit in units:
        try:
            return read(unit)
        except UnitError as error:
            wrong = wrong or f"{unit.unit_id}: {error}"
    expected = "files of which at least one can be read"
    raise DataError(complaint("input", expected=expected, got=f"{len(units)}, the first {wrong}"))


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file: the text, how many lines, and how far the file on disk is read."""

    text: bytes
    lines: int
    position: int


def read_blocks(path: Path, skip_lines: int = 0) -> Iterator[Block]:
    """The text of a file, plain or gzip, in blocks of whole lines; raises UnitError U04 and U05."""
    with opened(path) as raw, _inflated(raw) as file:
        rest = b""
        while True:
            try:
                data = file.read(BLOCK_BYTES)
            except EOFError as error:
                raise UnitError("U04", f"The gzip stream ends early: {error}") from error
            except (gzip.BadGzipFile, zlib.error, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise UnitError("U05", f"The gzip stream is corrupt: {error}") from error
            if not data:
                break
            text, newline, tail = data.rpartition(b"\n")
            text, rest = (rest + text + newline, tail) if newline else (b"", rest + data)
            text, skip_lines = _behind(text, skip_lines)
            if text:
                yield Block(text, text.count(b"\n"), raw.tell())
        rest, _ = _behind(rest + b"\n", skip_lines) if rest else (b"", 0)
        if rest:
            yield Block(rest, 1, raw.tell())


def first_line(path: Path) -> bytes:
    """The first line of a file, plain or gzip, without its end."""
    for block in read_blocks(path):
        return block.text.partition(b"\n")[0].rstrip(b"\r")
    return b""


@contextmanager
def _inflated(raw: BinaryIO) -> Iterator[BinaryIO]:
    magic = raw.read(2)
    raw.seek(0)
    if magic != _GZIP:
        yield raw
        return
    try:
        from isal import igzip
    except ModuleNotFoundError:
        opened = gzip.GzipFile(fileobj=raw)
    else:
        opened = igzip.GzipFile(fileobj=raw)
    with cast("io.BufferedIOBase", opened) as file:
        yield cast(BinaryIO, file)


def _behind(text: bytes, lines: int) -> tuple[bytes, int]:
    """`text` behind so many lines, and how many are still to be left out."""
    if not lines or not text:
        return text, lines
    there = text.count(b"\n")
    if there <= lines:
        return b"", lines - there
    start = 0
    for _ in range(lines):
        start = text.index(b"\n", start) + 1
    return text[start:], 0
