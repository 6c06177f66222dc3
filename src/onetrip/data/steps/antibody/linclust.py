"""Clones that look alike are joined: MMseqs2 finds what one CDR3 apart hides."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.core.units import bytes_text
from onetrip.data.step import Applied, Context, DatasetStep, Stream
from onetrip.data.text.columns import (
    chain_columns,
    plain,
    require_chain_columns,
    require_columns,
    with_column,
)
from onetrip.data.text.components import components
from onetrip.data.text.flat_text import FlatText
from onetrip.data.text.mmseqs import find_mmseqs, linclust

# Numbers of clusters, members and components of a row while they are joined.
_BYTES_PER_ROW = 64


@dataclass(frozen=True)
class Linclust(DatasetStep):
    """Join clusters that hold similar sequences, so that no split parts them.

    MMseqs2's linclust compares whole sequences (of a pair, heavy and light in one); where it puts
    rows of two `cluster_id` together, both become the smaller number. It misses some pairs: with 80
    k-mers of each sequence 4 to 7 % of those with 1 to 3 exchanged residues; `leakage_report`
    tells what is left. The program must be on PATH.

    Parameters
    ----------
    identity : of the aligned part, 0 to 1.
    coverage : share of a member of the cluster that is aligned to its representative.
    kmers : k-mers of each sequence that find candidates.
    threads : of MMseqs2.
    program : name or path of MMseqs2.
    """

    identity: float = 0.95
    coverage: float = 0.9
    kmers: int = 80
    threads: int = 2
    program: str = "mmseqs"

    name: ClassVar[str] = "linclust"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "join clusters of similar sequences, by MMseqs2"
    reads: ClassVar[tuple[str, ...]] = ("cluster_id",)

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        for name in ("identity", "coverage"):
            if not 0 < (value := getattr(self, name)) <= 1:
                raise ArgumentError(complaint(name, expected="above 0, up to 1", got=value))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """What comes in goes out; `cluster_id` has other values."""
        require_columns(self.name, upstream, *self.reads)
        require_chain_columns(self.name, upstream, "sequence_aa")
        find_mmseqs(self.program)
        return upstream

    def run(self, stream: Stream, context: Context) -> Iterator[Applied]:
        """Write FASTA, cluster, join, and pass every row with its new number."""
        needed = stream.rows * _BYTES_PER_ROW
        if needed > context.memory_bytes:
            raise DataError(
                f"Joining the clusters of {stream.rows:,} rows takes {bytes_text(needed)}, of "
                f"{bytes_text(context.memory_bytes)} that this task has. Give more --memory, or "
                "leave `linclust` out."
            )
        numbers = self._joined(stream, context)
        start = 0
        for batch in stream.batches():
            new = numbers[start : start + batch.num_rows]
            start += batch.num_rows
            old = batch["cluster_id"].to_numpy(zero_copy_only=False)
            changed = int((new != old).sum())
            out = with_column(batch, "cluster_id", pa.array(new))
            yield Applied(out, counts={"rows_joined": changed} if changed else {})

    def _joined(self, stream: Stream, context: Context) -> np.ndarray:
        """The new cluster of each row [N] uint64."""
        fasta = context.scratch / "rows.fasta"
        old = _write_fasta(stream, fasta)
        if not old.size:
            return old
        representative, member = linclust(
            self.program,
            fasta,
            context.scratch,
            identity=self.identity,
            coverage=self.coverage,
            kmers=self.kmers,
            memory_bytes=context.memory_bytes,
            threads=self.threads,
        )
        distinct, cluster = np.unique(old, return_inverse=True)
        # Numbers are sorted: the smallest index has the smallest number.
        label = components(distinct.size, cluster[representative], cluster[member])
        return distinct[label][cluster]


def _write_fasta(stream: Stream, path: Path) -> np.ndarray:
    """Records named by the number of the row; the cluster of each row."""
    numbers: list[np.ndarray] = []
    rows = 0
    with path.open("wb") as file:
        for batch in stream.batches():
            columns = chain_columns("sequence_aa", batch.schema.names)
            sequence = pc.binary_join_element_wise(*(plain(batch[name]) for name in columns), "")
            name = pa.array(np.arange(rows, rows + batch.num_rows)).cast(pa.string())
            text = pc.binary_join_element_wise(">", name, "\n", sequence, "\n", "")
            # A row without a sequence has no record, and stays where it is.
            file.write(FlatText.of(text).bytes.data)
            numbers.append(batch["cluster_id"].to_numpy(zero_copy_only=False))
            rows += batch.num_rows
    return np.concatenate(numbers) if numbers else np.empty(0, np.uint64)
