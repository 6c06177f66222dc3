"""Write a campaign, or the whole lab, as CSV, JSON or Parquet: every row, with a manifest."""

import csv
import json
import math
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onetrip
from onetrip.core.errors import ArgumentError, complaint, require
from onetrip.lab.export.rows import LEFT_OUT, TABLES, RowsOf, select

FORMATS = ("csv", "json", "parquet")
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Exported:
    """Where an export lies, and how many rows of each table are in it."""

    path: Path
    rows: Mapping[str, int]


def export(
    connection: sqlite3.Connection,
    target: Path,
    *,
    campaign_id: int | None = None,
    format: str = "csv",
) -> Exported:
    """Write all that belongs to a campaign; without `campaign_id` all of the lab.

    "csv" and "parquet" make a folder with one file a table, "json" makes one file. All rows are of
    one moment, however busy the lab is. The result appears whole or not at all: it is written
    beside `target` and renamed.

    Workers' tokens, and the seeds of attempts that still run, are left out; bytes are written as
    text, or in base64 where they are none. Text is as its writer left it: a spreadsheet may take
    a cell that starts with "=" for a formula.

    Raises
    ------
    ArgumentError
        An unknown format or campaign, or a `target` that exists.
    MissingDependencyError
        "parquet" without pyarrow.
    """
    if format not in FORMATS:
        raise ArgumentError(
            complaint("format", expected=f"one of {', '.join(FORMATS)}", got=repr(format))
        )
    if target.exists():
        way_out = "Name another, or remove it."
        expected = "a path where nothing is"
        raise ArgumentError(complaint("target", expected=expected, got=target, way_out=way_out))
    parquet = _parquet() if format == "parquet" else None
    with _one_moment(connection), _aside(target) as part:
        chosen = select(connection, campaign_id)
        manifest = _manifest(connection, campaign_id, format)
        if format == "json":
            counts = _write_json(chosen, manifest, part)
        else:
            part.mkdir(parents=True)
            write = _write_csv if parquet is None else parquet
            counts = {}
            for table in chosen:
                path = part / f"{table.name}.{format}"
                counts[table.name] = write(table, path)
            text = json.dumps(manifest | {"rows": counts}, indent=1)
            (part / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return Exported(target, counts)


@contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything that is read inside is of the moment of the first look; nobody waits for it."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A path beside `target` that becomes it at the end, and is gone after a failure."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        yield part
        part.rename(target)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def _manifest(
    connection: sqlite3.Connection, campaign_id: int | None, format: str
) -> dict[str, object]:
    schema = connection.execute("SELECT max(version) FROM schema_migration").fetchone()[0]
    title = None
    if campaign_id is not None:
        title = connection.execute(
            "SELECT title FROM campaign WHERE id = ?", (campaign_id,)
        ).fetchone()["title"]
    return {
        "onetrip": onetrip.__version__,
        "schema": schema,
        "campaign_id": campaign_id,
        "campaign": title,
        "exported_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "format": format,
        "tables": list(TABLES),
        "left_out": dict(LEFT_OUT),
    }


def _write_csv(table: RowsOf, path: Path) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        for row in table.rows():
            writer.writerow(row)
            count += 1
    return count


def _write_json(chosen: list[RowsOf], manifest: Mapping[str, object], path: Path) -> dict[str, int]:
    counts = {}
    with path.open("w", encoding="utf-8") as file:
        file.write('{"tables": {')
        for place, table in enumerate(chosen):
            file.write(f"{',' if place else ''}\n{json.dumps(table.name)}: [")
            counts[table.name] = 0
            for row in table.rows():
                document = {
                    name: _plain(value, name in table.documents)
                    for name, value in zip(table.columns, row, strict=True)
                }
                text = json.dumps(document, ensure_ascii=False, allow_nan=False)
                file.write(f"{',' if counts[table.name] else ''}\n{text}")
                counts[table.name] += 1
            file.write("]")
        file.write(f'}},\n"manifest": {json.dumps(dict(manifest) | {"rows": counts})}}}\n')
    return counts


def _plain(value: object, is_document: bool) -> object:
    if is_document and isinstance(value, str):
        return json.loads(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _parquet():
    """A writer of Parquet files, or an error that says what brings it."""
    purpose = "An export to Parquet"
    arrow = require("pyarrow", extra="data", purpose=purpose)
    files = require("pyarrow.parquet", extra="data", purpose=purpose)
    kinds = {"INTEGER": arrow.int64(), "REAL": arrow.float64()}

    def write(table: RowsOf, path: Path) -> int:
        schema = arrow.schema(
            [
                (name, kinds.get(kind, arrow.string()))
                for name, kind in zip(table.columns, table.kinds, strict=True)
            ]
        )
        found = list(table.rows())
        columns = list(zip(*found, strict=True)) or [()] * len(schema)
        arrays = [
            arrow.array(values, type=field.type)
            for values, field in zip(columns, schema, strict=True)
        ]
        files.write_table(arrow.Table.from_arrays(arrays, schema=schema), path)
        return len(found)

    return write
