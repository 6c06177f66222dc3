"""derive: what later steps want to know of a chain, each value from the columns that hold it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.step import Applied, BatchStep
from onetrip.data.steps.antibody.chains import suffixes
from onetrip.data.text.columns import group_codes
from onetrip.data.text.flat_text import FlatText
from onetrip.data.text.hashing import hash_strings

_CDRS = ("cdr1", "cdr2", "cdr3")
_ALIGNED = ("v_sequence_alignment_aa", "v_germline_alignment_aa")
_OF_CHAIN: Mapping[str, pa.DataType] = {
    "v_family": pa.string(),
    "v_gene": pa.string(),
    "j_gene": pa.string(),
    "j_family": pa.string(),
    **{f"{cdr}_length": pa.uint16() for cdr in _CDRS},
    "v_mutations": pa.uint16(),
    "full_length": pa.bool_(),
    "hash128": pa.binary(16),
}
_NEEDED = (
    *("v_call", "j_call", "fwr1_aa", "fwr4_aa", "sequence_aa"),
    *(f"{cdr}_aa" for cdr in _CDRS),
    *_ALIGNED,
)
_IS_RESIDUE = np.zeros(256, bool)
_IS_RESIDUE[np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)] = True


@dataclass(frozen=True)
class Derive(BatchStep):
    """Add gene families, CDR lengths, mutations, donor, completeness and a hash of the sequence.

    Of a call with ties the first counts. A mutation is a residue of V that differs from the
    germline's in the alignment; where lengths differ or one is missing, the number is null. A
    donor is author and subject; where one is missing, all rows of a unit are one donor, under a
    name made of a hash of the unit's.

    Parameters
    ----------
    fwr1_length : int, default 20
        Residues of FWR1 that a full-length chain has at least.
    fwr4_length : int, default 10
        The same of FWR4.
    """

    name: ClassVar[str] = "derive"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Gene families, CDR lengths, mutations, donor, completeness, hash."

    fwr1_length: int = 20
    fwr4_length: int = 10

    def __post_init__(self) -> None:
        for name in ("fwr1_length", "fwr4_length"):
            if getattr(self, name) < 0:
                raise ArgumentError(complaint(name, expected=">= 0", got=getattr(self, name)))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """`upstream` with eleven columns a chain, and `donor_id`."""
        fields = list(upstream)
        for suffix in suffixes(upstream, _NEEDED):
            fields += [pa.field(name + suffix, kind) for name, kind in _OF_CHAIN.items()]
        return pa.schema([*fields, pa.field("donor_id", pa.string())])

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Add the columns; every row stays."""
        schema = self.schema(batch.schema)
        made = dict(zip(batch.schema.names, batch.columns, strict=True))
        for suffix in suffixes(batch.schema, _NEEDED):
            of_chain = {name: made[name + suffix] for name in _NEEDED}
            derived = self._of_chain(of_chain)
            made.update({name + suffix: values for name, values in derived.items()})
        made["donor_id"] = donors(
            *(made.get(name) for name in ("meta_author", "meta_subject", "unit_id")),
            rows=batch.num_rows,
        )
        return Applied(pa.record_batch([made[name] for name in schema.names], schema=schema))

    def _of_chain(self, columns: Mapping[str, pa.Array]) -> Mapping[str, pa.Array]:
        v_gene, v_family = genes(columns["v_call"])
        j_gene, j_family = genes(columns["j_call"])
        lengths = {f"{cdr}_length": _length(columns[f"{cdr}_aa"]) for cdr in _CDRS}
        full = pc.and_(
            _at_least(columns["fwr1_aa"], self.fwr1_length),
            _at_least(columns["fwr4_aa"], self.fwr4_length),
        )
        return {
            "v_family": v_family,
            "v_gene": v_gene,
            "j_gene": j_gene,
            "j_family": j_family,
            **lengths,
            "v_mutations": mutations(*(columns[name] for name in _ALIGNED)),
            "full_length": full,
            "hash128": hash128(columns["sequence_aa"]),
        }


