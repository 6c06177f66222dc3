"""No donor has more rows than a cap: ten donors hold most of the public sequences."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.step import Applied, Context, DatasetStep, Stream
from onetrip.data.text.columns import plain, require_columns
from onetrip.data.text.hashing import hash_places

_SEED = 0xBA1A
# Hashes are told apart by their high bits first.
_BINS = 4_096
_BIN_SHIFT = np.uint64(64 - 12)
_ALL = np.iinfo(np.uint64).max


@dataclass(frozen=True)
class Balance(DatasetStep):
    """Keep at most `cap` rows of each donor: those whose place in the source has the smallest hash.

    Which rows these are does not depend on the order of the stream. The stream is read three times
    in two narrow columns, and once whole: donors are counted, then the hashes of those beyond the
    cap in 4,096 bins each, then the bin in which the cap falls is looked through. A row without a
    donor is kept.

    Parameters
    ----------
    cap : rows of a donor.
    by : column that names whom to balance.
    """

    cap: int = 100_000
    by: str = "donor_id"

    name: ClassVar[str] = "balance"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "at most so many rows of a donor"
    reads: ClassVar[tuple[str, ...]] = ("unit_id", "row_in_unit")

    def __post_init__(self) -> None:
        """Refuse a cap that keeps nothing."""
        if self.cap < 1:
            raise ArgumentError(complaint("cap", expected="at least 1", got=self.cap))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """What comes in goes out."""
        require_columns(self.name, upstream, self.by, *self.reads)
        return upstream

    def run(self, stream: Stream, context: Context) -> Iterator[Applied]:
        """Find the largest hash that each donor keeps, and pass what is not above it."""
        bounds = self._bounds(stream)
        for batch in stream.batches():
            rows = _Donors(batch, self.by)
            of_donor = np.array([bounds.get(name, _ALL) for name in rows.names], np.uint64)
            out = batch.filter(pa.array(rows.hashes <= of_donor[rows.codes]))
            dropped = batch.num_rows - out.num_rows
            yield Applied(out, dropped={"beyond_cap": dropped} if dropped else {})

    def _bounds(self, stream: Stream) -> dict[str, np.uint64]:
        """The `cap`th hash of each donor that has more."""
        rows_of = Counter[str]()
        for batch in stream.batches([self.by]):
            counted = plain(batch[self.by]).value_counts()
            rows_of.update(
                dict(zip(*(part.to_pylist() for part in counted.flatten()), strict=True))
            )
        beyond = [name for name, rows in rows_of.items() if rows > self.cap and name is not None]
        if not beyond:
            return {}

        bins = {name: np.zeros(_BINS, np.int64) for name in beyond}
        for name, hashes in self._hashes_of(stream, beyond):
            bins[name] += np.bincount((hashes >> _BIN_SHIFT).astype(np.int64), minlength=_BINS)
        until = {name: np.cumsum(counts) for name, counts in bins.items()}
        falls = {name: int(np.searchsorted(until[name], self.cap)) for name in beyond}

        candidates: dict[str, list[np.ndarray]] = {name: [] for name in beyond}
        for name, hashes in self._hashes_of(stream, beyond):
            candidates[name].append(hashes[(hashes >> _BIN_SHIFT) == falls[name]])
        bounds = {}
        for name in beyond:
            before = int(until[name][falls[name] - 1]) if falls[name] else 0
            bounds[name] = np.sort(np.concatenate(candidates[name]))[self.cap - before - 1]
        return bounds

    def _hashes_of(self, stream: Stream, wanted: list[str]) -> Iterator[tuple[str, np.ndarray]]:
        for batch in stream.batches([self.by, *self.reads]):
            rows = _Donors(batch, self.by)
            order = np.argsort(rows.codes, kind="stable")
            ends = np.searchsorted(rows.codes[order], np.arange(len(rows.names) + 1))
            for name in wanted:
                if name in rows.number:
                    code = rows.number[name]
                    yield name, rows.hashes[order[ends[code] : ends[code + 1]]]


class _Donors:
    """Whose each row of a batch is, by code, and the hash of its place."""

    def __init__(self, batch: pa.RecordBatch, by: str) -> None:
        encoded = plain(batch[by]).dictionary_encode("encode")
        self.codes = encoded.indices.to_numpy(zero_copy_only=False)
        self.names = encoded.dictionary.to_pylist()
        self.number = {name: code for code, name in enumerate(self.names)}
        self.hashes = hash_places(batch["unit_id"], batch["row_in_unit"], _SEED)
