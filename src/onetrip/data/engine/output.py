"""What a task writes: rows to shards or buckets, rejects to quarantine."""

import uuid
from collections.abc import Sequence
from dataclasses import astuple
from typing import Protocol

import pyarrow as pa

from onetrip.data.engine.exchange import Bucket, BucketWriter
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.task import Places, Task
from onetrip.data.reject import RAW_BYTES, SCHEMA, Reject
from onetrip.data.store.shards import Shard, ShardWriter

_REJECTS_AT_ONCE = 1_024


class Sink(Protocol):
    """Where rows and rejects of a unit go."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows."""
        ...

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Take rejects."""
        ...


class Held:
    """Rows and rejects of a small unit, kept until it is known that the unit is whole."""

    def __init__(self) -> None:
        self.batches: list[pa.RecordBatch] = []
        self.rejects: list[Reject] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Keep rows."""
        self.batches.append(batch)

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Keep rejects."""
        self.rejects.extend(rejects)

    def pour(self, sink: Sink) -> None:
        """Hand everything on."""
        for batch in self.batches:
            sink.write(batch)
        sink.reject(self.rejects)


class Output:
    """The files of one attempt at a task; their names are the attempt's own."""

    def __init__(self, stage: Stage, task: Task, places: Places) -> None:
        self._stage, self._task, self._places = stage, task, places
        self._open()

    def _open(self) -> None:
        stage, task, places = self._stage, self._task, self._places
        stem = f"{task.key[:24]}-{uuid.uuid4().hex[:8]}"
        self._rows: ShardWriter | BucketWriter = (
            ShardWriter(places.stage, f"part-{stem}", stage.schema)
            if stage.tail is None
            else BucketWriter(
                places.stage, f"buckets-{stem}", stage.schema, stage.tail, task.buckets
            )
        )
        self._rejects = ShardWriter(places.quarantine, f"{stage.name}-{stem}", SCHEMA)
        self._waiting: list[Reject] = []

    @property
    def shards(self) -> list[Shard]:
        """Shards that are closed."""
        return self._rows.closed_shards

    @property
    def quarantine(self) -> list[Shard]:
        """Files of rejects that are closed."""
        return self._rejects.closed_shards

    @property
    def buckets(self) -> dict[int, Bucket]:
        """What a file of buckets has of each."""
        return self._rows.buckets if isinstance(self._rows, BucketWriter) else {}

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows."""
        self._rows.write(batch)

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Take rejects."""
        self._waiting.extend(rejects)
        if len(self._waiting) >= _REJECTS_AT_ONCE:
            self._write_rejects()

    def end_shard(self) -> None:
        """Publish what there is."""
        self._write_rejects()
        self._rejects.end_shard()
        self._rows.end_shard()

    def keep(self) -> None:
        """Leave what is closed where it is: a checkpoint names it."""
        self._rejects.keep()
        if isinstance(self._rows, ShardWriter):
            self._rows.keep()

    def discard(self) -> None:
        """Take back everything of this attempt that no checkpoint names."""
        self._rows.discard()
        self._rejects.discard()

    def start_again(self) -> None:
        """Take back everything, and be ready for other rows."""
        self.discard()
        self._open()

    def _write_rejects(self) -> None:
        if self._waiting:
            self._rejects.write(reject_batch(self._waiting))
            self._waiting = []


def reject_batch(rejects: Sequence[Reject]) -> pa.RecordBatch:
    """Rejects as rows of the quarantine; raw text is cut at its limit."""
    columns = [list(column) for column in zip(*map(astuple, rejects), strict=True)]
    columns[-1] = [_cut(text) for text in columns[-1]]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _cut(text: str) -> str:
    data = text.encode("utf-8", "backslashreplace")
    return data[:RAW_BYTES].decode("utf-8", "ignore")
