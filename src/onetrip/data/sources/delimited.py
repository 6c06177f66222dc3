"""Text with a delimiter: a header, a row a line, everything as strings, broken rows set aside."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv

from onetrip.core.errors import DataError, complaint
from onetrip.data.reject import Reject
from onetrip.data.sources.files import Block, first_line, of_first_readable, read_blocks
from onetrip.data.sources.folder import find_units
from onetrip.data.sources.source import Read, Source, Unit, UnitError

_PROVENANCE = (pa.field("unit_id", pa.string()), pa.field("row_in_unit", pa.int64()))


@dataclass(frozen=True)
class Delimited(Source):
    """Columns by name; `unit_id` and `row_in_unit` say where a row comes from: row 1 is line 2.

    A row is a line: values with line breaks inside quotes are set aside. Empty lines are no rows,
    and are counted in `row_in_unit` all the same.

    Parameters
    ----------
    columns : names of the columns to read. Default: all of the first unit that has a header.
    """

    columns: tuple[str, ...] = ()

    lines_above: ClassVar[int] = 1
    delimiter: ClassVar[str]
    patterns: ClassVar[tuple[str, ...]]

    def find(self, location: Path) -> Sequence[Unit]:
        """Files below `location`, sorted."""
        return find_units(location, self.patterns)

    def resolve(self, units: Sequence[Unit]) -> Self:
        """With the columns of the first unit that has a header, where none were asked for."""
        if self.columns:
            return self
        return replace(self, columns=of_first_readable(units, self._header))

    def schema(self) -> pa.Schema:
        """Provenance, then the columns as strings."""
        if not self.columns:
            raise DataError(complaint("columns", expected="names of columns", got="none"))
        return pa.schema([*_PROVENANCE, *(pa.field(name, pa.string()) for name in self.columns)])

    def read(self, unit: Unit, *, skip_lines: int = 0, skip_rows: int = 0) -> Iterator[Read]:
        """Read a file block by block."""
        header = self._header(unit)
        missing = [name for name in self.columns if name not in header]
        if missing:
            raise UnitError(
                "U10",
                f"The header lacks the columns {missing}, and has {', '.join(header)}.",
                line=1,
            )
        lines = skip_lines or self.lines_above
        for block in read_blocks(unit.path, lines):
            batch, rejects = self._parse(unit, header, block, lines)
            lines += block.lines
            yield Read(batch, rejects, block.position, lines)

    def _header(self, unit: Unit) -> tuple[str, ...]:
        text = first_line(unit.path).decode("utf-8-sig", "replace")
        if not text:
            raise UnitError("U03", "The file is empty.")
        names = tuple(next(csv.reader([text], delimiter=self.delimiter)))
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UnitError("U12", f"The header has the columns {twice} twice.", line=1)
        return names

    def _parse(
        self, unit: Unit, header: Sequence[str], block: Block, lines_before: int
    ) -> tuple[pa.RecordBatch, list[Reject]]:
        """Rows of a block, and rejects of the others; both keep their numbers in the file."""
        screened = screen(block.text, block.lines)
        table, malformed = self._read_csv(screened.text, header)
        if table.num_rows + len(malformed) != len(screened.lines):
            # Empty lines, which are no rows; seldom enough to be looked for only now.
            screened = screen(block.text, block.lines, thorough=True)
            table, malformed = self._read_csv(screened.text, header)
        rejects = [
            Reject(unit.unit_id, lines_before + line + 1, code, "", message, _shown(text))
            for line, code, message, text in screened.bad
        ]
        bad = [line for line, *_ in screened.bad]
        for row in malformed:
            line = int(screened.lines[(row.number or 1) - 1])
            message = f"{row.expected_columns} fields expected, {row.actual_columns} found."
            rejects.append(
                Reject(unit.unit_id, lines_before + line + 1, "R01", "", message, row.text)
            )
            bad.append(line)
        good = np.setdiff1d(screened.lines, bad, assume_unique=True) if bad else screened.lines
        columns = [
            pa.repeat(pa.scalar(unit.unit_id, pa.string()), len(good)),
            pa.array(lines_before + 1 - self.lines_above + good, pa.int64()),
            *(table.column(name).combine_chunks() for name in self.columns),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema()), rejects

    def _read_csv(
        self, text: bytes, header: Sequence[str]
    ) -> tuple[pa.Table, list[pyarrow.csv.InvalidRow]]:
        malformed: list[pyarrow.csv.InvalidRow] = []
        if not text.strip(b"\r\n"):
            return self.schema().empty_table(), malformed

        def set_aside(row: pyarrow.csv.InvalidRow) -> str:
            malformed.append(row)
            return "skip"

        table = pyarrow.csv.read_csv(
            io.BytesIO(text),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, column_names=list(header), block_size=len(text) + 1
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.delimiter, invalid_row_handler=set_aside
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=list(self.columns),
                column_types=dict.fromkeys(self.columns, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
        return table, malformed


@dataclass(frozen=True, slots=True)
class Screened:
    """Text without the lines that no row can be made of.

    `lines` are the numbers of those that stay, from 0; `bad` number, code, message and text of
    the others, save empty ones.
    """

    text: bytes
    lines: np.ndarray
    bad: tuple[tuple[int, str, str, bytes], ...]


def screen(text: bytes, count: int, *, thorough: bool = False) -> Screened:
    r"""Set aside lines with a quote too many, a NUL byte or bytes that are no UTF-8.

    `count` is how many lines there are. Empty ones are left out where there is something else to
    set aside, or when `thorough`.

    >>> screened = screen(b'a,b\n\n"c,d\ne,f\n', 4)
    >>> screened.text, screened.lines.tolist(), screened.bad[0][:2]
    (b'a,b\ne,f\n', [0, 3], (2, 'R02'))
    """
    if not (thorough or b'"' in text or b"\0" in text or not _is_utf8(text)):
        return Screened(text, np.arange(count), ())
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    of_quote = np.searchsorted(ends, np.flatnonzero(data == ord('"')))
    out = np.bincount(of_quote, minlength=count) % 2 == 1
    out[np.searchsorted(ends, np.flatnonzero(data == 0))] = True
    lengths = ends - starts
    out |= (lengths == 0) | ((lengths == 1) & (data[starts] == ord("\r")))
    if not _is_utf8(text):
        for line in np.flatnonzero(~out).tolist():
            out[line] = not _is_utf8(text[starts[line] : ends[line]])
    bad = []
    for line in np.flatnonzero(out).tolist():
        content = text[starts[line] : ends[line]].rstrip(b"\r")
        if content:
            bad.append((line, *_fault(content), content))
    stays = np.flatnonzero(~out)
    kept = (
        text
        if len(stays) == count
        else b"".join(text[starts[line] : ends[line] + 1] for line in stays.tolist())
    )
    return Screened(kept, stays, tuple(bad))


def _fault(line: bytes) -> tuple[str, str]:
    if b"\0" in line:
        return "R04", f"A NUL byte at byte {line.index(0)}."
    if not _is_utf8(line):
        return "R03", "Bytes that are no UTF-8."
    return "R02", "A quote without its partner."


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
