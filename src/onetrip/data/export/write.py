"""A finished dataset as files for others: Parquet by split or FASTA, a card, and every count."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.data.export.card import dataset_card
from onetrip.data.export.fasta import FASTA_COLUMNS, FastaWriter
from onetrip.data.steps.split import SPLITS
from onetrip.data.store.aside import full_disk_explained, remove_abandoned, write_json
from onetrip.data.store.dataset import Finished, open_finished
from onetrip.data.store.shards import GROUP_ROWS, ShardWriter
from onetrip.data.store.writable import folder_to_write
from onetrip.data.text.columns import plain

_STATS = "stats.json"
# There from the first file to the last: an export that broke off begins again.
_BEGUN = ".export-begun"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: its folder, rows of each split, files relative to the folder."""

    folder: Path
    rows: dict[str, int]
    files: tuple[str, ...]


def export(
    dataset: str | Path,
    target: str | Path | None = None,
    *,
    format: Literal["parquet", "fasta"] = "parquet",
    columns: Sequence[str] | None = None,
    title: str = "",
    license: str = "",
) -> Exported:
    """Write the rows of a finished dataset by split, with a card and every count.

    ``datasets.load_dataset(target)``, Polars, DuckDB and `onetrip.data.stream` open the Parquet
    files at once: row groups have at most 65,536 rows and 64 MiB. Without a column `split` all
    rows are training rows.

    Parameters
    ----------
    dataset : folder of a finished run.
    target : folder to write; default ``dataset/export``. An earlier export there is replaced.
    format : "parquet" or "fasta" (one file for each split; a pair is two records).
    columns : those to write to Parquet. Default: all.
    title, license : for the card; ``license`` as Hugging Face names it, "cc-by-4.0".

    Returns
    -------
    Exported

    Raises
    ------
    ArgumentError
        An unknown format or column.
    DataError
        No finished dataset, one without rows, or `target` holds something else than an export.

    Examples
    --------
    >>> export("/nowhere")
    Traceback (most recent call last):
    ...
    onetrip.core.errors.DataError: `dataset` must be a folder that `onetrip data run` ...
    """
    if format not in ("parquet", "fasta"):
        raise ArgumentError(complaint("format", expected="parquet or fasta", got=repr(format)))
    finished = open_finished(dataset)
    if not finished.shards:
        raise DataError(
            f"{dataset} has no rows to export. `onetrip data stats` says where they went."
        )
    schema = pq.read_schema(finished.shards[0])
    wanted = _open_schema(schema, columns if format == "parquet" else _fasta_columns(schema))
    folder = Path(target) if target is not None else finished.folder / "export"
    with full_disk_explained(folder), _alone(folder):
        _clear(folder)
        files = _write_rows(finished, folder, "split" in schema.names, wanted, format)
        for name, path in finished.artifacts.items():
            copyfile(path, folder / name)
        stats = _stats(finished, wanted, files)
        card = dataset_card(stats, format=format, title=title, license=license)
        (folder / "README.md").write_text(card, "utf-8")
        # Last: what says that the export is whole.
        write_json(folder / _STATS, stats)
    return Exported(folder, stats["rows"], tuple(file["path"] for file in files))


