"""parse_anarci: both formats of the status, and numbering held against Python's own reading."""

import ast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import DataError
from onetrip.data.sources.oas.synthetic.chain import draw_chain
from onetrip.data.steps.antibody.numbering import LABELS, read_numbering
from onetrip.data.steps.antibody.parse_anarci import ParseAnarci
from onetrip.data.steps.antibody.status import FLAGS, parse_status, parse_statuses

# From the tests of projects that read the real database.
GOLDEN = {
    "|Deletions: 10, 73||||": {"has_deletions"},
    "|||||": set(),
    "|Deletions: 1, 2||Missing Conserved Cysteine: 23|Shorter than IMGT defined: fw1|": {
        "has_deletions",
        "missing_conserved_cysteine",
        "shorter_than_imgt",
    },
    "|Deletions: 10, 73||||CDR3 is over 37 aa long": {"has_deletions", "cdr3_too_long"},
    "['Missing Conserved Cysteine 23 or 104', 'fw1 is shorter than IMGT defined']": {
        "missing_conserved_cysteine",
        "shorter_than_imgt",
    },
    "['Unusual amino acid: X27']": {"unusual_residue"},
    "|||Unusual residue: 27||": {"unusual_residue"},
    "['Insertion: 44A']": {"has_insertions"},
    "[]": set(),
    "": set(),
}


@pytest.mark.parametrize(("status", "flags"), GOLDEN.items(), ids=list(GOLDEN))
def test_golden_status(status, flags):
    assert parse_status(status).flags == flags
    assert parse_status(status).unknown is None


CLAUSES = st.sampled_from(
    [
        "Deletions: 10, 73",
        "Missing Conserved Cysteine: 23",
        "Missing Conserved Cysteine 23 or 104",
        "Shorter than IMGT defined: fw1",
        "fw4 is shorter than IMGT defined",
        "Unusual residue: 27",
        "Insertion: 44A",
        "CDR3 is over 37 aa long",
        "Kappa chain with a gap at 21",
        "Kappa chain with a gap at 22",
        "Odd phase: 7, 8",
        "",
    ]
)


@given(st.lists(st.tuples(st.lists(CLAUSES, max_size=4), st.booleans()), max_size=6))
def test_column_is_read_as_each_of_its_statuses(statuses):
    texts = [
        repr([clause for clause in clauses if clause]) if printed else "|" + "|".join(clauses)
        for clauses, printed in statuses
    ]
    assert parse_statuses(pa.array(texts, pa.string())) == [parse_status(text) for text in texts]


def test_gap_21_of_kappa_chains_is_told_from_others():
    assert parse_status("|Kappa chain with a gap at 21|").flags == {"kappa_gap_21"}
    assert parse_status("|Kappa chain with a gap at 22|").unknown == "Kappa chain with a gap at 22"


def test_unknown_clauses_are_kept_and_counted_by_text(run_step):
    column = pa.array(["|Odd phase: 7||Deletions: 10|", "['Odd phase: 12']", None, "|||||"])
    table, _, counts = run_step(ParseAnarci(), [pa.record_batch({"anarci_status": column})])
    assert table["anarci_unknown"].to_pylist() == ["Odd phase: 7", "Odd phase: 12", None, None]
    assert table["has_deletions"].to_pylist() == [True, False, None, False]
    assert counts == {"anarci_status:R09:Odd phase: #": 1, "anarci_status:R09:Odd phase: ##": 1}
    assert table.schema.names == [*FLAGS, "anarci_unknown"]


def test_each_chain_of_a_pair_has_its_flags(run_step):
    batch = pa.record_batch(
        {
            "anarci_status_heavy": ["|Deletions: 10||||"],
            "anarci_status_light": ["['Insertion: 44A']"],
        }
    )
    table, *_ = run_step(ParseAnarci(keep_text=True), [batch])
    row = table.to_pylist()[0]
    assert (row["has_deletions_heavy"], row["has_deletions_light"]) == (True, False)
    assert (row["has_insertions_heavy"], row["has_insertions_light"]) == (False, True)
    assert row["anarci_status_heavy"] == "|Deletions: 10||||"


def read_by_python(text):
    """Position -> residue, as `ast` reads it."""
    regions = ast.literal_eval(text)
    return {key.strip(): residue for region in regions.values() for key, residue in region.items()}


def printed(regions):
    """The dictionary as ANARCI prints it."""
    return repr({name: dict(positions) for name, positions in regions.items()})


