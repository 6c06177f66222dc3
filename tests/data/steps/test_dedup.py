"""Duplicates merge by text, once, whatever the order and the buckets."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import DataError
from onetrip.data.steps.dedup import Dedup


def rows_of(rows):
    """(unit, row, sequence, redundancy, donor) as a batch."""
    units, places, sequences, copies, donors = zip(*rows, strict=True) if rows else ([],) * 5
    return pa.record_batch(
        {
            "unit_id": pa.array(units, pa.string()),
            "row_in_unit": pa.array(places, pa.int64()),
            "sequence_aa": pa.array(sequences, pa.string()),
            "locus": pa.array(["H"] * len(units), pa.string()),
            "redundancy": pa.array(copies, pa.uint32()),
            "donor_id": pa.array(donors, pa.string()),
        }
    )


def expected(rows):
    """The definition, row by row."""
    groups = {}
    for number, row in enumerate(sorted(rows, key=lambda row: (row[0], row[1]))):
        key = row[2] if row[2] is not None else number
        groups.setdefault(key, []).append(row)
    return sorted(
        (
            (
                *group[0][:3],
                sum(1 if row[3] is None else row[3] for row in group),
                group[0][4],
                len({row[0] for row in group}),
                len({row[4] for row in group}),
            )
            for group in groups.values()
        ),
        key=lambda row: row[:2],
    )


@st.composite
def some_rows(draw):
    places = draw(st.lists(st.tuples(st.sampled_from("cab"), st.integers(1, 9)), unique=True))
    return [
        (
            *place,
            draw(st.sampled_from(["CARW", "CARY", "", None])),
            draw(st.sampled_from([1, 5, None])),
            draw(st.sampled_from(["one", "two"])),
        )
        for place in places
    ]


@given(some_rows(), st.integers(1, 5), st.integers(0, 20))
def test_is_the_definition(run_step, rows, buckets, cut):
    batches = [rows_of(rows[:cut]), rows_of(rows[cut:])]
    table, _, _ = run_step(Dedup(), batches, buckets=buckets)
    names = [
        "unit_id", "row_in_unit", "sequence_aa", "redundancy", "donor_id", "n_units", "n_donors",
    ]  # fmt: skip
    made = zip(*(table[name].to_pylist() for name in names), strict=True)
    # A row that stays alone keeps what its redundancy says, and null says 1.
    assert sorted(made, key=lambda row: row[:2]) == expected(rows)


def test_equal_hashes_do_not_merge(run_step, monkeypatch):
    monkeypatch.setattr(
        "onetrip.data.steps.dedup.hash_strings", lambda values: np.zeros(len(values), np.uint64)
    )
    table, _, _ = run_step(Dedup(), [rows_of([("a", 1, "CARW", 1, "x"), ("a", 2, "CARY", 1, "x")])])
    assert table.num_rows == 2


def test_a_pair_is_both_chains(run_step):
    batch = pa.record_batch(
        {
            "unit_id": ["a", "a", "a"],
            "row_in_unit": [1, 2, 3],
            "sequence_aa_heavy": ["EVQ", "EVQ", "EVQ"],
            "sequence_aa_light": ["DIQ", "DIV", "DIQ"],
            "locus_heavy": ["H", "H", "H"],
            "locus_light": ["K", "K", "K"],
        }
    )
    table, dropped, _ = run_step(Dedup(), [batch])
    assert sorted(table["row_in_unit"].to_pylist()) == [1, 2]
    assert dropped == {"duplicate": 1}
    # Texts of two chains do not run into each other.
    chains = {"sequence_aa_heavy": ["AB", "A", "AB"], "sequence_aa_light": ["C", "BC", "D"]}
    for name, values in chains.items():
        batch = batch.set_column(batch.schema.get_field_index(name), name, pa.array(values))
    assert run_step(Dedup(), [batch], buckets=1)[0].num_rows == 3


def test_loci_are_kept_apart_and_keys_can_be_chosen(run_step):
    batch = rows_of([("a", 1, "EVQ", 2, "x"), ("b", 1, "EVQ", 3, "y")])
    batch = batch.set_column(3, "locus", pa.array(["H", "K"]))
    assert run_step(Dedup(), [batch])[0].num_rows == 2
    table, _, _ = run_step(Dedup(keys=("sequence_aa",)), [batch])
    assert table.to_pylist() == [
        {
            "unit_id": "a",
            "row_in_unit": 1,
            "sequence_aa": "EVQ",
            "locus": "H",
            "redundancy": 5,
            "donor_id": "x",
            "n_units": 2,
            "n_donors": 2,
        }
    ]


def test_sum_beyond_32_bits_is_capped_and_counted(run_step):
    most = 2**32 - 1
    batch = rows_of([("a", 1, "EVQ", most, "x"), ("b", 1, "EVQ", 1, "y")])
    table, _, counts = run_step(Dedup(), [batch])
    assert table["redundancy"].to_pylist() == [most]
    assert counts == {"merged_groups": 1, "redundancy_capped": 1}


def test_dictionaries_are_the_texts_they_stand_for(run_step):
    batch = rows_of([("b", 1, "EVQ", 2, "x"), ("a", 1, "EVQ", 3, "y")])
    expected, _, _ = run_step(Dedup(), [batch])
    for name in ("unit_id", "sequence_aa", "donor_id"):
        encoded = batch[name].dictionary_encode()
        batch = batch.set_column(batch.schema.get_field_index(name), name, encoded)
    found, _, _ = run_step(Dedup(), [batch])
    assert found.to_pylist() == expected.to_pylist()


def test_missing_key_is_named():
    schema = pa.schema([("unit_id", pa.string()), ("row_in_unit", pa.int64())])
    with pytest.raises(DataError, match="reads sequence_aa"):
        Dedup().schema(schema)
    with pytest.raises(DataError, match="reads cdr3_aa"):
        Dedup(keys=("cdr3_aa",)).schema(schema)