def _open_schema(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """Fields to write, in types that every reader knows: texts in place of codes."""
    names = schema.names if columns is None else list(columns)
    if unknown := [name for name in names if name not in schema.names]:
        expected = f"some of {', '.join(schema.names)}"
        raise ArgumentError(complaint("columns", expected=expected, got=repr(unknown[0])))
    return pa.schema([pa.field(name, _open_type(schema.field(name).type)) for name in names])


def _open_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.binary() if pa.types.is_fixed_size_binary(kind) else kind


def _fasta_columns(schema: pa.Schema) -> list[str]:
    return [name for name in FASTA_COLUMNS if name in schema.names]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second export out, and every folder that holds something else; mark a broken one."""
    folder_to_write("target", folder)
    stats, begun = folder / _STATS, folder / _BEGUN
    if not (stats.is_file() or begun.is_file()) and any(folder.iterdir()):
        expected = "a new folder, or one of an earlier export"
        raise DataError(complaint("target", expected=expected, got=repr(str(folder))))
    with begun.open("a") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _other_export(folder) from error
        if not begun.exists():
            # The other one ended between our look and our turn.
            raise _other_export(folder)
        yield
        begun.unlink()


def _other_export(folder: Path) -> DataError:
    return DataError(
        f"Another export writes to {folder}. Wait for its end, or choose another target."
    )


def _clear(folder: Path) -> None:
    """Make room where an earlier export was, whole or broken off."""
    stats = folder / _STATS
    if stats.is_file():
        written = json.loads(stats.read_text("utf-8"))
        stats.unlink()
        for file in written["files"]:
            (folder / file["path"]).unlink(missing_ok=True)
    else:
        for split in SPLITS:
            for left in (folder / "data").glob(f"{split}*"):
                left.unlink()
    (folder / "data").mkdir(exist_ok=True)
    remove_abandoned(folder / "data")


def _write_rows(
    finished: Finished, folder: Path, has_split: bool, wanted: pa.Schema, format: str
) -> list[dict[str, Any]]:
    """Write every row to the files of its split; what each file is."""
    writers: dict[str, ShardWriter | FastaWriter] = {}
    try:
        for split, batch in _by_split(finished, has_split, wanted):
            if split not in writers:
                kind = ShardWriter if format == "parquet" else FastaWriter
                writers[split] = kind(folder / "data", split, wanted)
            writers[split].write(batch)
        for writer in writers.values():
            writer.end_shard()
    except BaseException:
        for writer in writers.values():
            writer.discard()
        raise
    return [
        {
            "path": f"data/{shard.name}",
            "split": split,
            "rows": shard.rows,
            "bytes": shard.bytes,
            "sha256": shard.sha256,
        }
        for split in SPLITS
        if split in writers
        for shard in writers[split].closed_shards
    ]


def _by_split(
    finished: Finished, has_split: bool, wanted: pa.Schema
) -> Iterator[tuple[str, pa.RecordBatch]]:
    reads = dict.fromkeys([*wanted.names, "split"] if has_split else wanted.names)
    for shard in finished.shards:
        with pq.ParquetFile(shard) as opened:
            for batch in opened.iter_batches(GROUP_ROWS, columns=list(reads), use_threads=False):
                split = plain(batch["split"]) if has_split else None
                columns = [plain(batch[field.name]).cast(field.type) for field in wanted]
                rows = pa.RecordBatch.from_arrays(columns, schema=wanted)
                if split is None:
                    yield SPLITS[0], rows
                    continue
                for name in SPLITS:
                    if (part := rows.filter(pc.equal(split, name))).num_rows:
                        yield name, part


def _stats(finished: Finished, wanted: pa.Schema, files: list[dict[str, Any]]) -> dict[str, Any]:
    """Every count, and what made them."""
    rows = dict.fromkeys((file["split"] for file in files), 0)
    for file in files:
        rows[file["split"]] += file["rows"]
    return {
        "rows": rows,
        "columns": {field.name: str(field.type) for field in wanted},
        "files": files,
        "steps": {name: account.as_dict() for name, account in finished.accounts.items()},
        "quarantine": _rejects_by_code(finished),
        "artifacts": sorted(finished.artifacts),
        "recipe": dict(finished.recipe),
        "versions": dict(finished.versions),
    }


def _rejects_by_code(finished: Finished) -> dict[str, int]:
    counts: dict[str, int] = {}
    for path in finished.quarantine:
        column = pq.read_table(path, columns=["code"])["code"]
        for entry in column.value_counts().to_pylist():
            counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    return dict(sorted(counts.items()))
