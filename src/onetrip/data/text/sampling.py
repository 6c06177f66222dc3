"""A sample of a stream that does not depend on its order: the rows with the smallest hashes."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.data.step import Stream
from onetrip.data.text.columns import plain


class SmallestHashes:
    """Keeps the rows of the `size` smallest distinct hashes; memory holds twice as many at most.

    Rows with one hash count once, so that hashes of texts sample distinct texts. The same rows in
    another order, or in other batches, give the same sample; more rows change only part of it.

    >>> sample = SmallestHashes(2, pa.schema([("n", pa.int64())]))
    >>> sample.add(np.array([7, 3, 3, 5], np.uint64), pa.record_batch({"n": [0, 1, 1, 2]}))
    >>> sample.rows().to_pylist()
    [{'n': 1}, {'n': 2}]
    """

    def __init__(self, size: int, schema: pa.Schema) -> None:
        self._size, self._schema = size, schema
        self._hashes: list[np.ndarray] = []
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0
        self._bound = np.iinfo(np.uint64).max

    def add(self, hashes: np.ndarray, batch: pa.RecordBatch) -> None:
        """Offer rows with their uint64 hashes [N]."""
        small = np.flatnonzero(hashes <= self._bound)
        if not small.size:
            return
        self._hashes.append(hashes[small])
        self._batches.append(batch.take(pa.array(small)))
        self._waiting += small.size
        if self._waiting >= 2 * self._size:
            self._prune()

    def rows(self) -> pa.Table:
        """The sample, in the order of its hashes."""
        self._prune()
        return pa.Table.from_batches(self._batches, self._schema)

    def _prune(self) -> None:
        if not self._batches:
            return
        distinct, first = np.unique(np.concatenate(self._hashes), return_index=True)
        kept = first[: self._size]
        table = pa.Table.from_batches(self._batches, self._schema).take(pa.array(kept))
        table = table.combine_chunks()
        self._hashes, self._batches = [distinct[: self._size]], table.to_batches()
        self._waiting = kept.size
        if kept.size == self._size:
            self._bound = distinct[self._size - 1]


def rows_of_split(stream: Stream, split: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of a stream with the rows of one split alone."""
    for batch in stream.batches([*columns, "split"]):
        chosen = batch.filter(pc.fill_null(pc.equal(plain(batch["split"]), split), False))
        if chosen.num_rows:
            yield chosen


def column_names(stream: Stream) -> list[str]:
    """Names of a stream's columns; none where it has no rows."""
    first = next(iter(stream.batches()), None)
    return [] if first is None else first.schema.names
