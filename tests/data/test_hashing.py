"""The hash is MurmurHash64A, whatever the layout of the column."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from onetrip.data.text.hashing import combine, hash_places, hash_strings

MASK = 2**64 - 1
MULTIPLIER = 0xC6A4A7935BD1E995


def murmur(text: bytes, seed: int) -> int:
    """The definition, byte by byte."""
    value = seed ^ (len(text) * MULTIPLIER & MASK)
    whole = len(text) // 8 * 8
    for at in range(0, whole, 8):
        word = int.from_bytes(text[at : at + 8], "little") * MULTIPLIER & MASK
        word = (word ^ (word >> 47)) * MULTIPLIER & MASK
        value = (value ^ word) * MULTIPLIER & MASK
    if text[whole:]:
        value = (value ^ int.from_bytes(text[whole:], "little")) * MULTIPLIER & MASK
    value = (value ^ (value >> 47)) * MULTIPLIER & MASK
    return value ^ (value >> 47)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=40))), st.integers(0, MASK))
def test_is_the_definition(texts, seed):
    expected = [murmur(text or b"", seed) for text in texts]
    assert hash_strings(pa.array(texts, pa.binary()), seed).tolist() == expected


def test_layout_does_not_matter():
    texts = ["EVQLVESGGG", "", "QVQ", None, "EVQLVESGGGLVQPGGSLRL"] * 5
    plain = pa.array(texts)
    expected = hash_strings(plain).tolist()
    assert hash_strings(plain.cast(pa.large_string())).tolist() == expected
    assert hash_strings(plain.dictionary_encode()).tolist() == expected
    assert hash_strings(pa.chunked_array([plain[:7], plain[7:]])).tolist() == expected
    assert hash_strings(plain[3:9]).tolist() == expected[3:9]
    assert hash_strings(pa.array([], pa.string())).tolist() == []


def test_many_rows_spread_over_buckets():
    rows = 40_000
    hashes = hash_strings(pa.array([f"{i}" for i in range(rows)]))
    assert len(np.unique(hashes)) == rows
    sizes = np.bincount((hashes % np.uint64(64)).astype(int), minlength=64)
    assert sizes.min() > 0.8 * rows / 64
    assert sizes.max() < 1.2 * rows / 64


def test_pairs_are_ordered_and_places_differ():
    one, two = np.arange(100, dtype=np.uint64), np.arange(100, 200, dtype=np.uint64)
    assert not (combine(one, two) == combine(two, one)).any()
    units = pa.array(["a", "b"] * 50)
    assert len(set(hash_places(units, pa.array(range(100))).tolist())) == 100
