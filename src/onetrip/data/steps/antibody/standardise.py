"""standardise: from the text of a unit to names, types and words that later steps know."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import DataError, complaint
from onetrip.data.reject import RAW_BYTES, Reject
from onetrip.data.step import Applied, BatchStep
from onetrip.data.steps.antibody.casts import CASTS, NOT_ALLOWED, Cast
from onetrip.data.steps.antibody.chains import split_suffix, suffixes
from onetrip.data.steps.antibody.columns import column as column_named
from onetrip.data.steps.antibody.regions import fwr4_behind_cdr3, not_their_regions
from onetrip.data.steps.antibody.vocabulary import LOCI_OF_CHAIN, is_known, mend

_EXPECTED = {
    "flag": "T or F",
    "locus": "H, K or L, and the one of its chain",
    "number": "a finite number",
    "count": "a whole number from 0 to 65535",
    "copies": "a whole number of at least 1",
    "residues": "a sequence of amino acids",
}


@dataclass(frozen=True)
class Standardise(BatchStep):
    """Give columns one name, one type and one spelling, whatever vintage their unit has.

    Text stays what it is; "" is null. Whole numbers are read where they are written 33.0. Of the
    metadata, every spelling of nothing is null, and known words have one spelling. A pair is one
    row: what is wrong with one of its chains sets the pair aside. Where a pair has no FWR4, as none
    of 2021 has, it is what stands behind CDR3 in the sequence.

    Parameters
    ----------
    required : tuple of str, default ("sequence_aa", "locus", "redundancy", "productive")
        A wrong value of these columns, named without a chain's suffix, sets its row aside (R05,
        R06, R07). A wrong value of another column becomes null and is counted.
    """

    name: ClassVar[str] = "standardise"
    version: ClassVar[int] = 2
    summary: ClassVar[str] = "One name, one type and one spelling for what vintages spell apart."

    required: tuple[str, ...] = ("sequence_aa", "locus", "redundancy", "productive")

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """Columns of `upstream` under our names, and `redundancy` where it has none."""
        chains = suffixes(upstream, ["sequence_alignment_aa"])
        fields = []
        for arrived in upstream:
            name, kind = _named(arrived)
            made = {"metadata": pa.string(), "as_is": arrived.type}
            fields.append(pa.field(name, made[kind] if kind in made else CASTS[kind][1]))
        names = [field.name for field in fields]
        absent = [f"redundancy{suffix}" for suffix in chains if f"redundancy{suffix}" not in names]
        fields += [pa.field(name, pa.uint32()) for name in absent]
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise DataError(
                complaint(
                    "columns",
                    expected="such whose names differ by more than their case",
                    got=f"two for each of {twice}",
                )
            )
        return pa.schema(fields)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Cast every column; set aside the rows whose required values are wrong."""
        schema = self.schema(batch.schema)
        counts: Counter[str] = Counter()
        wrong = _Wrong(batch)
        made: dict[str, pa.Array] = {}
        for arrived in batch.schema:
            name, kind = _named(arrived)
            values = batch.column(arrived.name)
            if kind == "metadata":
                made[name] = _metadata(name, values, counts)
            elif kind == "as_is":
                made[name] = values
            else:
                cast = CASTS[kind][0](values)
                made[name] = cast.values
                if split_suffix(name)[0] in self.required:
                    wrong.add(arrived.name, kind, cast.faults)
                    if kind == "residues":
                        missing = pc.is_null(cast.values).to_numpy(zero_copy_only=False)
                        wrong.add(arrived.name, kind, {NOT_ALLOWED: missing})
                else:
                    counts.update(_counted(name, cast))
        for suffix in suffixes(batch.schema, ["sequence_alignment_aa"]):
            if "locus" in self.required and f"locus{suffix}" in made:
                faults = {NOT_ALLOWED: _of_another_chain(made, suffix)}
                wrong.add(wrong.original(f"locus{suffix}"), "locus", faults)
            fwr4 = fwr4_behind_cdr3(made, suffix) if suffix else None
            if fwr4 is not None:
                name = f"fwr4_aa{suffix}"
                counts[f"{name}:from_sequence"] += made[name].null_count - fwr4.null_count
                made[name] = fwr4
            if elsewhere := not_their_regions(made, suffix):
                counts[f"sequence_aa{suffix}:R10"] += elsewhere
        for name in schema.names:
            if name not in made:
                made[name] = pa.repeat(pa.scalar(1, pa.uint32()), batch.num_rows)
        out = pa.record_batch([made[name] for name in schema.names], schema=schema)
        if wrong.rows.any():
            out = out.filter(pa.array(~wrong.rows))
        return Applied(out, wrong.rejects(), counts=dict(counts))


