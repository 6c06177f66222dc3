"""Steps of every kind on the columns `id` and `n` of a CSV, importable by workers."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.data.reject import Reject
from onetrip.data.sources.csv import Csv
from onetrip.data.sources.source import Read, Unit, UnitError
from onetrip.data.step import (
    Applied,
    BatchStep,
    Context,
    DatasetStep,
    ExchangeStep,
    LearnStep,
    Stream,
)


@dataclass(frozen=True)
class Numbers(BatchStep):
    """Turns `n` into a number; text that is none is rejected."""

    name: ClassVar[str] = "numbers"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "n as int64"
    reads: ClassVar[tuple[str, ...]] = ("n",)

    pause_s: float = 0.0

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        return upstream.set(upstream.names.index("n"), pa.field("n", pa.int64()))

    def apply(self, batch: pa.RecordBatch) -> Applied:
        time.sleep(self.pause_s)
        n = batch.column("n")
        fits = pc.fill_null(pc.match_substring_regex(n, r"^-?\d+$"), False)
        rejects = [
            Reject(row["unit_id"], row["row_in_unit"], "R05", "n", "no number", str(row["n"]))
            for row in batch.filter(pc.invert(fits)).to_pylist()
        ]
        kept = batch.filter(fits)
        place = batch.schema.names.index("n")
        return Applied(kept.set_column(place, "n", pc.cast(kept.column("n"), pa.int64())), rejects)


@dataclass(frozen=True)
class Distinct(ExchangeStep):
    """Keeps the first row of every `id`."""

    name: ClassVar[str] = "distinct"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "one row an id"

    fail_times: int = 0

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        return upstream

    def hashes(self, batch: pa.RecordBatch) -> np.ndarray:
        ids = batch.column("id").to_pylist()
        return np.array([hash_of(name) for name in ids], np.uint64)

    def gather(self, bucket: Iterator[pa.RecordBatch]) -> Iterator[Applied]:
        seen: set[str] = set()
        for batch in bucket:
            first = []
            for name in batch.column("id").to_pylist():
                first.append(name not in seen)
                seen.add(name)
            kept = batch.filter(pa.array(first))
            lost = batch.num_rows - kept.num_rows
            yield Applied(kept, (), Counter(duplicate=lost) if lost else {})


def hash_of(name: str) -> int:
    from hashlib import blake2b

    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Ordered(DatasetStep):
    """All rows by `n`, then `id`."""

    name: ClassVar[str] = "ordered"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "sorted"

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        return upstream

    def run(self, stream: Stream, context: Context) -> Iterator[Applied]:
        assert context.memory_bytes > 0
        (context.scratch / "here").write_text("only while I run")
        batches = list(stream.batches())
        assert stream.rows == sum(batch.num_rows for batch in stream.batches(["n"]))
        table = pa.Table.from_batches(batches).sort_by([("n", "ascending"), ("id", "ascending")])
        for batch in table.to_batches(max_chunksize=1000):
            yield Applied(batch)


@dataclass(frozen=True)
class Learnt(LearnStep):
    """Leaves the largest `n`."""

    name: ClassVar[str] = "learnt"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "the largest n"

    def learn(self, stream: Stream, context: Context) -> Mapping[str, bytes]:
        largest = [pc.max(batch.column("n")).as_py() for batch in stream.batches(["n"])]
        return {"largest.json": json.dumps(max(largest)).encode()}


@dataclass(frozen=True)
class Scaled(BatchStep):
    """Adds `share`, of the largest `n`."""

    name: ClassVar[str] = "scaled"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "n over the largest"
    wants: ClassVar[tuple[str, ...]] = ("largest.json",)

    largest: float = field(default=0.0)

    def bind(self, artifacts: Mapping[str, bytes]) -> "Scaled":
        return Scaled(float(json.loads(artifacts["largest.json"])))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        return upstream.append(pa.field("share", pa.float64()))

    def apply(self, batch: pa.RecordBatch) -> Applied:
        share = pc.divide(pc.cast(batch.column("n"), pa.float64()), self.largest)
        return Applied(batch.append_column("share", share))


@dataclass(frozen=True)
class Explosive(BatchStep):
    """Raises on rows whose `column` is one of these."""

    name: ClassVar[str] = "explosive"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "raises"

    on: tuple[str, ...] = ()
    column: str = "n"

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        return upstream

    def apply(self, batch: pa.RecordBatch) -> Applied:
        if set(self.on) & set(batch.column(self.column).to_pylist()):
            raise RuntimeError("boom")
        return Applied(batch)


@dataclass(frozen=True)
class Deadly(BatchStep):
    """Kills its worker on rows whose `n` is `on`, as long as `lives` has a character to lose."""

    name: ClassVar[str] = "deadly"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "dies"

    on: str = "dead"
    lives: str = ""

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        return upstream

    def apply(self, batch: pa.RecordBatch) -> Applied:
        if self.on in batch.column("n").to_pylist():
            left = Path(self.lives).read_text()
            if left:
                Path(self.lives).write_text(left[1:])
                os.kill(os.getpid(), signal.SIGKILL)
        return Applied(batch)


@dataclass(frozen=True)
class Breaking(Csv):
    """Gives all rows, and breaks then."""

    name: ClassVar[str] = "breaking"

    salvage: bool = True

    def read(self, unit: Unit, *, skip_lines: int = 0, skip_rows: int = 0) -> Iterator[Read]:
        yield from super().read(unit, skip_lines=skip_lines, skip_rows=skip_rows)
        raise UnitError("U05", "broken behind its rows", salvaged=self.salvage)


@dataclass(frozen=True)
class Liar(BatchStep):
    """Loses a row without saying so."""

    name: ClassVar[str] = "liar"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "loses a row"

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        return upstream

    def apply(self, batch: pa.RecordBatch) -> Applied:
        return Applied(batch.slice(1))
