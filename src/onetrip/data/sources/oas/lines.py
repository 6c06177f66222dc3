"""Text in blocks, taken line by line at first and then in chunks of whole lines."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onetrip.data.codes import explained
from onetrip.data.sources.source import UnitError

# A chunk is parsed at once. Less, and a call costs more than what it does; more, and no cache holds
# what the next call needs again.
CHUNK_BYTES = 4 << 20
_FIRST_BYTES = 1 << 18
# No row is longer; text without line breaks must not fill the memory.
LINE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines: bytes `start` to `stop` of a buffer, which holds them until the next chunk."""

    data: bytearray
    start: int
    stop: int

    def text(self) -> bytes:
        """A copy of the lines."""
        return bytes(self.data[self.start : self.stop])

    def holds(self, text: bytes) -> bool:
        """Whether some text stands in the lines."""
        return self.data.find(text, self.start, self.stop) >= 0

    def bytes(self) -> np.ndarray:
        """The lines [N], uint8, as they stand in the buffer."""
        return np.frombuffer(self.data, np.uint8, self.stop - self.start, self.start)


class Lines:
    """The lines of a stream of blocks, in one buffer that is used again and again.

    Attributes
    ----------
    behind : lines that are dealt with: read, left out, or settled.
    ended : whether the chunk that was given out is the last one.
    broken : whether it is the last one because the blocks broke off with an error.
    rest : what was left of the last line, which has no end, when the blocks broke off.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._data = bytearray(_FIRST_BYTES)
        self._start = self._stop = 0
        self.behind = 0
        self.ended = self.broken = False
        self.rest = b""

    def readline(self) -> bytes:
        """The next line with its end; empty at the end of the text."""
        while (end := self._data.find(b"\n", self._start, self._stop) + 1) == 0:
            if not self._take_block():
                end = self._stop
                break
        line = bytes(self._data[self._start : end])
        self._start = end
        self.behind += bool(line)
        return line

    def skip(self, lines: int) -> None:
        """Leave out so many lines."""
        while lines > 0:
            there = self._data.count(b"\n", self._start, self._stop)
            if there >= lines:
                for _ in range(lines):
                    self._start = self._data.index(b"\n", self._start) + 1
                self.behind += lines
                return
            lines -= there
            self.behind += there
            self._start = max(self._start, self._data.rfind(b"\n", self._start, self._stop) + 1)
            if not self._take_block():
                return

    def chunks(self) -> Iterator[Chunk]:
        """Whole lines, about `CHUNK_BYTES` at once, each with its end; then call `settle`.

        The last line of the text gets an end if it has none. Where the blocks break off with an
        error, the whole lines before it come first, and what is left is `rest`.
        """
        failure = None
        while not self.ended:
            try:
                while self._stop - self._start < CHUNK_BYTES and self._take_block():
                    pass
                self.ended = self._stop - self._start < CHUNK_BYTES
            except UnitError as error:
                failure = error
                self.ended = self.broken = True
            if self.ended and not self.broken:
                self._end_last_line()
            stop = self._data.rfind(b"\n", self._start, self._stop) + 1
            if stop > self._start:
                chunk = Chunk(self._data, self._start, stop)
                self._start = stop
                yield chunk
            elif not self.ended:
                self._take_block()
        if failure is not None:
            self.rest = bytes(self._data[self._start : self._stop])
            raise failure

    def settle(self, lines: int, rest_bytes: int) -> None:
        """Say how many lines of the last chunk are dealt with; its rest comes again."""
        self.behind += lines
        self._start -= rest_bytes

    def _end_last_line(self) -> None:
        if self._stop > self._start and self._data[self._stop - 1] != ord("\n"):
            self._data[self._stop] = ord("\n")
            self._stop += 1

    def _take_block(self) -> bool:
        block = next(self._blocks, b"")
        waiting = self._stop - self._start
        if waiting + len(block) > LINE_BYTES:
            particulars = f"Line {self.behind + 1} has more than {LINE_BYTES >> 20} MiB."
            raise UnitError("U17", explained("U17", particulars), line=self.behind + 1)
        if self._stop + len(block) >= len(self._data):
            # Chunks that were given out may still be looked at: a longer buffer is a new one. One
            # byte is left for the end of the last line.
            tail = bytes(self._data[self._start : self._stop])
            if waiting + len(block) >= len(self._data):
                self._data = bytearray(2 * (waiting + len(block)))
            memoryview(self._data)[:waiting] = tail
            self._start, self._stop = 0, waiting
        memoryview(self._data)[self._stop : self._stop + len(block)] = block
        self._stop += len(block)
        return bool(block)
