"""Inflate a unit block by block, and say exactly what is wrong with one that cannot be."""

import importlib
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from onetrip.data.codes import explained
from onetrip.data.sources.folder import opened
from onetrip.data.sources.source import UnitError

# Puts text into memory: how many bytes, 0 where there is none left.
Fill = Callable[[memoryview], int]

MAGIC = b"\x1f\x8b"
# Compressed bytes read at once, and inflated bytes that come out at once at most. Blocks of 1 MiB
# get new pages from the system each time: a third as much again as inflating costs.
READ_BYTES, BLOCK_BYTES = 1 << 16, 1 << 18
# What single bytes inflate to is a few letters.
_GATHERED_BLOCKS = 4096
_WITH_GZIP_HEADER = 31
_RAW_CHARACTERS = 200


def inflater() -> ModuleType:
    """The module that inflates: isal's, three times as fast, else the standard library's."""
    try:
        return importlib.import_module("isal.isal_zlib")
    except ModuleNotFoundError:
        return zlib


class Inflated:
    """The text of one gzip file in blocks, over all of its members.

    Parameters
    ----------
    path : the file.
    fine_from : compressed byte from which on it is fed byte by byte, so that nothing which stands
        before a damage is lost with it.

    Attributes
    ----------
    position : compressed bytes that are behind us; at an error, where the damaged piece begins.
    garbage_bytes : bytes behind the last member that are no gzip; known at the end.
    """

    def __init__(self, path: Path, fine_from: int | None = None) -> None:
        self._path, self._fine_from = path, fine_from
        self.position = 0
        self.garbage_bytes = 0
        self._fill: Fill | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Blocks of at most `BLOCK_BYTES`.

        Raises
        ------
        UnitError
            U01 no gzip, U02 a web page, U03 empty, U04 truncated, U05 corrupt; what was yielded
            before stands in the file.
        """
        if self._fine_from is None:
            yield from self._blocks()
            return
        gathered: list[bytes] = []
        try:
            for block in self._blocks():
                gathered.append(block)
                if len(gathered) >= _GATHERED_BLOCKS:
                    yield b"".join(gathered)
                    gathered = []
        except UnitError:
            yield from filter(None, [b"".join(gathered)])
            raise
        yield from filter(None, [b"".join(gathered)])

    def fill(self, memory: memoryview) -> int:
        """Inflate into `memory`; how many bytes there are, 0 at the end.

        The same text as by iteration, and the same errors; of the text before an error the last
        block may be here and not there. Where isal inflates into memory itself, it costs an eighth
        less. What that cannot read is read again from the start, block by block: one place alone
        says what is wrong, and where.
        """
        if self._fill is None:
            reader = getattr(inflater(), "_GzipReader", None)
            if reader is None or self._fine_from is not None:
                self._fill = filler(iter(self))
            else:
                straight = self._straight(reader)
                next(straight)
                self._fill = straight.send
        return self._fill(memory)

    def _straight(self, reader: Callable[..., Any]) -> Generator[int, memoryview]:
        """Takes memory and says how much of it isal filled."""
        filled = count = 0
        with opened(self._path, buffering=0) as file:
            _check_magic(file.read(_RAW_CHARACTERS))
            file.seek(0)
            member = reader(file, BLOCK_BYTES)
            while True:
                memory = yield count
                try:
                    count = member.readinto(memory)
                except (EOFError, OSError, inflater().error):
                    break
                filled += count
                self.position = file.tell()
        fill = filler(_behind(filled, iter(self)))
        while True:
            memory = yield fill(memory)

    def _blocks(self) -> Iterator[bytes]:
        module = inflater()
        with opened(self._path) as file:
            _check_magic(file.read(_RAW_CHARACTERS))
            file.seek(0)
            data = self._piece(file)
            while data:
                member = module.decompressobj(_WITH_GZIP_HEADER)
                more_inside = False
                while not member.eof:
                    if not data and not more_inside:
                        data = self._piece(file)
                        if not data:
                            raise UnitError("U04", explained("U04", f"At byte {self.position}."))
                    try:
                        block = member.decompress(data, BLOCK_BYTES)
                    except module.error as error:
                        particulars = f"Behind byte {self.position} ({error})."
                        raise UnitError("U05", explained("U05", particulars)) from error
                    data = member.unused_data if member.eof else member.unconsumed_tail
                    more_inside = len(block) == BLOCK_BYTES
                    self.position = file.tell() - len(data)
                    if block:
                        yield block
                data = self._behind_member(data, file)

    def _piece(self, file: BinaryIO) -> bytes:
        if self._fine_from is None:
            return file.read(READ_BYTES)
        return file.read(max(1, min(READ_BYTES, self._fine_from - file.tell())))

    def _behind_member(self, data: bytes, file: BinaryIO) -> bytes:
        """What stands behind a member and zeros: another one, nothing, or garbage."""
        # Padding is no garbage, nor need it be the end.
        while len(data := data.lstrip(b"\0")) < len(MAGIC) and (more := self._piece(file)):
            data += more
        if data.startswith(MAGIC):
            return data
        while data:
            self.garbage_bytes += len(data)
            data = file.read(READ_BYTES)
        self.position = file.tell()
        return b""


def filler(blocks: Iterator[bytes]) -> Fill:
    """Blocks put into memory one after the other.

    >>> fill, memory = filler(iter([b"abc", b"", b"d"])), bytearray(2)
    >>> [bytes(memory[: fill(memoryview(memory))]) for _ in range(4)]
    [b'ab', b'c', b'd', b'']
    """
    left = memoryview(b"")

    def fill(memory: memoryview) -> int:
        nonlocal left
        while not left:
            block = next(blocks, None)
            if block is None:
                return 0
            left = memoryview(block)
        count = min(len(left), len(memory))
        memory[:count], left = left[:count], left[count:]
        return count

    return fill


def _behind(count: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """What follows the first `count` bytes."""
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(0, count - len(block))


def _check_magic(data: bytes) -> None:
    start = data[:_RAW_CHARACTERS]
    raw = start.decode("utf-8", "backslashreplace")
    if not data:
        raise UnitError("U03", explained("U03", "It has 0 bytes."))
    if data.startswith(MAGIC):
        return
    if is_web_page(start):
        raise UnitError("U02", explained("U02", ""), raw=raw)
    raise UnitError("U01", explained("U01", f"It begins with {start[:8]!r}."), raw=raw)


def is_web_page(start: bytes) -> bool:
    """Whether text begins as HTML does.

    >>> is_web_page(b" <!DOCTYPE html>"), is_web_page(b"sequence,locus")
    (True, False)
    """
    return (
        start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml"))
    )