def genes(calls: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Gene and family of each call: of ties the first, without allele; and without its number.

    >>> import pyarrow as pa
    >>> gene, family = genes(pa.array(["IGHV3-23*01,IGHV3-23D*01", "IGKV1D-12*01", None]))
    >>> gene.to_pylist(), family.to_pylist()
    (['IGHV3-23', 'IGKV1D-12', None], ['IGHV3', 'IGKV1', None])
    """
    encoded = calls if pa.types.is_dictionary(calls.type) else calls.dictionary_encode()
    first = pc.replace_substring_regex(encoded.dictionary, r"[,*].*$", "")
    gene = pc.utf8_trim_whitespace(first)
    # IGKV1D-12 is of the family IGKV1: D marks the copy that lies far away.
    family = pc.replace_substring_regex(gene, r"D?[-/].*$", "")
    return gene.take(encoded.indices), family.take(encoded.indices)


def mutations(aligned: pa.Array, germline: pa.Array) -> pa.Array:
    """How many residues differ, row by row; null where lengths differ or one is missing.

    Gaps, X and stops count for nothing.

    >>> import pyarrow as pa
    >>> mutations(pa.array(["QVX-L", "QV", None]), pa.array(["QLQQL", "QVQ", "Q"])).to_pylist()
    [1, None, None]
    """
    ours, theirs = FlatText.of(aligned), FlatText.of(germline)
    comparable = (ours.lengths == theirs.lengths) & (ours.lengths > 0)
    if not comparable.all():
        ours, theirs = ours.only(comparable), theirs.only(comparable)
    places = np.flatnonzero(ours.bytes != theirs.bytes)
    places = places[_IS_RESIDUE[ours.bytes[places]] & _IS_RESIDUE[theirs.bytes[places]]]
    found = np.bincount(ours.rows(places), minlength=len(aligned)).astype(np.uint16)
    return pa.array(found, mask=~comparable)


def donors(
    author: pa.Array | None, subject: pa.Array | None, unit_id: pa.Array | None, *, rows: int
) -> pa.Array:
    """Name of each row's donor: "author|subject", or one made of the unit where one is missing.

    >>> import pyarrow as pa
    >>> units = pa.array(["a.csv.gz", "b.csv.gz"])
    >>> donors(pa.array(["Li"] * 2), pa.array(["P1", None]), units, rows=2).to_pylist()
    ['Li|P1', 'Li|unit-f707d6326e62ed2b']
    """
    columns = [
        pa.nulls(rows, pa.string()) if column is None else column.cast(pa.string())
        for column in (author, subject, unit_id)
    ]
    codes, count = group_codes(columns)
    first = np.full(count, rows, np.int64)
    np.minimum.at(first, codes, np.arange(rows))
    names = [_donor(*(column[int(row)].as_py() for column in columns)) for row in first]
    return pa.array(names, pa.string()).take(pa.array(codes))


def _donor(author: str | None, subject: str | None, unit: str | None) -> str:
    if author and subject:
        return f"{author}|{subject}"
    digest = hashlib.blake2b((unit or "").encode(), digest_size=8).hexdigest()
    return f"{author or ''}|unit-{digest}"


def hash128(sequences: pa.Array) -> pa.Array:
    """Sixteen bytes for each sequence, the same on every machine; null of null.

    Two independent 64-bit hashes: among the 2.4·10⁹ sequences of all of OAS two that agree by
    chance are expected with a probability of 10⁻²⁰.
    """
    halves = np.stack([hash_strings(sequences, seed) for seed in (0, 1)], axis=1)
    flat = pa.py_buffer(np.ascontiguousarray(halves.astype("<u8")))
    hashes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(sequences), [None, flat])
    return pc.if_else(pc.is_valid(sequences), hashes, None) if sequences.null_count else hashes


def _length(column: pa.Array) -> pa.Array:
    """Residues of a region, null where the region is."""
    return pc.cast(pc.binary_length(column), pa.uint16(), safe=False)


def _at_least(column: pa.Array, residues: int) -> pa.Array:
    """Whether a region is that long; no where it is missing."""
    return pc.fill_null(pc.greater_equal(pc.binary_length(column), residues), False)
