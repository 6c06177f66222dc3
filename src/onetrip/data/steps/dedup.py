"""Exact duplicates become one row, with their copies, units and donors counted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.data.step import Applied, ExchangeStep
from onetrip.data.text.columns import (
    any_null,
    chain_columns,
    group_codes,
    plain,
    require_chain_columns,
    require_columns,
    with_column,
    with_field,
)
from onetrip.data.text.hashing import combine, hash_places, hash_strings

_MOST = np.iinfo(np.uint32).max
# Of a place, 63 bits: the unit's rank above, the row below.
_ROW_BITS = 40


@dataclass(frozen=True)
class Dedup(ExchangeStep):
    """Keep one row of each key: the first by unit and place in it, whatever ran first.

    Rows are equal when the text of all keys is; a hash only brings them together. The row kept
    gets the sum of `redundancy`, `n_units` and, where there is `donor_id`, `n_donors`. A row
    without a key has no duplicate.

    Parameters
    ----------
    keys : columns that must agree; of a pair, those of both chains.
    """

    keys: tuple[str, ...] = ("sequence_aa", "locus")

    name: ClassVar[str] = "dedup"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "merge rows of one sequence, count copies, units and donors"
    reads: ClassVar[tuple[str, ...]] = ("unit_id", "row_in_unit")

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """Upstream's columns, `n_units`, and `n_donors` where there is a donor."""
        require_columns(self.name, upstream, *self.reads)
        require_chain_columns(self.name, upstream, *self.keys)
        schema = with_field(upstream, "n_units", pa.uint32())
        if "donor_id" in upstream.names:
            schema = with_field(schema, "n_donors", pa.uint32())
        return schema

    def hashes(self, batch: pa.RecordBatch) -> np.ndarray:
        """Hash of the keys; rows that have no key are scattered by their place."""
        keys = self._keys(batch.schema.names)
        total = np.zeros(batch.num_rows, np.uint64)
        for key in keys:
            total = combine(total, hash_strings(batch[key]))
        lone = any_null(batch, keys)
        if lone.any():
            places = hash_places(batch["unit_id"], batch["row_in_unit"])
            total[lone] = places[lone]
        return total

    def gather(self, bucket: Iterator[pa.RecordBatch]) -> Iterator[Applied]:
        """Merge the duplicates of one bucket."""
        batches = list(bucket)
        if not batches:
            return
        table = pa.Table.from_batches(batches).combine_chunks()
        batches.clear()
        if table.num_rows == 0:
            yield Applied(pa.RecordBatch.from_pylist([], self.schema(table.schema)))
            return
        yield self._merge(table.to_batches()[0])

    def _keys(self, names: list[str]) -> tuple[str, ...]:
        return tuple(column for key in self.keys for column in chain_columns(key, names))

    def _merge(self, batch: pa.RecordBatch) -> Applied:
        keys = self._keys(batch.schema.names)
        lone = any_null(batch, keys)
        group, groups = _groups([batch[key] for key in keys], lone)
        place = _places(batch["unit_id"], batch["row_in_unit"])
        order = np.argsort(place, kind="stable")
        first = np.empty(groups, np.int64)
        # The last assignment stays: the earliest place of each group.
        first[group[order[::-1]]] = order[::-1]
        first = first[np.argsort(place[first], kind="stable")]
        kept = group[first]

        sizes = np.bincount(group, minlength=groups)
        out = batch.take(pa.array(first))
        counts = {"merged_groups": int((sizes > 1).sum())}
        if "redundancy" in batch.schema.names:
            copies = pc.fill_null(batch["redundancy"], 1).to_numpy(zero_copy_only=False)
            sums = np.bincount(group, copies, groups)[kept]
            counts["redundancy_capped"] = int((sums > _MOST).sum())
            kind = batch.schema.field("redundancy").type
            summed = pa.array(np.minimum(sums, _MOST).astype(np.uint32))
            out = with_column(out, "redundancy", summed.cast(kind))
        units = _distinct(group, sizes, batch["unit_id"])[kept]
        out = with_column(out, "n_units", pa.array(units))
        if "donor_id" in batch.schema.names:
            out = with_column(
                out, "n_donors", pa.array(_distinct(group, sizes, batch["donor_id"])[kept])
            )
        dropped = {"duplicate": batch.num_rows - out.num_rows}
        return Applied(out, dropped=dropped, counts={k: v for k, v in counts.items() if v})


def _groups(columns: list[pa.Array], lone: np.ndarray) -> tuple[np.ndarray, int]:
    """Group of each row; rows without a key are groups of their own."""
    group, groups = group_codes(columns)
    alone = np.flatnonzero(lone)
    if not alone.size:
        return group, groups
    group[alone] = groups + np.arange(alone.size)
    present, dense = np.unique(group, return_inverse=True)
    return dense, present.size


def _places(unit_id: pa.Array, row_in_unit: pa.Array) -> np.ndarray:
    """Numbers in the order of (unit, row)."""
    units = plain(unit_id).dictionary_encode("encode")
    rank = np.empty(len(units.dictionary), np.int64)
    names = units.dictionary.to_numpy(zero_copy_only=False)
    rank[np.argsort(names)] = np.arange(rank.size)
    rows = row_in_unit.to_numpy(zero_copy_only=False).astype(np.int64)
    return (rank[units.indices.to_numpy()] << _ROW_BITS) + rows


def _distinct(group: np.ndarray, sizes: np.ndarray, values: pa.Array) -> np.ndarray:
    """How many distinct values each group has, uint32; 1 where it has one row."""
    counts = np.ones(sizes.size, np.uint32)
    shared = np.flatnonzero(sizes[group] > 1)
    if shared.size:
        codes, count = group_codes([values])
        pairs = np.unique(group[shared] * count + codes[shared])
        of_group = np.bincount(pairs // count, minlength=sizes.size)
        counts = np.where(sizes > 1, of_group, counts).astype(np.uint32)
    return counts
