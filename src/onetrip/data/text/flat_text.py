"""The text of a string column as one flat array of bytes, and the places where its rows begin."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class FlatText:
    """Rows of text without a loop over rows.

    Row `i` is ``bytes[offsets[i]:offsets[i + 1]]``; a null row has no bytes and is not `valid`.
    """

    bytes: np.ndarray  # [B] uint8
    offsets: np.ndarray  # [N + 1] int32
    valid: np.ndarray | None  # [N] bool, None where all are

    @classmethod
    def of(cls, column: pa.Array) -> "FlatText":
        """Look at a string column; no byte of its text is copied.

        >>> FlatText.of(pa.array(["AC", None, "D"])).lengths.tolist()
        [2, 0, 1]
        """
        if not pa.types.is_string(column.type):
            column = column.cast(pa.string())
        rows = len(column)
        _, where, data = column.buffers()
        if rows == 0 or where is None:
            return cls(np.empty(0, np.uint8), np.zeros(rows + 1, np.int32), None)
        offsets = np.frombuffer(where, np.int32, rows + 1, column.offset * 4)
        first, last = int(offsets[0]), int(offsets[-1])
        flat = (
            np.frombuffer(data, np.uint8, last - first, first)
            if last > first
            else (np.empty(0, np.uint8))
        )
        if first:
            offsets = offsets - np.int32(first)
        valid = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None
        if valid is not None and (np.diff(offsets)[~valid] != 0).any():
            # Arrow allows bytes behind a null.
            filled = cls.of(pc.fill_null(column, ""))
            return cls(filled.bytes, filled.offsets, valid)
        return cls(flat, offsets, valid)

    @property
    def lengths(self) -> np.ndarray:
        """Bytes of each row [N]; 0 where it is null."""
        return np.diff(self.offsets)

    def rows(self, places: np.ndarray) -> np.ndarray:
        """The row that each place in `bytes` belongs to."""
        return np.searchsorted(self.offsets, places, side="right") - 1

    def without(self, gone: np.ndarray) -> "FlatText":
        """The same rows without the bytes where `gone` [B] is true."""
        before = np.zeros(len(gone) + 1, np.int32)
        np.cumsum(gone, out=before[1:], dtype=np.int32)
        return FlatText(self.bytes[~gone], self.offsets - before[self.offsets], self.valid)

    def only(self, kept: np.ndarray) -> "FlatText":
        """The same rows, of which those where `kept` [N] is false have no bytes."""
        lengths = np.where(kept, self.lengths, 0)
        offsets = np.append(0, np.cumsum(lengths)).astype(np.int32)
        return FlatText(self.bytes[np.repeat(kept, self.lengths)], offsets, self.valid)

    def to_arrow(self, valid: np.ndarray | None = None) -> pa.Array:
        """A string column over these bytes; null where `valid` [N], or our own, is false."""
        valid = self.valid if valid is None else valid
        bitmap, nulls = None, 0
        if valid is not None:
            bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
            nulls = int((~valid).sum())
        return pa.StringArray.from_buffers(
            len(self.offsets) - 1,
            pa.py_buffer(np.ascontiguousarray(self.offsets)),
            pa.py_buffer(np.ascontiguousarray(self.bytes)),
            bitmap,
            nulls,
        )
