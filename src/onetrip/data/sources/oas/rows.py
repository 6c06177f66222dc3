"""From a chunk of lines to columns: at full speed where nothing is out of the ordinary.

CSV readers lose rows without a word where a quote is missing: what stands up to the next quote
becomes one value, and if the number of fields happens to fit, it is a row. So a chunk is read as a
whole only where `plain_values` proves it plain, and all else row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onetrip.data.reject import RAW_BYTES, Reject
from onetrip.data.sources.oas.careful import Found, read_carefully
from onetrip.data.sources.oas.fields import plain_values
from onetrip.data.sources.oas.lines import Chunk, Lines


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows: values of the wanted columns, the line of each, and what was set aside.

    `lines_taken` lines are dealt with; others wait for the next chunk.
    """

    columns: list[pa.Array]
    lines: np.ndarray
    rejects: list[Reject]
    lines_taken: int
    blank_lines: int = 0


class RowParser:
    """Parses the chunks of one unit, one after the other; then call `finish`.

    Parameters
    ----------
    unit_id : for rejects.
    names : columns of the header.
    wanted : those whose values are kept, as strings.
    """

    def __init__(self, unit_id: str, names: Sequence[str], wanted: Sequence[str]) -> None:
        self._unit_id, self._names, self._wanted = unit_id, list(names), list(wanted)
        self._places = [self._names.index(name) for name in wanted]
        # Lines whose quote the next chunk may close.
        self._held = b""

    def parse(self, chunk: Chunk, columns: list[pa.Array] | None, line: int) -> Parsed:
        """Rows of a chunk, and of lines that waited for it; the first one is number `line`.

        `columns` is what `plain` says of the chunk.
        """
        if columns is None or self._held:
            return self._careful(self._held + chunk.bytes(), line, last=False)
        rows = len(columns[0])
        return Parsed(columns, np.arange(line, line + rows), [], rows)

    def finish(self, line: int) -> Parsed | None:
        """What is made of the lines that still wait, now that nothing follows them."""
        return self._careful(self._held, line, last=True) if self._held else None

    def plain(self, chunk: Chunk) -> list[pa.Array] | None:
        """Values of the wanted columns where the chunk is plain; in any thread, in any order."""
        columns = plain_values(*chunk.marked(), len(self._names), self._places)
        if columns is None and b"\r\n" in (text := chunk.bytes()):
            (unix,) = Lines(iter([text.replace(b"\r\n", b"\n")])).chunks()
            columns = plain_values(*unix.marked(), len(self._names), self._places)
        return columns

    def _careful(self, text: bytes, line: int, *, last: bool) -> Parsed:
        found: Found = read_carefully(text, self._names, self._wanted, line, last=last)
        self._held = found.rest
        values = zip(*(row for _, row in found.rows), strict=True) if found.rows else ()
        columns = [pa.array(column, pa.string()) for column in values]
        return Parsed(
            columns or [pa.array([], pa.string())] * len(self._wanted),
            np.array([place for place, _ in found.rows], np.int64),
            [self._reject(*fault) for fault in found.faults],
            text.count(b"\n") - found.rest.count(b"\n"),
            found.blank_lines,
        )

    def _reject(self, line: int, code: str, column: str, message: str, text: bytes) -> Reject:
        return Reject(self._unit_id, line, code, column, message, shown(text))


def shown(text: bytes) -> str:
    """Raw text for the quarantine: cut to its limit, bytes that are no UTF-8 escaped."""
    return text[:RAW_BYTES].decode("utf-8", "backslashreplace")
