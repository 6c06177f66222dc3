"""Parquet files of one schema, with their types as they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.parquet as pq

from onetrip.core.errors import DataError, complaint
from onetrip.data.sources.files import of_first_readable
from onetrip.data.sources.folder import find_units, opened
from onetrip.data.sources.source import Read, Source, Unit, UnitError

_BATCH_ROWS = 32_768
_PROVENANCE = (pa.field("unit_id", pa.string()), pa.field("row_in_unit", pa.int64()))


@dataclass(frozen=True)
class Parquet(Source):
    """Parquet files of the types of the first that can be read; others are set aside (U11).

    Columns `unit_id` and `row_in_unit` that the files have already stay as they are.

    Parameters
    ----------
    columns : names of the columns to read. Default: all of that unit.
    types : the first unit's schema as hexadecimal text; filled in by itself.
    """

    name: ClassVar[str] = "parquet"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Parquet files of one schema."

    columns: tuple[str, ...] = ()
    types: str = ""

    def find(self, location: Path) -> Sequence[Unit]:
        """Files below `location`, sorted."""
        return find_units(location, ("*.parquet",))

    def resolve(self, units: Sequence[Unit]) -> Self:
        """With the columns and types of the first unit that can be read."""
        there = of_first_readable(units, _schema)
        wanted = self.columns or tuple(there.names)
        missing = [name for name in wanted if name not in there.names]
        if missing:
            expected = f"among {', '.join(there.names)}"
            raise DataError(complaint("parquet: columns", expected=expected, got=missing))
        schema = pa.schema([there.field(name).remove_metadata() for name in wanted])
        return replace(self, columns=wanted, types=schema.serialize().to_pybytes().hex())

    def schema(self) -> pa.Schema:
        """Provenance where the files have none, then the columns with their types."""
        stored = self._stored()
        extra = [field for field in _PROVENANCE if field.name not in stored.names]
        return pa.schema([*extra, *stored])

    def read(self, unit: Unit, *, skip_lines: int = 0, skip_rows: int = 0) -> Iterator[Read]:
        """Read a file row group by row group; here a line is a row."""
        schema, stored = self.schema(), self._stored()
        opened(unit.path).close()
        try:
            file = pq.ParquetFile(unit.path, memory_map=True)
        except pa.ArrowInvalid as error:
            raise UnitError("U01", f"No Parquet file: {error}") from error
        with file:
            rows, total = 0, file.metadata.num_rows
            there = file.schema_arrow.remove_metadata()
            wrong = [
                field.name
                for field in stored
                if field.name not in there.names or there.field(field.name).type != field.type
            ]
            if wrong:
                raise UnitError("U11", f"Columns {wrong} are missing or of another type.")
            for batch in file.iter_batches(
                _BATCH_ROWS, columns=list(self.columns), use_threads=False
            ):
                rows += batch.num_rows
                if rows <= skip_lines:
                    continue
                batch = batch.slice(max(0, skip_lines - (rows - batch.num_rows)))
                yield Read(
                    _with_provenance(batch, schema, unit, rows),
                    position=unit.bytes * rows // max(total, 1),
                    lines=rows,
                )

    def _stored(self) -> pa.Schema:
        return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(self.types)))


def _schema(unit: Unit) -> pa.Schema:
    opened(unit.path).close()
    try:
        return pq.read_schema(unit.path).remove_metadata()
    except pa.ArrowInvalid as error:
        raise UnitError("U01", f"No Parquet file: {error}") from error


def _with_provenance(
    batch: pa.RecordBatch, schema: pa.Schema, unit: Unit, rows_so_far: int
) -> pa.RecordBatch:
    first = rows_so_far - batch.num_rows + 1
    made = {
        "unit_id": lambda: pa.array([unit.unit_id] * batch.num_rows, pa.string()),
        "row_in_unit": lambda: pa.array(range(first, rows_so_far + 1), pa.int64()),
    }
    columns = [
        batch.column(field.name) if field.name in batch.schema.names else made[field.name]()
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
