"""From a chunk of lines to a record batch: at full speed where nothing is out of the ordinary.

pyarrow loses rows without a word where a quote is missing: what stands up to the next quote becomes
one value, and if the number of fields happens to fit, it is a row. So a chunk takes the fast way
only if it proves to be plain: quotes stand in pairs at both ends of values, there is no NUL byte,
all rows have their fields, and there are as many rows as lines. All else is read row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv

from onetrip.data.reject import RAW_BYTES, Reject
from onetrip.data.sources.oas.bytes_in import places_of
from onetrip.data.sources.oas.careful import Found, read_carefully
from onetrip.data.sources.oas.lines import Chunk

_QUOTE = ord('"')
_ENDS_VALUE = np.isin(np.arange(256), list(b",\r\n"))
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows of a chunk: values of the wanted columns, the line of each, and what was set aside.

    `rest` are bytes and lines at the end that can be read only together with the next chunk.
    """

    columns: list[pa.Array]
    lines: np.ndarray
    rejects: list[Reject]
    blank_lines: int = 0
    rest: tuple[int, int] = (0, 0)


class RowParser:
    """Parses the chunks of one unit.

    Parameters
    ----------
    unit_id : for rejects.
    names : columns of the header.
    wanted : those whose values are kept, as strings.
    """

    def __init__(self, unit_id: str, names: Sequence[str], wanted: Sequence[str]) -> None:
        self._unit_id, self._names, self._wanted = unit_id, list(names), list(wanted)
        self._convert = pyarrow.csv.ConvertOptions(
            include_columns=self._wanted,
            column_types=dict.fromkeys(self._names, pa.string()),
            strings_can_be_null=False,
        )

    def parse(self, chunk: Chunk, line: int, *, last: bool) -> Parsed:
        """Rows of a chunk of whole lines whose first is number `line`."""
        return self._fast(chunk, line) or self._careful(chunk, line, last=last)

    def _fast(self, chunk: Chunk, line: int) -> Parsed | None:
        if not _looks_plain(chunk):
            return None
        try:
            # No handler of invalid rows: pyarrow decodes their text, which may be no UTF-8. A row
            # with a field too many, a value that is no UTF-8: the careful way says which.
            table = pyarrow.csv.read_csv(
                pa.BufferReader(memoryview(chunk.data)[chunk.start : chunk.stop]),
                read_options=pyarrow.csv.ReadOptions(
                    column_names=self._names,
                    use_threads=False,
                    block_size=chunk.stop - chunk.start + 1,
                ),
                convert_options=self._convert,
            )
        except pa.ArrowInvalid:
            return None
        # Not so with blank lines, and with line breaks inside a value.
        if table.num_rows != chunk.lines:
            return None
        # One block, one chunk: joining them would copy it.
        columns = [table.column(name).chunk(0) for name in self._wanted]
        return Parsed(columns, line + np.arange(chunk.lines), [])

    def _careful(self, chunk: Chunk, line: int, *, last: bool) -> Parsed:
        text = chunk.text()
        found: Found = read_carefully(text, self._names, self._wanted, line, last=last)
        values = zip(*(row for _, row in found.rows), strict=True) if found.rows else ()
        columns = [pa.array(column, pa.string()) for column in values]
        return Parsed(
            columns or [pa.array([], pa.string())] * len(self._wanted),
            np.array([place for place, _ in found.rows], np.int64),
            [self._reject(*fault) for fault in found.faults],
            found.blank_lines,
            (len(found.rest), found.rest.count(b"\n")),
        )

    def _reject(self, line: int, code: str, column: str, message: str, text: bytes) -> Reject:
        return Reject(self._unit_id, line, code, column, message, shown(text))


def _looks_plain(chunk: Chunk) -> bool:
    """Whether every quote opens or closes a whole value, and no byte is one to look out for."""
    data, start, stop = chunk.data, chunk.start, chunk.stop
    if data.startswith(_BOM, start, stop) or data.find(b"\0", start, stop) >= 0:
        return False
    text = chunk.bytes()
    quotes = places_of(text, _QUOTE)
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = text[np.maximum(opening - 1, 0)]
    behind = text[np.minimum(closing + 1, len(text) - 1)]
    return bool(
        np.all(_ENDS_VALUE[before] | (opening == 0))
        and np.all(_ENDS_VALUE[behind] | (closing == len(text) - 1))
    )


def shown(text: bytes) -> str:
    """Raw text for the quarantine: cut to its limit, bytes that are no UTF-8 escaped."""
    return text[:RAW_BYTES].decode("utf-8", "backslashreplace")
