"""JSON lines: an object a line; its values as text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import pyarrow as pa

from onetrip.data.reject import Reject
from onetrip.data.sources.files import first_line, of_first_readable, read_blocks
from onetrip.data.sources.folder import find_units, opened
from onetrip.data.sources.source import Read, Source, Unit, UnitError


@dataclass(frozen=True)
class Jsonl(Source):
    """JSON lines, plain or gzip, every value as text: numbers, lists and objects as JSON.

    `row_in_unit` is the number of the line. Empty lines are no rows.
    A key that a line lacks is null; keys that were not asked for are left out and counted. A line
    that is no object is rejected (R01), one that is no UTF-8 too (R03).

    Parameters
    ----------
    columns : keys to read. Default: all of the first line of the first unit that begins with an
        object.
    """

    name: ClassVar[str] = "jsonl"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "JSON lines, plain or gzip."

    columns: tuple[str, ...] = ()

    def find(self, location: Path) -> Sequence[Unit]:
        """Files below `location`, sorted."""
        return find_units(location, ("*.jsonl", "*.jsonl.gz", "*.ndjson", "*.ndjson.gz"))

    def resolve(self, units: Sequence[Unit]) -> Self:
        """With the keys of the first line that has any, where none were asked for."""
        if self.columns:
            return self
        return replace(self, columns=of_first_readable(units, _keys))

    def schema(self) -> pa.Schema:
        """Provenance, then the keys as strings."""
        fields = [("unit_id", pa.string()), ("row_in_unit", pa.int64())]
        return pa.schema([*fields, *((name, pa.string()) for name in self.columns)])

    def read(self, unit: Unit, *, skip_lines: int = 0, skip_rows: int = 0) -> Iterator[Read]:
        """Read a file block by block; empty lines are no rows."""
        lines, schema = skip_lines, self.schema()
        _check_bytes(unit)
        for block in read_blocks(unit.path, skip_lines):
            found: list[tuple[int, dict[str, object]]] = []
            rejects: list[Reject] = []
            left_out = 0
            for number, line in enumerate(block.text.split(b"\n"), lines + 1):
                if not line.strip():
                    continue
                row = _parsed(unit, number, line)
                if isinstance(row, Reject):
                    rejects.append(row)
                    continue
                found.append((number, row))
                left_out += len(row.keys() - set(self.columns))
            lines += block.lines
            columns = [
                pa.array([unit.unit_id] * len(found), pa.string()),
                pa.array([number for number, _ in found], pa.int64()),
                *(
                    pa.array([_text(row.get(name)) for _, row in found], pa.string())
                    for name in self.columns
                ),
            ]
            batch = pa.RecordBatch.from_arrays(columns, schema=schema)
            counts = {"values of other keys": left_out} if left_out else {}
            yield Read(batch, rejects, block.position, lines, counts)


def _keys(unit: Unit) -> tuple[str, ...]:
    _check_bytes(unit)
    row = _parsed(unit, 1, first_line(unit.path))
    if isinstance(row, Reject) or not row:
        reason = row.message if isinstance(row, Reject) else "No keys."
        raise UnitError("U10", f"Its first line is no JSON object: {reason}")
    return tuple(row)


def _check_bytes(unit: Unit) -> None:
    with opened(unit.path):
        if not unit.bytes:
            raise UnitError("U03", "The file is empty.")


def _parsed(unit: Unit, line: int, text: bytes) -> dict[str, object] | Reject:
    shown = text.decode("utf-8", "backslashreplace")
    try:
        row = json.loads(text)
    except UnicodeDecodeError:
        return Reject(unit.unit_id, line, "R03", "", "Bytes that are no UTF-8.", shown)
    except ValueError as error:
        return Reject(unit.unit_id, line, "R01", "", f"No JSON: {error}", shown)
    if not isinstance(row, dict):
        return Reject(unit.unit_id, line, "R01", "", "No JSON object.", shown)
    return row


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