def test_numbering_of_real_shaped_chains(run_step):
    rng = np.random.default_rng(0)
    texts = [
        draw_chain(locus, rng).cells["ANARCI_numbering"].text for locus in "HKL" for _ in range(60)
    ]
    batch = pa.record_batch({"anarci_status": [""] * len(texts), "anarci_numbering": texts})
    table, _, counts = run_step(ParseAnarci(positions=True), [batch])
    assert counts == {}
    assert "anarci_numbering" not in table.schema.names
    for text, positions, residues in zip(
        texts,
        table["imgt_positions"].to_pylist(),
        table["imgt_residues"].to_pylist(),
        strict=True,
    ):
        assert dict(zip(positions, residues, strict=True)) == read_by_python(text)


def test_positions_come_in_imgt_order():
    text = printed({"cdrh3": [("112 ", "Y"), ("111 ", "A"), ("112A", "S"), ("111A", "G")]})
    numbered = read_numbering(pa.array([text]))
    positions = [LABELS[code] for code in numbered.codes]
    assert positions == ["111", "111A", "112A", "112"]
    assert numbered.residues.tobytes() == b"AGSY"


WHOLE = printed({"fwk1": [("1 ", "D"), ("2 ", "I")], "cdrk1": [], "cdrk3": [("111A", "G")]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "{}",
        "{'fwk1': {}}",
        WHOLE[:-1],
        WHOLE[:-2] + "]",
        WHOLE + " ",
        WHOLE.replace("'1 '", "'1'x"),
        WHOLE.replace("'1 '", "'0 '"),
        WHOLE.replace("'1 '", "'129 '"),
        WHOLE.replace("'1 '", "'2 '"),
        WHOLE.replace("'1 '", "'1-'"),
        WHOLE.replace("'D'", "'DD'"),
        WHOLE.replace("'D'", "'d'"),
        WHOLE.replace("'D'", "__import__('os')"),
        WHOLE.replace(", 'cdrk1'", " 'cdrk1'"),
        WHOLE.replace("'", '"'),
    ],
)
def test_what_is_no_numbering_is_null_and_its_neighbours_are_read(text):
    numbered = read_numbering(pa.array([WHOLE, text, WHOLE]))
    assert numbered.readable.tolist() == [True, False, True]
    assert numbered.offsets.tolist() == [0, 3, 3, 6]
    assert numbered.residues.tobytes() == b"DIGDIG"


def test_unreadable_numbering_is_counted(run_step):
    texts = pa.array([WHOLE, "{'fwk1': {'1 ': 'D'", None])
    batch = pa.record_batch({"anarci_status": pa.array([""] * 3), "anarci_numbering": texts})
    table, _, counts = run_step(ParseAnarci(positions=True), [batch])
    assert counts == {"anarci_numbering:R08": 1}
    assert table["imgt_residues"].to_pylist() == ["DIG", None, None]
    assert table["imgt_positions"].to_pylist() == [["1", "2", "111A"], None, None]


NUMBERS = st.integers(1, 128).flatmap(
    lambda number: st.sampled_from([f"{number} ", f"{number}A", f"{number}B", f"{number}"])
)
REGION = st.lists(st.tuples(NUMBERS, st.sampled_from("ACDY*")), max_size=6)


@given(st.lists(REGION, min_size=1, max_size=4), st.integers(0, 3))
def test_numbering_reads_what_python_reads(regions, shift):
    names = ("fwh1", "cdrh1", "fwh2", "cdrh2")
    text = printed(dict(zip(names, regions, strict=False)))
    expected = read_by_python(text)
    keys = [key for region in ast.literal_eval(text).values() for key in region]
    readable = bool(keys) and len({key.strip() for key in keys}) == len(keys)
    column = pa.array(["x" * shift, text, "y"]).slice(1, 1)
    numbered = read_numbering(column)
    assert numbered.readable.tolist() == [readable]
    if readable:
        positions = [LABELS[code] for code in numbered.codes]
        residues = numbered.residues.tobytes().decode()
        assert dict(zip(positions, residues, strict=True)) == expected


def test_positions_need_the_numbering():
    schema = pa.schema([("anarci_status", pa.string())])
    assert "imgt_positions" not in ParseAnarci().schema(schema).names
    with pytest.raises(DataError, match="anarci_numbering"):
        ParseAnarci(positions=True).schema(schema)
