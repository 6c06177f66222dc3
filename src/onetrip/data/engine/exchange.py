"""Buckets in files: one scatter task writes one file, and a bucket is read from all of them.

A scatter file is an Arrow file whose batches belong to one bucket each: as many files as scatter
tasks, not tasks times buckets. Which batches a bucket has stands in the task's sidecar.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import DataError
from onetrip.data.step import ExchangeStep
from onetrip.data.store.aside import AsideFile
from onetrip.data.store.shards import Shard

# What a bucket should hold in memory, and what a scatter task holds before it writes.
BUCKET_BYTES = 64 << 20
SCATTER_BYTES = 48 << 20
MOST_BUCKETS = 4_096


@dataclass(slots=True)
class Bucket:
    """What a scatter file has of one bucket: rows, bytes in memory, numbers of its batches."""

    rows: int = 0
    bytes: int = 0
    batches: list[int] = field(default_factory=list)


def bucket_count(memory_bytes: int) -> int:
    """How many buckets rows of this size in memory need: a power of two.

    >>> bucket_count(10), bucket_count(1 << 30), bucket_count(1 << 50)
    (1, 16, 4096)
    """
    wanted = -(-memory_bytes // BUCKET_BYTES)
    return min(MOST_BUCKETS, 1 << max(0, wanted - 1).bit_length())


class BucketWriter:
    """Writes batches, sorted into buckets by the hash of their key; the order of rows stays."""

    def __init__(
        self, folder: Path, stem: str, schema: pa.Schema, step: ExchangeStep, buckets: int
    ) -> None:
        self._step, self._count = step, buckets
        self._plain = plain_schema(schema)
        self._folder = folder
        self._file = AsideFile(folder / f"{stem}-00000.arrow")
        self._writer = pa.ipc.new_file(
            self._file,
            self._plain,
            options=pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False),
        )
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = self._rows = self._memory_bytes = 0
        self._written = 0
        self.buckets: dict[int, Bucket] = {}
        self.closed_shards: list[Shard] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch; what waits goes to disk when it is enough."""
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= SCATTER_BYTES:
            self._flush()

    def end_shard(self) -> None:
        """Publish the file."""
        self._flush()
        self._writer.close()
        written = self._file.publish()
        shard = Shard(written.name, self._rows, written.bytes, written.sha256, self._memory_bytes)
        self.closed_shards.append(shard)

    def discard(self) -> None:
        """Take back everything that was written."""
        self._file.discard()
        for shard in self.closed_shards:
            (self._folder / shard.name).unlink(missing_ok=True)
        self.closed_shards = []

    def _flush(self) -> None:
        if not self._waiting:
            return
        batches = [as_schema(batch, self._plain) for batch in self._waiting]
        of_row = np.concatenate([_bucket_of(self._step, b, self._count) for b in self._waiting])
        table = pa.Table.from_batches(batches, self._plain)
        self._waiting, self._waiting_bytes = [], 0
        order = np.argsort(of_row, kind="stable")
        sorted_table = table.take(pa.array(order)).combine_chunks()
        counts = np.bincount(of_row, minlength=self._count)
        starts = np.concatenate([[0], np.cumsum(counts)])
        self._rows += table.num_rows
        self._memory_bytes += table.nbytes
        for bucket in np.flatnonzero(counts).tolist():
            part = sorted_table.slice(int(starts[bucket]), int(counts[bucket])).to_batches()[0]
            self._writer.write_batch(part)
            index = self.buckets.setdefault(bucket, Bucket())
            index.rows += part.num_rows
            index.bytes += part.nbytes
            index.batches.append(self._written)
            self._written += 1


def read_bucket(
    files: Sequence[tuple[Path, Sequence[int]]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The batches of one bucket: of each file those with these numbers, in this order."""
    for path, numbers in files:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            for number in numbers:
                yield as_schema(reader.get_batch(number), schema)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """`schema` with dictionaries as their values: an Arrow file keeps but one dictionary."""
    return pa.schema(
        [
            pa.field(field.name, field.type.value_type, field.nullable)
            if pa.types.is_dictionary(field.type)
            else field
            for field in schema
        ]
    )


def as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with its columns cast to and from dictionaries."""
    columns = [
        column
        if column.type.equals(field.type)
        else _encoded(column, field.type)
        if pa.types.is_dictionary(field.type)
        else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _encoded(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return pc.dictionary_encode(column).cast(kind)


def _bucket_of(step: ExchangeStep, batch: pa.RecordBatch, buckets: int) -> np.ndarray:
    hashes = np.asarray(step.hashes(batch))
    if hashes.dtype != np.uint64 or hashes.shape != (batch.num_rows,):
        raise DataError(
            f"Step `{step.name}` must hash {batch.num_rows} rows to uint64, one each; it gave "
            f"{hashes.dtype} of shape {hashes.shape}."
        )
    # The high bits: a step that hashes again inside a bucket may use the low ones.
    return (hashes >> np.uint64(64 - 12)).astype(np.int64) * buckets >> 12
