"""Sequences become numbers, one for each residue."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onetrip.core.errors import DataError
from onetrip.data.step import Applied, BatchStep
from onetrip.data.text.columns import (
    any_null,
    chain_columns,
    plain,
    require_chain_columns,
    with_column,
    with_field,
)
from onetrip.data.text.flat_text import FlatText
from onetrip.data.text.residues import CLS, RESIDUES, SEP, UNKNOWN_RESIDUE, VOCABULARY

# Bytes that no sequence has stand for the specials until all bytes become ids at once.
_CLS_BYTE, _SEP_BYTE = "\x01", "\x02"
_MOST_TOKENS = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Tokenise(BatchStep):
    """One id for each residue: ``<cls> E V Q … <sep>``, a pair ``<cls> heavy <sep> light <sep>``.

    The vocabulary is `onetrip.data.text.residues.VOCABULARY`: five specials, then twenty residues
    and X by letter. X stands for every other letter; small letters are read as large ones. A row
    without a sequence becomes an empty list, and is counted.

    Parameters
    ----------
    specials : put <cls> before a row, and <sep> behind each of its chains.
    """

    specials: bool = True

    name: ClassVar[str] = "tokenise"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "residues to ids, with a mark at the start and behind each chain"

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """Upstream's columns, `input_ids` and `n_tokens`."""
        require_chain_columns(self.name, upstream, "sequence_aa")
        return token_fields(upstream)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Turn the bytes of all rows into ids by one look-up."""
        columns = chain_columns("sequence_aa", batch.schema.names)
        pieces: list[pa.Array | pa.Scalar] = [pa.scalar(_CLS_BYTE)] if self.specials else []
        for name in columns:
            pieces.append(plain(batch[name]))
            if self.specials:
                pieces.append(pa.scalar(_SEP_BYTE))
        glue = pa.scalar("")
        # A missing chain makes the whole row missing.
        flat = FlatText.of(pc.call_function("binary_join_element_wise", [*pieces, glue]))
        out = with_tokens(batch, flat.offsets, np.take(_IDS, flat.bytes))
        missing = int(any_null(batch, columns).sum())
        return Applied(out, counts={"no_sequence": missing} if missing else {})


def token_fields(schema: pa.Schema) -> pa.Schema:
    """The schema with `input_ids` and `n_tokens`."""
    schema = with_field(schema, "input_ids", pa.list_(pa.uint16()))
    return with_field(schema, "n_tokens", pa.uint16())


def with_tokens(batch: pa.RecordBatch, offsets: np.ndarray, ids: np.ndarray) -> pa.RecordBatch:
    """The batch with its tokens: row i has ``ids[offsets[i]:offsets[i + 1]]``."""
    lengths = np.diff(offsets)
    if lengths.size and lengths.max() > _MOST_TOKENS:
        raise DataError(
            f"A row has {lengths.max()} tokens, more than the {_MOST_TOKENS} that `n_tokens` can "
            "count. Drop such rows in an earlier step."
        )
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(ids, pa.uint16()))
    batch = with_column(batch, "input_ids", lists)
    return with_column(batch, "n_tokens", pa.array(lengths.astype(np.uint16)))


def _ids_of_bytes() -> np.ndarray:
    ids = np.full(256, VOCABULARY.index(UNKNOWN_RESIDUE), np.uint16)
    for residue in RESIDUES:
        ids[[ord(residue), ord(residue.lower())]] = VOCABULARY.index(residue)
    ids[[ord(_CLS_BYTE), ord(_SEP_BYTE)]] = CLS, SEP
    return ids


_IDS = _ids_of_bytes()
