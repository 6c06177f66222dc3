"""Text in blocks, taken line by line at first and then in chunks of whole lines."""

from collections.abc import Iterator

from onetrip.data.codes import explained
from onetrip.data.sources.source import UnitError

# A chunk is parsed at once; a row is a few kilobytes.
CHUNK_BYTES = 4 << 20
# No row is longer; text without line breaks must not fill the memory.
LINE_BYTES = 16 << 20


class Lines:
    """The lines of a stream of blocks.

    Attributes
    ----------
    behind : lines that were given out.
    ended : whether the chunk that was given out is the last one.
    broken : whether it is the last one because the blocks broke off with an error.
    rest : what was left of the last line, which has no end, when the blocks broke off.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._waiting = b""
        self.behind = 0
        self.ended = self.broken = False
        self.rest = b""

    def readline(self) -> bytes:
        """The next line with its end; empty at the end of the text."""
        while b"\n" not in self._waiting:
            block = next(self._blocks, b"")
            if not block:
                break
            self._waiting += block
            self._check_length(self._waiting)
        line, newline, self._waiting = self._waiting.partition(b"\n")
        self.behind += bool(line or newline)
        return line + newline

    def skip(self, lines: int) -> None:
        """Leave out so many lines."""
        while lines:
            there = self._waiting.count(b"\n")
            if there > lines:
                for _ in range(lines):
                    self._waiting = self._waiting[self._waiting.index(b"\n") + 1 :]
                self.behind += lines
                return
            lines -= there
            self.behind += there
            self._waiting = self._waiting.rpartition(b"\n")[2]
            block = next(self._blocks, b"")
            if not block:
                return
            self._waiting += block

    def chunks(self) -> Iterator[bytes]:
        """Whole lines, about `CHUNK_BYTES` at once; only the last may lack its end.

        Where the blocks break off with an error, the whole lines before it come first, and what
        is left is `rest`.
        """
        parts, size = [self._waiting], len(self._waiting)
        self._waiting = b""
        try:
            for block in self._blocks:
                parts.append(block)
                size += len(block)
                if size < CHUNK_BYTES:
                    continue
                whole, newline, tail = b"".join(parts).rpartition(b"\n")
                parts, size = [tail], len(tail)
                if newline:
                    yield from self._given(whole + newline)
                self._check_length(tail)
        except UnitError:
            whole, newline, self.rest = b"".join(parts).rpartition(b"\n")
            self.ended = self.broken = True
            yield from self._given(whole + newline)
            raise
        self.ended = True
        yield from self._given(b"".join(parts))

    def put_back(self, text: bytes) -> None:
        """Have lines that were given out come again, with the next chunk."""
        self.behind -= text.count(b"\n")
        self._waiting = text

    def _given(self, chunk: bytes) -> Iterator[bytes]:
        chunk, self._waiting = self._waiting + chunk, b""
        if chunk:
            self.behind += chunk.count(b"\n") + (not chunk.endswith(b"\n"))
            yield chunk

    def _check_length(self, line: bytes) -> None:
        if len(line) > LINE_BYTES:
            particulars = f"Line {self.behind + 1} has more than {LINE_BYTES >> 20} MiB."
            raise UnitError("U17", explained("U17", particulars), line=self.behind + 1)