class _Wrong:
    """The rows to set aside, each with the first thing that was found wrong with it."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._found: list[tuple[np.ndarray, str, str, str]] = []
        self.rows = np.zeros(batch.num_rows, bool)

    def original(self, name: str) -> str:
        """The arrived column that is called `name` now."""
        return next(f.name for f in self._batch.schema if _named(f)[0] == name)

    def add(self, column: str, kind: str, faults: Mapping[str, np.ndarray]) -> None:
        """Take the rows of `faults` that have no fault yet."""
        for code, mask in faults.items():
            new = np.flatnonzero(mask & ~self.rows)
            if new.size:
                self.rows[new] = True
                self._found.append((new, code, column, _EXPECTED[kind]))

    def rejects(self) -> tuple[Reject, ...]:
        """One for each row, in the order of the rows."""
        ordered = sorted(
            (int(row), code, column, expected)
            for rows, code, column, expected in self._found
            for row in rows
        )
        return tuple(self._reject(*one) for one in ordered)

    def _reject(self, row: int, code: str, column: str, expected: str) -> Reject:
        values = {
            name: value.as_py()
            for name, value in zip(
                self._batch.schema.names, (c[row] for c in self._batch.columns), strict=True
            )
            if value.is_valid
        }
        got = repr(values.get(column, ""))
        return Reject(
            unit_id=str(values.get("unit_id", "")),
            line=int(values.get("row_in_unit", row + 1)),
            code=code,
            column=column,
            message=complaint(column, expected=expected, got=got[:200]),
            raw=json.dumps(values, ensure_ascii=False, default=str)[: RAW_BYTES // 4],
        )


def _named(arrived: pa.Field) -> tuple[str, str]:
    """Our name of a column, with its suffix, and its kind."""
    if not (pa.types.is_string(arrived.type) or pa.types.is_dictionary(arrived.type)):
        return arrived.name, "as_is"
    if arrived.name == "unit_id":
        return arrived.name, "as_is"
    base, suffix = split_suffix(arrived.name)
    known = column_named(base)
    return known.name + suffix, known.kind


def _metadata(name: str, values: pa.Array, counts: Counter[str]) -> pa.Array:
    """Mend the few words that a column has, not its many rows."""
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    mended = pa.array([mend(name, word) for word in words], pa.string())
    unknown = [place for place, word in enumerate(mended.to_pylist()) if not is_known(name, word)]
    if unknown:
        rows = pc.is_in(encoded.indices, value_set=pa.array(unknown, encoded.indices.type))
        counts[f"{name}:unknown_word"] += int(pc.sum(rows).as_py() or 0)
    return mended.take(encoded.indices)


def _counted(name: str, cast: Cast) -> dict[str, int]:
    return {f"{name}:{code}": int(mask.sum()) for code, mask in cast.faults.items()}


def _of_another_chain(made: Mapping[str, pa.Array], suffix: str) -> np.ndarray:
    """Rows whose locus cannot be that of the chain that metadata or suffix name."""
    locus = made[f"locus{suffix}"]
    mismatch = np.zeros(len(locus), bool)
    for chain, loci in LOCI_OF_CHAIN.items():
        if chain.startswith("_"):
            if chain != suffix:
                continue
            of_chain = locus.is_valid()
        elif suffix or "meta_chain" not in made:
            continue
        else:
            of_chain = pc.equal(made["meta_chain"], chain)
            if not pc.any(of_chain).as_py():
                continue
        allowed = pc.is_in(locus, value_set=pa.array(sorted(loci)))
        wrong = pc.and_(pc.and_(of_chain, locus.is_valid()), pc.invert(allowed))
        mismatch |= pc.fill_null(wrong, False).to_numpy(zero_copy_only=False)
    return mismatch
