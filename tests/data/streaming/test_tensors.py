"""Arrow's types as tensors."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from onetrip.core.errors import DataError
from onetrip.data.streaming.tensors import TensorRows


def to_tensors(batch, rows=slice(None), **shape):
    return TensorRows(batch, **shape).take(rows)


LISTS = pa.record_batch({"ids": pa.array([[1, 2, 3], None, [4], []], pa.list_(pa.uint16()))})


def test_padded_lists():
    tensors = to_tensors(LISTS, pad_id=9)
    assert tensors["ids"].tolist() == [[1, 2, 3], [9, 9, 9], [4, 9, 9], [9, 9, 9]]
    assert tensors["ids_lengths"].tolist() == [3, 0, 1, 0]
    assert tensors["ids"].dtype == tensors["ids_lengths"].dtype == torch.int64
    assert to_tensors(LISTS, pad_to=5)["ids"].shape == (4, 5)
    assert to_tensors(LISTS.slice(2, 1))["ids"].tolist() == [[4]]
    with pytest.raises(DataError, match="A row of `ids` has 3 values, more than pad_to=2"):
        to_tensors(LISTS, pad_to=2)


def test_packed_lists():
    tensors = to_tensors(LISTS, layout="packed")
    assert tensors["ids"].tolist() == [1, 2, 3, 4]
    assert tensors["ids_offsets"].tolist() == [0, 3, 3, 4, 4]
    assert tensors["ids_offsets"].dtype == torch.int32


def test_lists_of_fixed_size():
    values = pa.array([1, 2, 3, 4], pa.uint16())
    batch = pa.record_batch({"ids": pa.FixedSizeListArray.from_arrays(values, 2)})
    assert to_tensors(batch)["ids"].tolist() == [[1, 2], [3, 4]]
    assert to_tensors(batch.slice(1))["ids"].tolist() == [[3, 4]]


def test_numbers_share_memory():
    column = pa.array([1.5, 2.5, 3.5])
    tensor = to_tensors(pa.record_batch({"x": column}))["x"]
    assert tensor.data_ptr() == column.buffers()[1].address
    assert to_tensors(pa.record_batch({"x": column}).slice(1))["x"].tolist() == [2.5, 3.5]
    flags = to_tensors(pa.record_batch({"x": [True, False]}))["x"]
    assert flags.tolist() == [True, False]


def test_chosen_rows():
    rows = np.array([2, 0])
    assert to_tensors(LISTS, rows)["ids"].tolist() == [[4, 0, 0], [1, 2, 3]]
    assert to_tensors(LISTS, rows, layout="packed")["ids"].tolist() == [4, 1, 2, 3]
    assert to_tensors(LISTS, np.array([3]))["ids"].shape == (1, 0)
    texts = pa.record_batch({"t": ["a", None, "c"], "n": [1, 2, 3]})
    assert to_tensors(texts, rows)["t"] == ["c", "a"]
    assert to_tensors(texts, slice(1, 2)) == {"t": [None], "n": torch.tensor([2])}


def test_what_has_no_tensor_is_refused():
    with pytest.raises(DataError, match="`x` lacks 1 values"):
        to_tensors(pa.record_batch({"x": pa.array([1, None])}))
    with pytest.raises(DataError, match="`x` is binary, which has no tensor"):
        to_tensors(pa.record_batch({"x": [b"a"]}))
