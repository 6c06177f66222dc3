"""Every letter has its id; packed rows hold every document whole and keep splits apart."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.pack import Pack
from onetrip.data.steps.tokenise import Tokenise
from onetrip.data.text.residues import CLS, PAD, SEP, VOCABULARY

LETTERS = st.text(st.sampled_from("ACDEFGHIKLMNPQRSTVWYXBZ*acd"), max_size=30)


def ids_of(text):
    letters = (c.upper() if c.upper() in VOCABULARY else "X" for c in text)
    return [VOCABULARY.index(letter) for letter in letters]


@given(st.lists(st.one_of(st.none(), LETTERS), min_size=1), st.booleans())
def test_is_the_definition(run_step, texts, specials):
    batch = pa.record_batch({"sequence_aa": pa.array(texts, pa.string())})
    table, _, counts = run_step(Tokenise(specials=specials), [batch])
    expected = [
        [] if text is None else [CLS, *ids_of(text), SEP] if specials else ids_of(text)
        for text in texts
    ]
    assert table["input_ids"].to_pylist() == expected
    assert table["n_tokens"].to_pylist() == [len(ids) for ids in expected]
    assert counts.get("no_sequence", 0) == texts.count(None)


def test_a_pair_is_one_row(run_step):
    batch = pa.record_batch(
        {"sequence_aa_heavy": ["EV", "QV"], "sequence_aa_light": pa.array(["DI", None])}
    )
    table, _, counts = run_step(Tokenise(), [batch.slice(0, 1), batch.slice(1)])
    assert table["input_ids"].to_pylist() == [[CLS, *ids_of("EV"), SEP, *ids_of("DI"), SEP], []]
    assert counts == {"no_sequence": 1}


def test_ids_are_what_they_were():
    """Models are trained on these: a change of one is a new vocabulary."""
    assert [VOCABULARY.index(name) for name in ("<pad>", "<cls>", "<sep>", "<mask>")] == [
        0,
        1,
        2,
        3,
    ]
    assert "".join(VOCABULARY[5:]) == "ACDEFGHIKLMNPQRSTVWXY"


def test_more_tokens_than_can_be_counted():
    with pytest.raises(DataError, match="A row has 65537 tokens"):
        Tokenise().apply(pa.record_batch({"sequence_aa": ["A" * 65_535]}))


def tokens_and_splits(rows):
    ids, split = zip(*rows, strict=True)
    return pa.record_batch(
        {"input_ids": pa.array(ids, pa.list_(pa.uint16())), "split": pa.array(split, pa.string())}
    )


DOCUMENT = st.lists(st.integers(1, 25), max_size=12)


@given(st.lists(st.tuples(DOCUMENT, st.sampled_from(["train", "val", "test"])), min_size=1))
def test_packed_rows_hold_each_document_once_and_whole(run_step, rows):
    table, dropped, _ = run_step(Pack(length=10), [tokens_and_splits(rows)])
    found = []
    for row in table.to_pylist():
        ids, belongs = np.array(row["input_ids"]), np.array(row["document_ids"])
        assert len(ids) == 10
        assert not ids[belongs == 0].any()
        for number in range(1, row["n_documents"] + 1):
            places = np.flatnonzero(belongs == number)
            assert np.array_equal(places, np.arange(places[0], places[-1] + 1))
            found.append((row["split"], ids[places].tolist()))
        assert belongs.max() == row["n_documents"]
    for name in ("train", "val", "test"):
        kept = [ids for ids, split in rows if split == name and 1 <= len(ids) <= 10]
        assert [ids for split, ids in found if split == name] == kept
    assert dropped.get("no_tokens", 0) == sum(not ids for ids, _ in rows)
    assert dropped.get("longer_than_a_row", 0) == sum(len(ids) > 10 for ids, _ in rows)


def test_a_row_takes_what_fits(run_step):
    rows = [([1] * n, "train") for n in (4, 6, 1, 9, 5)]
    table, _, _ = run_step(Pack(length=10), [tokens_and_splits(rows)])
    assert table["n_documents"].to_pylist() == [2, 2, 1]
    assert table["input_ids"].to_pylist()[2] == [1] * 5 + [PAD] * 5


def test_packing_without_split_or_tokens(run_step):
    batch = pa.record_batch({"input_ids": pa.array([[], None], pa.list_(pa.uint16()))})
    table, dropped, _ = run_step(Pack(), [batch])
    assert table.num_rows == 0
    assert dropped == {"no_tokens": 2}


def test_wrong_use_is_refused():
    with pytest.raises(ArgumentError, match="`length` must be 1 to 65,535"):
        Pack(length=0)
    with pytest.raises(DataError, match="reads input_ids"):
        Pack().schema(pa.schema([]))
    with pytest.raises(DataError, match="reads sequence_aa"):
        Tokenise().schema(pa.schema([]))
