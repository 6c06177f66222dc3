"""Rows of a record batch as tensors: lists padded or packed in one gather, numbers as they lie."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import torch

from onetrip.core.errors import DataError
from onetrip.data.text.columns import plain

Layout = Literal["padded", "packed"]
Tensors = dict[str, torch.Tensor | list[str | None]]
Rows = slice | np.ndarray


class TensorRows:
    """Makes tensors of chosen rows; what all rows share is done once.

    Parameters
    ----------
    batch : RecordBatch of numbers, booleans, lists of numbers and texts.
    layout : how lists of differing lengths lie. "padded": ``name [B, L]`` int64, `L` the longest or
        `pad_to`, and ``name_lengths [B]`` int64. "packed": ``name [T]`` int64, one row behind
        the other, and ``name_offsets [B + 1]`` int32, as attention over variable lengths takes it.
        Lists of a fixed size are ``name [B, size]``, int64.
    pad_id : what fills a padded row.
    pad_to : width of a padded row.

    Raises
    ------
    DataError
        A number is missing, a type has no tensor, or (by `take`) a row is longer than `pad_to`.

    Examples
    --------
    >>> batch = pa.record_batch({"input_ids": pa.array([[5, 6], [7]], pa.list_(pa.uint16()))})
    >>> TensorRows(batch).take(slice(None))["input_ids"].tolist()
    [[5, 6], [7, 0]]
    """

    def __init__(
        self,
        batch: pa.RecordBatch,
        *,
        layout: Layout = "padded",
        pad_id: int = 0,
        pad_to: int | None = None,
    ) -> None:
        self._makers: list[Callable[[Rows], Tensors]] = []
        for name, column in zip(batch.schema.names, map(plain, batch.columns), strict=True):
            if pa.types.is_fixed_size_list(column.type):
                values = _numbers(name, column.flatten()).reshape(len(column), -1)
                maker = partial(_fixed, name, values)
            elif pa.types.is_list(column.type) and layout == "packed":
                maker = partial(_packed, name, column)
            elif pa.types.is_list(column.type):
                maker = _Padded(name, column, pad_id, pad_to)
            elif pa.types.is_string(column.type):
                maker = partial(_texts, name, column)
            else:
                maker = partial(_plain, name, _numbers(name, column))
            self._makers.append(maker)

    def take(self, rows: Rows) -> Tensors:
        """Tensors of these rows; a slice of plain numbers shares its memory with them."""
        tensors: Tensors = {}
        for make in self._makers:
            tensors |= make(rows)
        return tensors


class _Padded:
    """Lists side by side: as many values from each row's first on as the longest row has."""

    def __init__(self, name: str, column: pa.Array, pad_id: int, pad_to: int | None) -> None:
        self._name, self._pad_id, self._pad_to = name, pad_id, pad_to
        self._lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        self._starts = np.cumsum(self._lengths, dtype=np.int64) - self._lengths
        # Behind the last row lies what the widest batch may read there.
        values = _numbers(name, column.flatten())
        width = max(int(self._lengths.max(initial=0)), pad_to or 0)
        self._values = np.concatenate([values, np.zeros(width + 1, values.dtype)])

    def __call__(self, rows: Rows) -> Tensors:
        lengths = self._lengths[rows]
        width = int(lengths.max(initial=0))
        if self._pad_to is not None:
            if width > self._pad_to:
                raise DataError(
                    f"A row of `{self._name}` has {width} values, more than "
                    f"pad_to={self._pad_to}. Give a larger pad_to, or drop such rows before."
                )
            width = self._pad_to
        values, step = self._values, self._values.itemsize
        # [values, width]: what begins at each value.
        windows = np.ndarray((values.size - width, width), values.dtype, values, 0, (step, step))
        padded = windows[self._starts[rows]].astype(np.int64)
        padded[np.arange(width) >= lengths[:, None]] = self._pad_id
        return {
            self._name: torch.from_numpy(padded),
            f"{self._name}_lengths": torch.from_numpy(lengths.astype(np.int64)),
        }


def _packed(name: str, column: pa.Array, rows: Rows) -> Tensors:
    column = _take(column, rows)
    offsets = np.zeros(len(column) + 1, np.int32)
    np.cumsum(column.value_lengths().fill_null(0).to_numpy(), out=offsets[1:])
    ids = _numbers(name, column.flatten()).astype(np.int64)
    return {name: torch.from_numpy(ids), f"{name}_offsets": torch.from_numpy(offsets)}


def _fixed(name: str, values: np.ndarray, rows: Rows) -> Tensors:
    return {name: torch.from_numpy(values[rows].astype(np.int64))}


def _plain(name: str, values: np.ndarray, rows: Rows) -> Tensors:
    return {name: torch.from_numpy(values[rows])}


def _texts(name: str, column: pa.Array, rows: Rows) -> Tensors:
    return {name: _take(column, rows).to_pylist()}


def _take(column: pa.Array, rows: Rows) -> pa.Array:
    return column[rows] if isinstance(rows, slice) else column.take(pa.array(rows))


def _numbers(name: str, column: pa.Array) -> np.ndarray:
    if column.null_count:
        raise DataError(
            f"`{name}` lacks {column.null_count} values. Leave the column out of `columns`, or "
            "drop or fill these rows before."
        )
    kind = column.type
    if pa.types.is_boolean(kind):
        return column.to_numpy(zero_copy_only=False)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"`{name}` is {kind}, which has no tensor. Leave it out of `columns`.")
    # Through torch, whose view of Arrow's memory NumPy may write to.
    return torch.from_dlpack(column).numpy()
