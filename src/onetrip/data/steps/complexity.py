"""complexity: how compressible a sequence is, to tell junk of few letters and of repeats."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.step import Applied, BatchStep
from onetrip.data.text.columns import chain_columns, require_chain_columns
from onetrip.data.text.complexity import complexity

_MADE = (
    ("complexity_bits", pa.float32()),
    ("complexity_ratio", pa.float32()),
    ("low_complexity", pa.bool_()),
)


@dataclass(frozen=True)
class ComplexityStep(BatchStep):
    """Measure how compressible a sequence is, and flag what is too much so.

    `complexity_bits` are compressed bits a residue, from the number of Lempel-Ziv phrases: few
    where there are few letters. `complexity_ratio` compares the phrases with those of the residues
    shuffled: about 1 where their order says nothing, less where something is repeated.
    `low_complexity` says that one of the two is below its bound. No row is dropped; a `filter`
    with the rule "low_complexity == false" does that.

    Parameters
    ----------
    column : str, default "sequence_aa"
        What to measure; of a pair, each chain's.
    bits_below : float, default 2.8
        Flag sequences of fewer bits a residue. No whole chain of 250,000 real ones has so few.
    ratio_below : float, default 0.85
        Flag sequences of fewer phrases than this share of the shuffled one's; none has so few.
    """

    name: ClassVar[str] = "complexity"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Compressed bits a residue, against the residues shuffled."

    column: str = "sequence_aa"
    bits_below: float = 2.8
    ratio_below: float = 0.85

    def __post_init__(self) -> None:
        for name in ("bits_below", "ratio_below"):
            if getattr(self, name) < 0:
                raise ArgumentError(complaint(name, expected=">= 0", got=getattr(self, name)))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """`upstream` with three columns for each chain."""
        require_chain_columns(self.name, upstream, self.column)
        made = [
            pa.field(name + suffix, kind)
            for suffix in self._suffixes(upstream)
            for name, kind in _MADE
        ]
        return pa.schema([*upstream, *made])

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Add the columns; null where there is no sequence."""
        schema = self.schema(batch.schema)
        counts: Counter[str] = Counter()
        made: list[pa.Array] = list(batch.columns)
        for suffix in self._suffixes(batch.schema):
            measured = complexity(batch.column(self.column + suffix))
            bits = pa.array(measured.bits, from_pandas=True)
            ratio = pa.array(measured.ratio, from_pandas=True)
            low = pc.or_(pc.less(bits, self.bits_below), pc.less(ratio, self.ratio_below))
            counts[f"low_complexity{suffix}"] += pc.sum(low).as_py() or 0
            made += [bits, ratio, low]
        return Applied(pa.record_batch(made, schema=schema), counts=dict(counts))

    def _suffixes(self, schema: pa.Schema) -> tuple[str, ...]:
        columns = chain_columns(self.column, schema.names)
        return tuple(column.removeprefix(self.column) for column in columns)
