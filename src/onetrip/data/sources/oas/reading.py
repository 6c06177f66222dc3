"""One unit from line 1 to its end: provenance beside its rows, remarks on the whole behind them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.data.ahead import ahead
from onetrip.data.codes import explained
from onetrip.data.reject import Reject
from onetrip.data.sources.oas.columns import Layout
from onetrip.data.sources.oas.header import check_header, parse_header
from onetrip.data.sources.oas.inflate import Inflated
from onetrip.data.sources.oas.lines import Lines
from onetrip.data.sources.oas.metadata import (
    META_COLUMNS,
    Metadata,
    assumed_metadata,
    parse_metadata,
)
from onetrip.data.sources.oas.rows import Parsed, RowParser, shown
from onetrip.data.sources.source import Read, Unit, UnitError

# Metadata and header stand above the rows: row 1 is line 3.
LINES_ABOVE_ROWS = 2
_LOCI: Mapping[str, tuple[str, ...]] = {"Heavy": ("H",), "Light": ("K", "L")}
_LOCUS_COLUMNS = {"locus_heavy": "Heavy", "locus_light": "Light"}
_CHUNKS_AHEAD = 1
# Threads that inflate a chunk in turn, and take it apart at the same time.
_PARSERS = 2
_DAMAGES = frozenset({"U04", "U05"})


@dataclass(slots=True)
class _Head:
    metadata: Metadata
    names: tuple[str, ...]
    there: tuple[str, ...]


class Reading:
    """Reads one unit.

    Parameters
    ----------
    unit : which.
    schema : columns of every batch: provenance, metadata, then `wanted`.
    wanted : names in the header.
    layout : of the header.
    assumed : metadata for a unit that has none, as "Key=value".
    """

    def __init__(
        self,
        unit: Unit,
        schema: pa.Schema,
        wanted: Sequence[str],
        layout: Layout,
        assumed: Sequence[str] = (),
    ) -> None:
        self._unit, self._schema = unit, schema
        self._wanted, self._assumed = wanted, assumed
        self._layout: Layout = layout
        self._lines = self._rows = self._wrong_loci = 0
        self._began = False
        self._inflated = Inflated(unit.path)
        self._repeated: dict[str, pa.Array] = {}
        self._repeated_rows = -1

    def read(self, skip_lines: int, skip_rows: int) -> Iterator[Read]:
        """Every row; with a damage, those before it in whole lines, and then UnitError."""
        self._lines, self._rows = skip_lines, skip_rows
        yield from self._pass(skip_lines, None)

    def read_to_the_damage(self, skip_lines: int, skip_rows: int) -> Iterator[Read]:
        """Every row that stands whole before a damage; then UnitError, which is `salvaged`."""
        try:
            yield from self.read(skip_lines, skip_rows)
        except UnitError as error:
            if error.code not in _DAMAGES:
                raise
        else:
            return
        # Once more, past what was read, and byte by byte where the damage is near.
        try:
            yield from self._pass(self._lines, self._inflated.position)
        except UnitError as error:
            if not self._began:
                raise
            message = f"{error} {self._rows} rows stand before it."
            raise UnitError(error.code, message, salvaged=True) from error

    def _pass(self, skip_lines: int, fine_from: int | None) -> Iterator[Read]:
        inflated = self._inflated = Inflated(self._unit.path, fine_from)
        lines = Lines(inflated.fill)
        head = self._head(lines)
        if skip_lines:
            lines.skip(skip_lines - lines.behind)
        self._began = True
        self._lines = lines.behind
        parser = RowParser(self._unit.unit_id, head.names, head.there)
        failure = None
        try:
            with ahead(
                lines.chunks(), _CHUNKS_AHEAD, lambda chunk: (chunk, parser.plain(chunk)), _PARSERS
            ) as chunks:
                for chunk, columns in chunks:
                    parsed = parser.parse(chunk, columns, self._lines + 1)
                    lines.reuse(chunk)
                    yield self._as_read(parsed, head, inflated.position)
        except UnitError as error:
            failure = error
            if error.code == "U17":
                error.line = self._lines + 1
        if failure is None or fine_from is not None:
            parsed = parser.finish(self._lines + 1)
            if parsed:
                yield self._as_read(parsed, head, inflated.position)
            if lines.rest:
                yield self._cut_off(lines.rest)
        if failure is not None:
            raise failure
        yield from self._remark(*self._remarks(head.metadata, inflated.garbage_bytes))

    def _head(self, lines: Lines) -> _Head:
        first = lines.readline()
        try:
            metadata = parse_metadata(first)
        except UnitError as error:
            if error.code != "U07" or not self._assumed:
                raise
            metadata, header = assumed_metadata(self._assumed), first
        else:
            header = lines.readline()
        names = parse_header(header)
        return _Head(metadata, names, check_header(names, self._wanted, self._layout))

    def _as_read(self, parsed: Parsed, head: _Head, position: int) -> Read:
        count = len(parsed.lines)
        self._lines += parsed.lines_taken
        self._rows += count + len(parsed.rejects)
        columns = dict(zip(head.there, parsed.columns, strict=True))
        columns["row_in_unit"] = _numbers(parsed.lines - LINES_ABOVE_ROWS)
        columns |= self._same_in_all(head, count)
        absent = pa.nulls(count, pa.string())
        arrays = [columns.get(name, absent) for name in self._schema.names]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._wrong_loci += _wrong_loci(batch, head.metadata.values["Chain"])
        counts = {"blank_lines": parsed.blank_lines} if parsed.blank_lines else {}
        return Read(batch, parsed.rejects, position, self._lines, counts)

    def _same_in_all(self, head: _Head, count: int) -> dict[str, pa.Array]:
        """Columns whose value is that of the unit; parts of the longest that were made."""
        if count > self._repeated_rows:
            facts = {column: head.metadata.values[key] for key, column in META_COLUMNS.items()}
            self._repeated = {
                name: pa.repeat(pa.scalar(value, pa.string()), count)
                for name, value in {"unit_id": self._unit.unit_id, **facts}.items()
            }
            self._repeated_rows = count
        return {name: column.slice(0, count) for name, column in self._repeated.items()}

    def _cut_off(self, text: bytes) -> Read:
        self._rows += 1
        message = "The file breaks off inside this row."
        reject = Reject(self._unit.unit_id, self._lines + 1, "R01", "", message, shown(text))
        empty = pa.RecordBatch.from_pylist([], schema=self._schema)
        return Read(empty, [reject], self._unit.bytes)

    def _remarks(self, metadata: Metadata, garbage_bytes: int) -> Iterator[tuple[str, str]]:
        if garbage_bytes:
            yield "U06", f"{garbage_bytes} bytes."
        if metadata.missing:
            yield "U09", f"Missing: {', '.join(metadata.missing)}."
        if metadata.rows is not None and metadata.rows != self._rows:
            yield "U14", f"It says {metadata.rows} and has {self._rows}."
        if self._wrong_loci:
            yield "U16", f"Line 1 says {metadata.values['Chain']}; {self._wrong_loci} rows differ."

    def _remark(self, *remarks: tuple[str, str]) -> Iterator[Read]:
        unit_id = self._unit.unit_id
        rejects = [
            Reject(unit_id, 0, code, "", explained(code, particulars), "")
            for code, particulars in remarks
        ]
        if rejects:
            empty = pa.RecordBatch.from_pylist([], schema=self._schema)
            yield Read(empty, rejects, self._unit.bytes, self._lines)


def _numbers(values: np.ndarray) -> pa.Array:
    """Of the same memory; `pa.array` would import pandas, to ask whether these are its own."""
    whole = np.ascontiguousarray(values, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(whole), [None, pa.py_buffer(whole)])


def _wrong_loci(batch: pa.RecordBatch, chain: str | None) -> int:
    """Rows whose locus is none of the chain that line 1, or the column's name, says."""
    columns = {"locus": chain or "", **_LOCUS_COLUMNS}
    right = None
    for name, of_chain in columns.items():
        if name in batch.schema.names and of_chain in _LOCI and batch[name].null_count == 0:
            fits = reduce(pc.or_, [pc.equal(batch[name], locus) for locus in _LOCI[of_chain]])
            right = fits if right is None else pc.and_(right, fits)
    return 0 if right is None else batch.num_rows - right.true_count
