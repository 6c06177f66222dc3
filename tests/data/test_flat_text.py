"""FlatText: a view of Arrow's strings that neither slices nor nulls confuse."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from onetrip.data.text.flat_text import FlatText

TEXTS = st.lists(st.none() | st.text("AC-D", max_size=5), max_size=12)


@given(TEXTS, st.integers(0, 3), st.integers(0, 12))
def test_comes_back_as_it_was(texts, start, length):
    column = pa.array(texts, pa.string()).slice(min(start, len(texts)), length)
    flat = FlatText.of(column)
    assert flat.to_arrow().to_pylist() == column.to_pylist()
    assert flat.lengths.tolist() == [len(text or "") for text in column.to_pylist()]


@given(TEXTS, st.integers(0, 3))
def test_bytes_can_be_taken_out(texts, start):
    column = pa.array(texts, pa.string()).slice(min(start, len(texts)))
    flat = FlatText.of(column)
    without = flat.without(flat.bytes == ord("-")).to_arrow().to_pylist()
    assert without == [text and text.replace("-", "") for text in column.to_pylist()]


@given(TEXTS)
def test_rows_can_be_emptied(texts):
    flat = FlatText.of(pa.array(texts, pa.string()))
    kept = np.arange(len(texts)) % 2 == 0
    some = flat.only(kept).to_arrow().to_pylist()
    wanted = [t if keep else t and "" for t, keep in zip(texts, kept, strict=True)]
    assert some == wanted


def test_bytes_behind_a_null_are_not_seen():
    data = pa.py_buffer(b"ABCD")
    offsets = pa.py_buffer(np.array([0, 1, 3, 4], np.int32))
    bitmap = pa.py_buffer(bytes([0b101]))
    column = pa.StringArray.from_buffers(3, offsets, data, bitmap)
    flat = FlatText.of(column)
    assert flat.bytes.tobytes() == b"AD"
    assert flat.to_arrow().to_pylist() == ["A", None, "D"]


def test_places_belong_to_rows():
    flat = FlatText.of(pa.array(["AC", None, "", "D"]))
    assert flat.rows(np.array([0, 1, 2])).tolist() == [0, 0, 3]
