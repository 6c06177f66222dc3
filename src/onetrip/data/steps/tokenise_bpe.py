"""Sequences become numbers by a byte-pair vocabulary that was learnt before."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from onetrip.core.errors import DataError, require
from onetrip.data.step import Applied, BatchStep
from onetrip.data.steps.tokenise import token_fields, with_tokens
from onetrip.data.steps.train_tokeniser import ARTIFACT
from onetrip.data.text.columns import any_null, chain_columns, require_chain_columns
from onetrip.data.text.region_text import chain_texts


@dataclass(frozen=True)
class TokeniseBpe(BatchStep):
    """Ids by the ``tokenizer.json`` that `train_tokeniser` learnt.

    Rows become ``<cls> … <sep>``, pairs ``<cls> heavy <sep> light <sep>``; regions are kept apart
    where the tokeniser was trained so. A row without a sequence becomes an empty list, and is
    counted.
    """

    name: ClassVar[str] = "tokenise_bpe"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "residues to ids of a learnt byte-pair vocabulary"
    wants: ClassVar[tuple[str, ...]] = (ARTIFACT,)

    # A `tokenizers.Tokenizer`, set by `bind` alone: no parameter of the step.
    _tokeniser: ClassVar[Any] = None

    def bind(self, artifacts: Mapping[str, bytes]) -> "TokeniseBpe":
        """The step with its tokeniser."""
        tokenizers = require("tokenizers", extra="data", purpose="Tokenising by byte pairs")
        bound = replace(self)
        made = tokenizers.Tokenizer.from_str(artifacts[ARTIFACT].decode())
        object.__setattr__(bound, "_tokeniser", made)
        return bound

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """Upstream's columns, `input_ids` and `n_tokens`."""
        require_chain_columns(self.name, upstream, "sequence_aa")
        return token_fields(upstream)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Encode all rows of a batch at once."""
        if self._tokeniser is None:
            raise DataError(f"Step `{self.name}` has no {ARTIFACT}: bind it before it runs.")
        texts = chain_texts(batch, regions=self._tokeniser.pre_tokenizer is not None)
        columns = chain_columns("sequence_aa", batch.schema.names)
        absent = any_null(batch, columns)
        rows = [text.take(pa.array(np.flatnonzero(~absent))).to_pylist() for text in texts]
        inputs = rows[0] if len(rows) == 1 else list(zip(*rows, strict=True))
        ids = [encoding.ids for encoding in self._tokeniser.encode_batch_fast(inputs)]

        lengths = np.zeros(batch.num_rows, np.int32)
        lengths[~absent] = [len(row) for row in ids]
        offsets = np.zeros(batch.num_rows + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        flat = np.fromiter(chain.from_iterable(ids), np.uint16, offsets[-1])
        out = with_tokens(batch, offsets, flat)
        missing = int(absent.sum())
        return Applied(out, counts={"no_sequence": missing} if missing else {})
