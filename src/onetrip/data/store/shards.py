"""Shards: Parquet files of one schema, row groups bounded in rows and bytes, written aside."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onetrip.data.store.aside import AsideFile, Written
from onetrip.data.store.behind import Behind

# A reader of one row group holds this much at most, whatever the width of a row.
GROUP_ROWS = 65_536
GROUP_BYTES = 64 << 20
SHARD_BYTES = 256 << 20

_SAMPLE_ROWS = 2_048


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file of a task: file name, rows, size, digest, and its bytes in memory."""

    name: str
    rows: int
    bytes: int
    sha256: str
    memory_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The shard as JSON holds it."""
        return asdict(self)


class ShardWriter:
    """Writes batches to ``<stem>-00000.parquet`` and on.

    A shard ends at `SHARD_BYTES`, or when told. While one row group is compressed and written, in a
    thread of its own, the rows of the next are taken; no third one waits.

    Shards that are closed stand under their names; nobody knows them before a sidecar names them.
    """

    def __init__(self, folder: Path, stem: str, schema: pa.Schema) -> None:
        self._folder, self._stem, self._schema, self._next = folder, stem, schema, 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._rows = self._memory_bytes = 0
        self._file: AsideFile | None = None
        self._writer: pq.ParquetWriter | None = None
        self._behind = Behind()
        self.closed_shards: list[Shard] = []
        self._kept = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch; whole row groups go to disk."""
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
            self._behind.wait()
            if self._file is not None and self._file.tell() >= SHARD_BYTES:
                self._close()
            self._flush(everything=self._waiting_bytes >= GROUP_BYTES)

    def end_shard(self) -> None:
        """Publish what there is as a shard; without rows there is none."""
        self._flush(everything=True)
        self._behind.wait()
        self._close()

    def _close(self) -> None:
        if self._writer is None or self._file is None:
            return
        self._writer.close()
        written: Written = self._file.publish()
        self.closed_shards.append(
            Shard(written.name, self._rows, written.bytes, written.sha256, self._memory_bytes)
        )
        self._file = self._writer = None
        self._rows = self._memory_bytes = 0
        self._next += 1

    def keep(self) -> None:
        """Leave what is closed where it is, even when the rest is discarded: it may be named."""
        self._kept = len(self.closed_shards)

    def discard(self) -> None:
        """Take back everything that was written, save what is to be kept."""
        self._behind.give_up()
        if self._file is not None:
            self._file.discard()
        for shard in self.closed_shards[self._kept :]:
            (self._folder / shard.name).unlink(missing_ok=True)
        self._file = self._writer = None
        self.closed_shards, self._waiting = [], []
        self._rows = self._memory_bytes = self._waiting_rows = self._waiting_bytes = 0

    def _flush(self, *, everything: bool) -> None:
        if not self._waiting_rows:
            return
        table = pa.Table.from_batches(self._waiting, self._schema)
        rows = table.num_rows if everything else table.num_rows - table.num_rows % GROUP_ROWS
        group, rest = table.slice(0, rows), table.slice(rows)
        writer = self._writer or self._open(group)
        self._behind.begin(lambda: writer.write_table(group, row_group_size=GROUP_ROWS))
        self._rows += rows
        self._memory_bytes += group.nbytes
        self._waiting = rest.to_batches() if rest.num_rows else []
        self._waiting_rows, self._waiting_bytes = rest.num_rows, rest.nbytes

    def _open(self, first: pa.Table) -> pq.ParquetWriter:
        self._file = AsideFile(self._folder / f"{self._stem}-{self._next:05}.parquet")
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=_repetitive_columns(first),  # pyright: ignore[reportArgumentType]
            write_page_index=True,
            write_statistics=True,
        )
        return self._writer


def _repetitive_columns(table: pa.Table) -> list[str] | bool:
    """Columns in which values recur: a dictionary of sequences that never do only costs time."""
    sample = table.slice(0, _SAMPLE_ROWS)
    repetitive = []
    for field in table.schema:
        if pa.types.is_nested(field.type):
            repetitive.append(f"{field.name}.list.element")
            continue
        column = sample.column(field.name)
        if pa.types.is_dictionary(field.type) or 2 * pc.count_distinct(column).as_py() <= len(
            column
        ):
            repetitive.append(field.name)
    return repetitive or False
