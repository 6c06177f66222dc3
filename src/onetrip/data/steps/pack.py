"""Tokenised rows are laid into rows of one length, so that training pads next to nothing."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from onetrip.core.errors import ArgumentError, complaint
from onetrip.data.step import Applied, BatchStep
from onetrip.data.steps.split import SPLITS
from onetrip.data.text.columns import plain, require_columns
from onetrip.data.text.residues import PAD


@dataclass(frozen=True)
class Pack(BatchStep):
    """Fill rows of `length` tokens with whole documents, in order, each row of one split.

    A document is never cut. `document_ids` says which tokens belong together: 1, 2, … within a
    row, 0 where it is padded; attention must not cross them. Rows without tokens and those longer
    than `length` are dropped under a rule of their own. Only `split` is kept of the other columns.

    Parameters
    ----------
    length : tokens of a packed row.
    """

    length: int = 512

    name: ClassVar[str] = "pack"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "whole documents into rows of one length, with their boundaries"
    reads: ClassVar[tuple[str, ...]] = ("input_ids",)

    def __post_init__(self) -> None:
        """Refuse a length that nothing fits."""
        if not 1 <= self.length <= np.iinfo(np.uint16).max:
            raise ArgumentError(complaint("length", expected="1 to 65,535", got=self.length))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """`input_ids` and `document_ids` of fixed size, `n_documents`, and `split` if there."""
        require_columns(self.name, upstream, *self.reads)
        fields = [
            pa.field("input_ids", pa.list_(pa.uint16(), self.length)),
            pa.field("document_ids", pa.list_(pa.uint16(), self.length)),
            pa.field("n_documents", pa.uint16()),
        ]
        if "split" in upstream.names:
            fields.append(pa.field("split", pa.dictionary(pa.int8(), pa.string())))
        return pa.schema(fields)

    def apply(self, batch: pa.RecordBatch) -> Applied:
        """Pack one batch; the last row of each split is padded."""
        lists = batch["input_ids"]
        length = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        split = _split_codes(batch)
        # Documents of one split lie together, in the order in which they came.
        documents = np.flatnonzero((length > 0) & (length <= self.length))
        documents = documents[np.argsort(split[documents], kind="stable")]
        ids = lists.take(pa.array(documents)).flatten().to_numpy(zero_copy_only=False)
        starts = _row_starts(length[documents], split[documents], self.length)

        out = self._lay(ids, length[documents], starts)
        if "split" in batch.schema.names:
            codes = pa.array(split[documents][starts])
            column = pa.DictionaryArray.from_arrays(codes, pa.array(SPLITS))
            out = out.append_column("split", column)
        dropped = {
            "no_tokens": int((length == 0).sum()),
            "longer_than_a_row": int((length > self.length).sum()),
            "packed_with_others": len(documents) - len(starts),
        }
        return Applied(out, dropped={rule: count for rule, count in dropped.items() if count})

    def _lay(self, ids: np.ndarray, lengths: np.ndarray, starts: np.ndarray) -> pa.RecordBatch:
        """Rows that begin with the documents `starts`."""
        per_row = np.diff(starts, append=len(lengths))
        in_row = np.arange(len(lengths)) - np.repeat(starts, per_row)
        # A row is filled from its left without gaps.
        filled = np.add.reduceat(lengths, starts) if len(starts) else starts
        taken = np.arange(self.length) < filled[:, None]
        packed = np.full(taken.shape, PAD, np.uint16)
        packed[taken] = ids
        belongs = np.zeros(taken.shape, np.uint16)
        belongs[taken] = np.repeat((in_row + 1).astype(np.uint16), lengths)
        columns = {"input_ids": packed, "document_ids": belongs}
        lists = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), self.length)
            for name, values in columns.items()
        }
        return pa.record_batch({**lists, "n_documents": pa.array(per_row.astype(np.uint16))})


def _split_codes(batch: pa.RecordBatch) -> np.ndarray:
    if "split" not in batch.schema.names:
        return np.zeros(batch.num_rows, np.int8)
    text = plain(batch["split"]).to_numpy(zero_copy_only=False)
    return np.select([text == name for name in SPLITS[1:]], [1, 2], 0).astype(np.int8)


def _row_starts(lengths: np.ndarray, split: np.ndarray, room: int) -> np.ndarray:
    """First document of each row: the first that no longer fits, or is of another split."""
    end = np.cumsum(lengths)
    # For a row that begins with document i, the document that begins the next one.
    after = np.searchsorted(end, end - lengths + room, side="right")
    after = np.minimum(after, np.searchsorted(split, split, side="right")).tolist()
    starts, document = [], 0
    while document < len(after):
        starts.append(document)
        document = after[document]
    return np.array(starts, np.int64)
