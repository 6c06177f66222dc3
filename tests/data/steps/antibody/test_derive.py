"""derive: genes, lengths, mutations, donors and hashes, by hand and against a plain loop."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.antibody.derive import Derive, donors, genes, hash128, mutations

ROW = {
    "v_call": "IGHV3-23*01,IGHV3-23D*01",
    "j_call": "IGHJ4*02",
    "fwr1_aa": "E" * 25,
    "fwr4_aa": "WGQGTLVTVSS",
    "cdr1_aa": "GFTFSSYA",
    "cdr2_aa": "ISGSGGST",
    "cdr3_aa": "ARDY",
    "sequence_aa": "EVQLVE",
    "v_sequence_alignment_aa": "EVQLXE",
    "v_germline_alignment_aa": "EVKLVE",
}
CHAIN = ("v_family", "v_gene", "j_gene", "j_family", "v_mutations", "full_length", "cdr3_length")


def batch(*rows, chains=("",), **unit):
    columns = {
        name + chain: pa.array([{**ROW, **row}[name] for row in rows], pa.string())
        for chain in chains
        for name in ROW
    }
    return pa.record_batch({**columns, **unit})


def test_one_row_by_hand(run_step):
    table, *_ = run_step(Derive(), [batch({})])
    row = table.to_pylist()[0]
    assert {name: row[name] for name in CHAIN} == {
        "v_family": "IGHV3",
        "v_gene": "IGHV3-23",
        "j_gene": "IGHJ4",
        "j_family": "IGHJ4",
        "v_mutations": 1,
        "full_length": True,
        "cdr3_length": 4,
    }
    assert len(row["hash128"]) == 16


@pytest.mark.parametrize(
    ("call", "gene", "family"),
    [
        ("IGHV1-69D*01", "IGHV1-69D", "IGHV1"),
        ("IGKV1D-12*01 or IGKV1-12*01", "IGKV1D-12", "IGKV1"),
        ("IGHV4-30-4*01", "IGHV4-30-4", "IGHV4"),
        ("IGHD5/OR15-5a*01", "IGHD5/OR15-5a", "IGHD5"),
        ("IGHVF3-G6*04", "IGHVF3-G6", "IGHVF3"),
        ("IGLJ2", "IGLJ2", "IGLJ2"),
        (None, None, None),
    ],
)
def test_genes(call, gene, family):
    assert [one.to_pylist() for one in genes(pa.array([call], pa.string()))] == [[gene], [family]]


def test_missing_values_stay_missing(run_step):
    absent = dict.fromkeys(("v_call", "cdr3_aa", "fwr4_aa", "v_germline_alignment_aa"))
    table, *_ = run_step(Derive(), [batch({}, absent)])
    row = table.to_pylist()[1]
    assert {row[name] for name in ("v_gene", "v_family", "cdr3_length", "v_mutations")} == {None}
    assert row["full_length"] is False


def test_bounds_of_full_length_are_parameters(run_step):
    short = batch({"fwr1_aa": "E" * 19})
    assert run_step(Derive(), [short])[0]["full_length"].to_pylist() == [False]
    assert run_step(Derive(fwr1_length=19), [short])[0]["full_length"].to_pylist() == [True]
    with pytest.raises(ArgumentError, match="fwr4_length"):
        Derive(fwr4_length=-1)


ALIGNED = st.none() | st.text("ACXV-*", max_size=6)


def differing(ours, theirs):
    if not ours or not theirs or len(ours) != len(theirs):
        return None
    return sum(a != b and {a, b}.isdisjoint("X-*") for a, b in zip(ours, theirs, strict=True))


@given(st.lists(st.tuples(ALIGNED, ALIGNED), min_size=1, max_size=20))
def test_mutations_are_those_of_a_loop(rows):
    ours, theirs = (pa.array(side, pa.string()) for side in zip(*rows, strict=True))
    assert mutations(ours, theirs).to_pylist() == [differing(*row) for row in rows]


def test_donor_of_a_unit_without_subject_is_the_units_own():
    units = pa.array(["a", "a", "b", "b", "c"])
    subjects = pa.array(["P1", None, None, None, "P1"])
    found = donors(pa.array(["Li"] * 5), subjects, units, rows=5).to_pylist()
    assert found[0] == found[4] == "Li|P1"
    assert found[2] == found[3]
    assert len({found[0], found[1], found[2]}) == 3
    assert all(name.startswith("Li|") for name in found)
    assert donors(None, None, None, rows=2).to_pylist()[0].startswith("|unit-")


def test_hash_depends_on_the_sequence_alone():
    one = hash128(pa.array(["QVQ", "EVQ", None, "QVQ"]))
    assert one.type == pa.binary(16)
    assert one[0] == one[3]
    assert one[0] != one[1]
    assert one[2].as_py() is None
    assert hash128(pa.array(["EVQ"]))[0] == one[1]
    halves = np.frombuffer(one[0].as_py(), "<u8")
    assert halves[0] != halves[1]


def test_both_chains_of_a_pair(run_step):
    pair = batch({}, chains=("_heavy", "_light"), meta_author=["Li"], meta_subject=["P1"])
    table, *_ = run_step(Derive(), [pair])
    row = table.to_pylist()[0]
    assert row["v_gene_light"] == "IGHV3-23"
    assert row["donor_id"] == "Li|P1"
    assert "donor_id_light" not in row


def test_missing_column_is_named():
    with pytest.raises(DataError, match="j_call"):
        Derive().schema(batch({}).schema.remove(1))
