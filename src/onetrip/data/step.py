"""What a step is: a pure function on record batches that declares what it reads and writes.

Four kinds, by what they need to see at once:

- `BatchStep`: one record batch. Runs on every partition alone.
- `ExchangeStep`: all rows of one key. Rows are scattered to buckets by a hash of the key, and each
  bucket is gathered alone. Where parameters leave each row to itself, nothing is exchanged.
- `DatasetStep`: everything, as a stream. One task.
- `LearnStep`: everything, and no row changes: it leaves artifacts (a tokeniser, a report) that
  later steps may ask for by name.

A step never touches the disk of the dataset: the engine reads, writes, caches and counts. The
account of every step closes: rows in = rows out + rejected + dropped, where merged rows
(duplicates) count as dropped under their own reason.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from onetrip.data.reject import Reject

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Applied:
    """What a step made of some rows.

    `batch` goes on; `rejects` go to quarantine, one for each row set aside, with its `row_in_unit`
    as line (the engine knows how many lines stand above row 1); `dropped` counts rows
    left out on purpose, by rule; `counts` are anything else worth telling (flags set, values
    nulled), and enter no balance.
    """

    batch: pa.RecordBatch
    rejects: Sequence[Reject] = ()
    dropped: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    counts: Mapping[str, int] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True)
class Step(ABC):
    """A step with its parameters: the fields of the dataclass that derives from this.

    Parameters are plain values (str, int, float, bool, None, tuples of them), each with a default;
    their help stands in the class docstring, one numpydoc entry each. `name` is what a recipe
    calls it, `version` grows whenever the same input could give another output, `reads` names the
    columns it needs, `wants` the artifacts of earlier steps.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    summary: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()
    wants: ClassVar[tuple[str, ...]] = ()

    def bind(self, artifacts: Mapping[str, bytes]) -> "Step":
        """The step, ready to run with the artifacts that it `wants`."""
        return self

    @abstractmethod
    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """Columns that come out when `upstream` goes in. Raises DataError when it cannot."""

    def fingerprint(self, upstream_key: str, upstream: pa.Schema) -> str:
        """Key of the cache: the input's key, name, version, parameters and schema."""
        text = json.dumps(
            [upstream_key, self.name, self.version, asdict(self), str(upstream)],
            sort_keys=True,
            default=str,
        )
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class BatchStep(Step):
    """A pure function on one record batch."""

    @abstractmethod
    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Turn one batch into the next; the order of rows stays."""


@dataclass(frozen=True)
class ExchangeStep(Step):
    """Brings all rows of one key together through buckets in files.

    With some parameters a step may need no other row to deal with one: then it is `alone`, and
    runs on batches as a `BatchStep` does, without buckets.
    """

    @property
    def alone(self) -> bool:
        """Whether no row needs another with these parameters. Default: no."""
        return False

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Gather one batch as a bucket of its own; for steps that are `alone`."""
        (applied,) = self.gather(iter((batch,)))
        return applied

    @abstractmethod
    def hashes(self, batch: pa.RecordBatch) -> np.ndarray:
        """Uint64 hash of each row's key; rows of one key must agree."""

    @abstractmethod
    def gather(self, bucket: Iterator[pa.RecordBatch]) -> Iterator[Applied]:
        """Turn all rows of one bucket into what comes out.

        Rows come in the order of (partition, row); a bucket fits into a task's share of memory.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """What a step over the whole dataset may use: its share of memory, and a folder of its own.

    `scratch` is emptied before and after.
    """

    scratch: Path
    memory_bytes: int
    seed: int = 0


class Stream(ABC):
    """All batches of the dataset so far, in order; can be read again from the start."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Record batches with `columns`, or with all."""


@dataclass(frozen=True)
class DatasetStep(Step):
    """Sees everything, as a stream that can be read more than once, in bounded memory."""

    @abstractmethod
    def run(self, stream: Stream, context: Context) -> Iterator[Applied]:
        """Yield what comes out, in order."""


@dataclass(frozen=True)
class LearnStep(Step):
    """Learns something from the stream; rows pass as they are, and are not written again."""

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """What comes in goes out."""
        return upstream

    @abstractmethod
    def learn(self, stream: Stream, context: Context) -> Mapping[str, bytes]:
        """Artifacts by file name: "tokenizer.json", "leakage.json"."""


RowStep = BatchStep | ExchangeStep
"""What turns batches into batches: an exchange among them only where it is `alone`."""
