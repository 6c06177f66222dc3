"""Clones get a number: one V gene, one J gene, one CDR3, or nearly one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.step import Applied, ExchangeStep
from onetrip.data.text.columns import (
    any_null,
    chain_columns,
    group_codes,
    require_chain_columns,
    with_column,
    with_field,
)
from onetrip.data.text.flat_text import FlatText
from onetrip.data.text.hashing import combine, hash_strings
from onetrip.data.text.near_strings import near_components

_GENES = ("v_gene", "j_gene")
_SEED = 0xC105E


@dataclass(frozen=True)
class Cluster(ExchangeStep):
    """Number the clonotype of each row; of a pair, that of its heavy chain.

    The number is a hash of V gene, J gene and CDR3, so that it stays as it is when data grow.
    With `identity` below 1, clonotypes with the same genes and a CDR3 of the same length are
    joined wherever so many of its residues agree (single linkage), and a component is named by
    the smallest number in it. A row that lacks a gene or the CDR3 goes by its whole sequence.

    At an identity of 1 a row has its number in itself: it needs no other, and nothing is exchanged.

    Parameters
    ----------
    identity : share of the CDR3's residues that agree, above 0.5 up to 1; 0.9 is customary.
    """

    identity: float = 1.0

    name: ClassVar[str] = "cluster"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "number clones by V gene, J gene and CDR3"

    def __post_init__(self) -> None:
        """Refuse an identity that would join strangers."""
        if not 0.5 < self.identity <= 1:
            raise ArgumentError(
                complaint("identity", expected="above 0.5, up to 1", got=self.identity)
            )

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """Upstream's columns and `cluster_id`."""
        require_chain_columns(self.name, upstream, *_GENES, "cdr3_aa", "sequence_aa")
        return with_field(upstream, "cluster_id", pa.uint64())

    @property
    def alone(self) -> bool:
        """Whether clonotypes stay as they are, each numbered by its own text."""
        return self.identity == 1

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Number the clones of one batch; for an identity of 1."""
        return self._number(batch)

    def hashes(self, batch: pa.RecordBatch) -> np.ndarray:
        """What must meet: a clonotype, or all with its genes and its CDR3's length."""
        key = _Clonotypes(batch)
        if self.identity == 1:
            return key.number
        lengths = FlatText.of(key.cdr3).lengths.astype(np.uint64)
        return np.where(key.missing, key.number, combine(key.genes_hash, lengths))

    def gather(self, bucket: Iterator[pa.RecordBatch]) -> Iterator[Applied]:
        """Number the clones of one bucket."""
        batches = list(bucket)
        if not batches:
            return
        batch = pa.Table.from_batches(batches).combine_chunks().to_batches()
        if not batch:
            empty = pa.array([], pa.uint64())
            yield Applied(with_column(batches[0], "cluster_id", empty))
            return
        batches.clear()
        yield self._number(batch[0])

    def _number(self, batch: pa.RecordBatch) -> Applied:
        key = _Clonotypes(batch)
        number = key.number
        counts = {"no_clonotype": int(key.missing.sum())}
        if self.identity < 1:
            rows = np.flatnonzero(~key.missing)
            number[rows], counts["clonotypes_joined"] = self._join(key, rows)
        out = with_column(batch, "cluster_id", pa.array(number))
        return Applied(out, counts={name: count for name, count in counts.items() if count})

    def _join(self, key: "_Clonotypes", rows: np.ndarray) -> tuple[np.ndarray, int]:
        """Numbers of the components of near clonotypes, and how many went into others."""
        # One row speaks for each clonotype.
        distinct, first, clonotype = np.unique(
            key.number[rows], return_index=True, return_inverse=True
        )
        spokesmen = pa.array(rows[first])
        genes, _ = group_codes([column.take(spokesmen) for column in key.genes])
        cdr3 = FlatText.of(key.cdr3.take(spokesmen))
        label = np.arange(distinct.size)
        for length in np.unique(cdr3.lengths).tolist():
            # 0.1 * 10 is a little below the 1 that it means.
            most_apart = int((1 - self.identity) * length + 1e-9)
            if not most_apart:
                continue
            alike = np.flatnonzero(cdr3.lengths == length)
            texts = cdr3.bytes[cdr3.offsets[alike][:, None] + np.arange(length)]
            # Numbers are sorted: the smallest index has the smallest number.
            label[alike] = alike[near_components(texts, genes[alike], most_apart)]
        joined = int((label != np.arange(distinct.size)).sum())
        return distinct[label][clonotype], joined


class _Clonotypes:
    """Number of each row, and what it is made of: the only chain, or a pair's heavy one."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        names = batch.schema.names
        columns = [chain_columns(name, names)[0] for name in (*_GENES, "cdr3_aa")]
        v_gene, j_gene, self.cdr3 = (batch[name] for name in columns)
        self.genes = [v_gene, j_gene]
        self.missing = any_null(batch, tuple(columns)) | (FlatText.of(self.cdr3).lengths == 0)
        self.genes_hash = combine(hash_strings(v_gene, _SEED), hash_strings(j_gene, _SEED))
        self.number = combine(self.genes_hash, hash_strings(self.cdr3, _SEED))
        lone = np.flatnonzero(self.missing)
        if lone.size:
            whole = np.zeros(lone.size, np.uint64)
            for name in chain_columns("sequence_aa", names):
                whole = combine(whole, hash_strings(batch[name].take(pa.array(lone)), _SEED))
            self.number[lone] = whole
