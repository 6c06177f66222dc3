"""Record batches as tensors: numbers without a copy, lists padded or packed."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa
import torch

from onetrip.core.errors import DataError
from onetrip.data.columns import plain

Layout = Literal["padded", "packed"]
Tensors = dict[str, torch.Tensor | list[str | None]]


def to_tensors(
    batch: pa.RecordBatch, *, layout: Layout = "padded", pad_id: int = 0, pad_to: int | None = None
) -> Tensors:
    """Turn a batch of B rows into tensors.

    Parameters
    ----------
    batch : RecordBatch of numbers, booleans, lists of numbers and texts.
    layout : how lists of differing lengths lie. "padded": ``name [B, L]`` int64, `L` the longest or
        `pad_to`, and ``name_lengths [B]`` int64. "packed": ``name [T]`` int64, one row behind
        the other, and ``name_offsets [B + 1]`` int32, as attention over variable lengths takes it.
        Lists of a fixed size are ``name [B, size]``, int64.
    pad_id : what fills a padded row.
    pad_to : width of a padded row.

    Returns
    -------
    dict of tensors; a number's tensor shares memory with `batch`. Text stays a list.

    Raises
    ------
    DataError
        A number is missing, a type has no tensor, or a row is longer than `pad_to`.

    Examples
    --------
    >>> batch = pa.record_batch({"input_ids": pa.array([[5, 6], [7]], pa.list_(pa.uint16()))})
    >>> to_tensors(batch)["input_ids"].tolist()
    [[5, 6], [7, 0]]
    """
    tensors: Tensors = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        column = plain(column)
        if pa.types.is_fixed_size_list(column.type):
            ids = _numbers(name, column.flatten()).to(torch.int64)
            tensors[name] = ids.reshape(len(column), column.type.list_size)
        elif pa.types.is_list(column.type):
            tensors |= _lists(name, column, layout, pad_id, pad_to)
        elif pa.types.is_string(column.type):
            tensors[name] = column.to_pylist()
        else:
            tensors[name] = _numbers(name, column)
    return tensors


def _lists(
    name: str, column: pa.Array, layout: Layout, pad_id: int, pad_to: int | None
) -> Mapping[str, torch.Tensor]:
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    ids = _numbers(name, column.flatten()).numpy()
    if layout == "packed":
        offsets = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        packed = torch.from_numpy(ids.astype(np.int64))
        return {name: packed, f"{name}_offsets": torch.from_numpy(offsets)}
    longest = int(lengths.max(initial=0))
    if pad_to is not None and longest > pad_to:
        raise DataError(
            f"A row of `{name}` has {longest} values, more than pad_to={pad_to}. Give a larger "
            "pad_to, or drop such rows before."
        )
    padded = np.full((len(lengths), longest if pad_to is None else pad_to), pad_id, np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = ids
    return {
        name: torch.from_numpy(padded),
        f"{name}_lengths": torch.from_numpy(lengths.astype(np.int64)),
    }


def _numbers(name: str, column: pa.Array) -> torch.Tensor:
    if column.null_count:
        raise DataError(
            f"`{name}` lacks {column.null_count} values. Leave the column out of `columns`, or "
            "drop or fill these rows before."
        )
    kind = column.type
    if pa.types.is_boolean(kind):
        return torch.from_numpy(column.to_numpy(zero_copy_only=False))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"`{name}` is {kind}, which has no tensor. Leave it out of `columns`.")
    return torch.from_dlpack(column)
