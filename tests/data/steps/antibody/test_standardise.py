"""standardise: golden values of the real vintages, and an account that closes whatever comes."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import DataError
from onetrip.data.steps.antibody.casts import count, flag, number, residues, text
from onetrip.data.steps.antibody.standardise import Standardise


def rows(count=2, **columns):
    """A batch of good unpaired rows, with some columns as given."""
    good = {
        "unit_id": ["unpaired/Li_2019/a.csv.gz"] * count,
        "sequence_alignment_aa": ["QVQLVQ"] * count,
        "locus": ["H"] * count,
        "productive": ["T"] * count,
        "Redundancy": ["1"] * count,
    }
    made = {name: pa.array(values, pa.string()) for name, values in {**good, **columns}.items()}
    return pa.record_batch({**made, "row_in_unit": pa.array(range(1, count + 1), pa.int64())})


def applied(batch, **parameters):
    step = Standardise(**parameters)
    result = step.apply(batch)
    assert result.batch.schema == step.schema(batch.schema)
    assert batch.num_rows == result.batch.num_rows + len(result.rejects)
    return result


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("Redundancy", "abc", "R05"),
        ("Redundancy", "0", "R06"),
        ("Redundancy", "-3", "R06"),
        ("Redundancy", "5000000000", "R06"),
        ("Redundancy", "2.5", "R07"),
        ("productive", "yes", "R06"),
        ("locus", "X", "R06"),
        ("sequence_alignment_aa", "", "R06"),
    ],
)
def test_wrong_required_value_sets_its_row_aside(column, text, code):
    good = rows().column(column)[0].as_py()
    batch = rows(**{column: [text, good]})
    result = applied(batch)
    (reject,) = result.rejects
    assert (reject.code, reject.column, reject.line) == (code, column, 1)
    assert reject.unit_id == "unpaired/Li_2019/a.csv.gz"
    assert f"`{column}` must be" in reject.message
    assert json.loads(reject.raw)[column] == text
    assert result.batch["row_in_unit"].to_pylist() == [2]


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("v_sequence_start", "abc", "R05"),
        ("v_sequence_start", "33.5", "R07"),
        ("v_sequence_start", "70000", "R06"),
        ("v_identity", "high", "R05"),
        ("v_identity", "inf", "R06"),
        ("stop_codon", "maybe", "R06"),
    ],
)
def test_wrong_optional_value_is_null_and_counted(column, text, code):
    good = {"v_sequence_start": "33.0", "v_identity": "98.5", "stop_codon": "F"}[column]
    result = applied(rows(**{column: [text, good]}))
    assert result.rejects == ()
    assert result.counts == {f"{column}:{code}": 1}
    assert result.batch[column].is_valid().to_pylist() == [False, True]


def test_required_columns_are_a_parameter():
    batch = rows(stop_codon=["maybe", "F"], Redundancy=["abc", "4"])
    result = applied(batch, required=("stop_codon",))
    assert [reject.column for reject in result.rejects] == ["stop_codon"]
    assert result.batch["redundancy"].to_pylist() == [4]


def test_first_fault_of_a_row_is_told_once():
    result = applied(rows(locus=["X", "H"], Redundancy=["abc", "1.5"]))
    assert [(reject.line, reject.code) for reject in result.rejects] == [(1, "R06"), (2, "R07")]


def test_numbers_as_the_database_writes_them():
    column = pa.array(["33.0", "", None, " 7 ", "+4", "nan", "None", "65535"])
    cast = count(column)
    assert cast.values.to_pylist() == [33, None, None, 7, 4, None, None, 65535]
    assert cast.values.type == pa.uint16()
    assert cast.faults == {}
    support = number(pa.array(["4.94e-128", "2.1e-20", "NA"]))
    assert support.values.to_pylist() == [4.94e-128, 2.1e-20, None]


def test_flags_in_every_spelling():
    cast = flag(pa.array(["T", "F", "", None, "true", "FALSE", " t "]))
    assert cast.values.to_pylist() == [True, False, None, None, True, False, True]
    assert flag(pa.array(["T", "F", None])).values.to_pylist() == [True, False, None]


def test_residues_lose_gaps_and_case():
    column = pa.array(["QV-QL..V", None, "qvq", "", "---"])
    assert residues(column).values.to_pylist() == ["QVQLV", None, "QVQ", None, None]


def test_peptide_spelled_like_nothing_is_a_peptide():
    assert text(pa.array(["NA", "NAN", ""])).values.to_pylist() == ["NA", "NAN", None]


def test_slices_are_read_where_they_begin():
    column = pa.array(["QVQ", "A-C", None, "D.E", ""]).slice(1, 4)
    assert residues(column).values.to_pylist() == ["AC", None, "DE", None]


def test_metadata_has_one_spelling():
    words = {
        "meta_species": ["HIS-mouse", "human"],
        "meta_disease": ["None", " SARS-COV-2 "],
        "meta_vaccine": ["no", "NA"],
        "meta_age": ["22–70", "45"],
        "meta_btype": ["Germlinal-Center", "Naive-B-Cells"],
    }
    out = applied(rows(**words)).batch
    assert out["meta_species"].to_pylist() == ["HIS-Mouse", "human"]
    assert out["meta_disease"].to_pylist() == [None, "SARS-COV-2"]
    assert out["meta_vaccine"].to_pylist() == [None, None]
    assert out["meta_age"].to_pylist() == ["22–70", "45"]
    assert out["meta_btype"].to_pylist() == ["Germinal-Center", "Naive-B-Cells"]


def test_unknown_word_stays_and_is_counted():
    result = applied(rows(meta_species=["axolotl", "human"], meta_isotype=["IGHG", "igha"]))
    assert result.batch["meta_species"].to_pylist() == ["axolotl", "human"]
    assert result.batch["meta_isotype"].to_pylist() == ["IGHG", "IGHA"]
    assert result.counts == {"meta_species:unknown_word": 1}


def test_locus_of_another_chain_than_the_unit_is_set_aside():
    result = applied(rows(3, locus=["H", "K", "IGH"], meta_chain=["Heavy"] * 3))
    assert [(reject.line, reject.code) for reject in result.rejects] == [(2, "R06")]
    assert result.batch["locus"].to_pylist() == ["H", "H"]


def test_regions_that_do_not_make_the_sequence_are_counted():
    regions = {f"{r}_aa": ["QV", ""] for r in ("fwr1", "cdr1", "fwr2", "cdr2", "fwr3", "fwr4")}
    batch = rows(sequence_alignment_aa=["QVQVQVQVQVARQV", "QVQ"], cdr3_aa=["AR", "QVL"], **regions)
    result = applied(batch)
    assert result.counts == {"sequence_aa:R10": 1}
    assert result.batch.num_rows == 2


def pairs(count=3, **columns):
    good = {
        f"{name}_{chain}": [value] * count
        for chain, locus in (("heavy", "H"), ("light", "K"))
        for name, value in (
            ("sequence_alignment_aa", "QVQ"),
            ("locus", locus),
            ("productive", "T"),
            ("ANARCI_status", "|||||"),
        )
    }
    made = {name: pa.array(v, pa.string()) for name, v in {**good, **columns}.items()}
    return pa.record_batch(made)


def test_pair_is_never_split():
    batch = pairs(locus_light=["K", "H", "L"], productive_heavy=["T", "T", "x"])
    result = applied(batch)
    assert [(r.line, r.column) for r in result.rejects] == [
        (2, "locus_light"),
        (3, "productive_heavy"),
    ]
    assert result.batch.num_rows == 1


def test_vintage_of_2021_gets_what_it_lacks():
    out = applied(pairs()).batch
    assert out["redundancy_heavy"].to_pylist() == [1, 1, 1]
    assert out["redundancy_light"].type == pa.uint32()
    assert "anarci_status_light" in out.schema.names
    assert "sequence_aa_heavy" in out.schema.names


def test_pairs_without_fwr4_get_what_stands_behind_cdr3():
    heavy = ["YYCARDYWGQG", "YYCARDYWGQG", "YYCARDYWGQG", "YYCAKDYWGQG", "YYCARDY"]
    given = [None, "WGRG", None, None, None]
    cdr3 = ["ARDY", "ARDY", None, "ARDY", "ARDY"]
    columns = {f"{region}_aa_heavy": [None] * 5 for region in ("fwr1", "cdr1", "fwr2", "cdr2")}
    columns |= {"fwr3_aa_heavy": ["YYC"] * 5, "cdr3_aa_heavy": cdr3, "fwr4_aa_heavy": given}
    batch = pairs(5, sequence_alignment_aa_heavy=heavy, **columns)
    result = applied(batch)
    # Given, not known without CDR3, not where the regions are of another sequence, not at its end.
    assert result.batch["fwr4_aa_heavy"].to_pylist() == ["WGQG", "WGRG", None, None, None]
    assert result.counts["fwr4_aa_heavy:from_sequence"] == 1


def test_columns_that_differ_by_case_only_are_refused():
    with pytest.raises(DataError, match=r"two for each of \['redundancy'\]"):
        Standardise().schema(rows(redundancy=["1", "1"]).schema)


def test_missing_sequence_is_refused_with_the_way_out():
    with pytest.raises(DataError, match="sequence_alignment_aa"):
        Standardise().schema(pa.schema([("sequence", pa.string())]))


CELLS = st.one_of(st.none(), st.sampled_from(["", "T", "F", "1", "2.0", "0", "abc", "H", "K", "-"]))


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=30))
def test_account_closes_and_order_stays(cells):
    sequence, locus, productive, copies = zip(*cells, strict=True)
    batch = rows(
        len(cells),
        sequence_alignment_aa=sequence,
        locus=locus,
        productive=productive,
        Redundancy=copies,
    )
    result = applied(batch)
    kept = result.batch["row_in_unit"].to_pylist()
    lost = [reject.line for reject in result.rejects]
    assert sorted(kept + lost) == list(range(1, len(cells) + 1))
    assert kept == sorted(kept)
    assert lost == sorted(lost)
    assert set(result.batch["locus"].to_pylist()) <= {"H", "K", None}
    assert result.batch["sequence_aa"].null_count == 0
