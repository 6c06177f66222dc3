"""Text in blocks, taken line by line at first and then in chunks of whole lines."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onetrip.data.codes import explained
from onetrip.data.sources.oas.inflate import BLOCK_BYTES, Fill, filler
from onetrip.data.sources.oas.marks import MarkedText
from onetrip.data.sources.source import UnitError

# A chunk is parsed at once. Less, and a call costs more than what it does; more, and no cache holds
# what the next call needs again.
CHUNK_BYTES = 4 << 20
# No row is longer; text without line breaks must not fill the memory.
LINE_BYTES = 16 << 20

_NEWLINE = b"\n"
_TOO_LONG = explained("U17", f"One has more than {LINE_BYTES >> 20} MiB.")
QUOTES, COMMAS, CONTROLS = (np.equal, ord('"')), (np.equal, ord(",")), (np.less, ord(" "))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines, each with its end: the first `size` bytes of a text that is used again."""

    text: MarkedText
    size: int

    def marked(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """The lines [N], uint8, and marks [N / 64] of quotes, commas and control characters."""
        return self.text.view(self.size), self.text.marks(self.size)

    def bytes(self) -> bytes:
        """A copy of the lines."""
        return self.text.copy(0, self.size)


class Lines:
    """The lines of a text that comes in blocks, or that is put into memory piece by piece.

    Attributes
    ----------
    behind : lines that were read or left out one by one.
    rest : what was left of the last line, which has no end, when the blocks broke off.
    """

    def __init__(self, text: Iterator[bytes] | Fill) -> None:
        self._put = text if callable(text) else filler(text)
        self._left = b""
        self._spare: deque[MarkedText] = deque()
        self.behind = 0
        self.rest = b""

    def readline(self) -> bytes:
        """The next line with its end; empty at the end of the text."""
        while (end := self._left.find(_NEWLINE) + 1) == 0:
            if not self._take_block():
                end = len(self._left)
                break
        line, self._left = self._left[:end], self._left[end:]
        self.behind += bool(line)
        return line

    def skip(self, lines: int) -> None:
        """Leave out so many lines."""
        while lines > 0:
            there = self._left.count(_NEWLINE)
            if there >= lines:
                end = 0
                for _ in range(lines):
                    end = self._left.index(_NEWLINE, end) + 1
                self._left = self._left[end:]
                self.behind += lines
                return
            lines -= there
            self.behind += there
            self._left = self._left[self._left.rfind(_NEWLINE) + 1 :]
            if not self._take_block():
                return

    def chunks(self) -> Iterator[Chunk]:
        """Whole lines, about `CHUNK_BYTES` at once; the last line gets an end if it has none.

        Hand a chunk back to `reuse` when it is read. Where the blocks break off with an error, the
        whole lines before it come first, and what is left is `rest`. A line that is too long is
        U17, without its number: nobody has counted yet.
        """
        more, failure = True, None
        while more:
            text = self._spare.popleft() if self._spare else MarkedText((QUOTES, COMMAS, CONTROLS))
            text.clear()
            text.append(self._left)
            try:
                more = self._fill(text)
            except UnitError as error:
                more, failure = False, error
            size = text.end_of(_NEWLINE)
            if not more and failure is None and size < text.size:
                text.append(_NEWLINE)
                size = text.size
            self._left = text.copy(size, text.size)
            if size:
                yield Chunk(text, size)
        if failure is not None:
            self.rest = self._left
            raise failure

    def reuse(self, chunk: Chunk) -> None:
        """Take back the memory of a chunk: new memory costs as much as inflating into it."""
        self._spare.append(chunk.text)

    def _fill(self, text: MarkedText) -> bool:
        """Take blocks until there is a chunk; whether there may be more behind it."""
        while text.size < CHUNK_BYTES or not text.end_of(_NEWLINE):
            if text.size > LINE_BYTES:
                raise UnitError("U17", _TOO_LONG)
            count = self._put(text.room(BLOCK_BYTES))
            if not count:
                return False
            text.take(count)
        return True

    def _take_block(self) -> bool:
        if len(self._left) > LINE_BYTES:
            raise UnitError("U17", _TOO_LONG, line=self.behind + 1)
        block = memoryview(bytearray(BLOCK_BYTES))
        count = self._put(block)
        self._left += block[:count]
        return count > 0
