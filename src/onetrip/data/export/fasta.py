"""Sequences as FASTA, whole batches at a time."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import DataError
from onetrip.data.store.aside import AsideFile
from onetrip.data.store.shards import Shard
from onetrip.data.text.columns import CHAINS, plain
from onetrip.data.text.flat_text import FlatText

# What a record is made of: its name, and the sequence of each chain that there is.
FASTA_COLUMNS = (
    "unit_id",
    "row_in_unit",
    "sequence_aa",
    *(f"sequence_aa{chain}" for chain in CHAINS),
)


class FastaWriter:
    """Writes one ``.fasta``: ``>unit|row`` and the sequence; of a pair ``>unit|row|heavy``.

    Blanks and ``|`` in a unit's name become ``_``: whatever reads the name up to the first blank
    gets all of it. A chain without a sequence has no record.
    """

    def __init__(self, folder: Path, stem: str, schema: pa.Schema) -> None:
        self._sequences = [name for name in FASTA_COLUMNS[2:] if name in schema.names]
        if not self._sequences or not {"unit_id", "row_in_unit"} <= set(schema.names):
            raise DataError(
                "FASTA needs the columns unit_id, row_in_unit and sequence_aa (or one of each "
                f"chain); there are {', '.join(schema.names)}."
            )
        self._file = AsideFile(folder / f"{stem}.fasta")
        self._rows = 0
        self.closed_shards: list[Shard] = []

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the records of a batch."""
        unit = pc.replace_substring_regex(plain(batch["unit_id"]), r"[\s|>]", "_")
        name = pc.binary_join_element_wise(unit, batch["row_in_unit"].cast(pa.string()), "|")
        records = []
        for column in self._sequences:
            chain = column.removeprefix("sequence_aa").replace("_", "|")
            sequence = plain(batch[column])
            records.append(pc.binary_join_element_wise(">", name, chain, "\n", sequence, "\n", ""))
        text = pc.binary_join_element_wise(
            *records, "", null_handling="replace", null_replacement=""
        )
        self._file.write(FlatText.of(text).bytes)
        self._rows += batch.num_rows

    def end_shard(self) -> None:
        """Publish the file."""
        written = self._file.publish()
        self.closed_shards.append(Shard(written.name, self._rows, written.bytes, written.sha256, 0))

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.discard()
