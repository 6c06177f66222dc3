"""parse_anarci: what the numbering tool remarked of a chain, as flags; its numbering on request."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.data.step import Applied, BatchStep
from onetrip.data.steps.antibody.chains import suffixes
from onetrip.data.steps.antibody.numbering import LABELS, read_numbering
from onetrip.data.steps.antibody.status import FLAGS, parse_statuses

_POSITIONS = pa.list_(pa.string())


@dataclass(frozen=True)
class ParseAnarci(BatchStep):
    """Read ANARCI's status into flags, and on request its numbering into positions.

    Deletions are normal (positions 10 and 73 are missing from most human heavy chains): a flag is
    a remark, not a verdict. A clause that is not known is kept in `anarci_unknown` and counted by
    its text without digits (R09). A numbering that cannot be read gives null and is counted (R08).

    Parameters
    ----------
    positions : bool, default False
        Add `imgt_positions` (list of "1", "111A", …) and `imgt_residues` (the residues that stand
        there, one letter each, in IMGT order).
    keep_text : bool, default False
        Keep `anarci_numbering` and `anarci_status`; the numbering is two thirds of a row's bytes.
    """

    name: ClassVar[str] = "parse_anarci"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "ANARCI's remarks as flags, its numbering as IMGT positions."

    positions: bool = False
    keep_text: bool = False

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """`upstream` with seven flags and `anarci_unknown` for each chain."""
        needed = ["anarci_status", *(["anarci_numbering"] if self.positions else [])]
        fields = list(upstream)
        for suffix in suffixes(upstream, needed):
            fields += [pa.field(flag + suffix, pa.bool_()) for flag in FLAGS]
            fields.append(pa.field(f"anarci_unknown{suffix}", pa.string()))
            if self.positions:
                fields.append(pa.field(f"imgt_positions{suffix}", _POSITIONS))
                fields.append(pa.field(f"imgt_residues{suffix}", pa.string()))
        if not self.keep_text:
            texts = ("anarci_status", "anarci_numbering")
            fields = [f for f in fields if not f.name.startswith(texts)]
        return pa.schema(fields)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Add the columns; every row stays."""
        schema = self.schema(batch.schema)
        made = dict(zip(batch.schema.names, batch.columns, strict=True))
        counts: Counter[str] = Counter()
        for suffix in suffixes(batch.schema, ["anarci_status"]):
            flags = _flags(made[f"anarci_status{suffix}"], suffix, counts)
            made.update({name + suffix: values for name, values in flags.items()})
            if self.positions:
                numbered = _positions(made[f"anarci_numbering{suffix}"], suffix, counts)
                made.update({name + suffix: values for name, values in numbered.items()})
        out = pa.record_batch([made[name] for name in schema.names], schema=schema)
        return Applied(out, counts=dict(counts))


def _flags(status: pa.Array, suffix: str, counts: Counter[str]) -> Mapping[str, pa.Array]:
    """Each distinct status is read once; a flag is null where there is no status."""
    encoded = status if pa.types.is_dictionary(status.type) else status.dictionary_encode()
    parsed = parse_statuses(encoded.dictionary)
    made: dict[str, pa.Array] = {
        flag: pa.array([flag in one.flags for one in parsed], pa.bool_()).take(encoded.indices)
        for flag in FLAGS
    }
    unknown = [one.unknown for one in parsed]
    made["anarci_unknown"] = pa.array(unknown, pa.string()).take(encoded.indices)
    if any(unknown):
        indices = encoded.indices.drop_null().to_numpy()
        times = np.bincount(indices, minlength=len(parsed))
        for text, seen in zip(unknown, times.tolist(), strict=True):
            if text:
                counts[f"anarci_status{suffix}:R09:{_without_digits(text)}"] += seen
    return made


def _without_digits(text: str) -> str:
    """One name for the clauses that differ in positions only; short, since it names a count."""
    return "".join("#" if character.isdigit() else character for character in text)[:80]


def _positions(numbering: pa.Array, suffix: str, counts: Counter[str]) -> Mapping[str, pa.Array]:
    numbered = read_numbering(numbering)
    labels = pa.array(LABELS).take(pa.array(numbered.codes))
    bitmap = pa.py_buffer(np.packbits(numbered.readable, bitorder="little"))
    nulls = int((~numbered.readable).sum())
    offsets = pa.py_buffer(numbered.offsets)
    residues = pa.py_buffer(np.ascontiguousarray(numbered.residues))
    unreadable = int(pc.sum(numbering.is_valid()).as_py() or 0) - int(numbered.readable.sum())
    if unreadable:
        counts[f"anarci_numbering{suffix}:R08"] += unreadable
    rows = len(numbering)
    return {
        "imgt_positions": pa.Array.from_buffers(
            _POSITIONS, rows, [bitmap, offsets], nulls, children=[labels]
        ),
        "imgt_residues": pa.StringArray.from_buffers(rows, offsets, residues, bitmap, nulls),
    }
