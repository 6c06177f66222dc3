"""The published filters: each rule refuses what it is for, and a pair goes whole."""

import pyarrow as pa
import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.antibody.presets import PRESETS
from onetrip.data.steps.antibody.published import PUBLISHED
from onetrip.data.steps.filter import Filter
from onetrip.data.text.predicate import parse_predicate

GOOD = {
    "productive": True,
    "stop_codon": False,
    "vj_in_frame": True,
    "v_frameshift": False,
    "complete_vdj": True,
    "locus": "H",
    "redundancy": 9,
    "sequence_aa": "QVQLVESGGGLVQPGGSLRLSCAAS" * 4 + "CARDYWGQGTLVTVSS",
    "fwr1_aa": "QVQLVESGGGLVQPGGSLRLSCAAS",
    "fwr4_aa": "WGQGTLVTVSS",
    "cdr1_aa": "GFTFSSYA",
    "cdr2_aa": "ISGSGGST",
    "cdr3_aa": "ARDRGYSSGWY",
    "missing_conserved_cysteine": False,
    "unusual_residue": False,
    "has_insertions": False,
    "has_deletions": False,
    "kappa_gap_21": False,
}
SHORT, LONG = "QVQ", "Q" * 60
# Preset -> rule -> what it refuses.
BAD = {
    "default": {
        "productive": {"productive": False},
        "stop_codon": {"stop_codon": True},
        "out_of_frame": {"vj_in_frame": False},
        "alphabet": {"sequence_aa": "X" + GOOD["sequence_aa"]},
        "missing_cysteine": {"missing_conserved_cysteine": True},
        "unusual_residue": {"unusual_residue": True},
        "fwr1_short": {"fwr1_aa": SHORT},
        "fwr4_short": {"fwr4_aa": SHORT},
        "cdr3_length": {"cdr3_aa": "ARDY"},
        "length": {"locus": "K", "sequence_aa": "A" * 140},
    },
    "antiref": {
        "productive": {"productive": False},
        "incomplete_vdj": {"complete_vdj": False},
        "frameshift": {"v_frameshift": None},
        "out_of_frame": {"vj_in_frame": False},
        "stop_codon": {"stop_codon": True},
        "ambiguous": {"sequence_aa": "QVX"},
        "missing_cysteine": {"missing_conserved_cysteine": True},
    },
    "kasearch": {
        "seen_seldom": {"redundancy": 4},
        "missing_cysteine": {"missing_conserved_cysteine": True},
        "unusual_residue": {"unusual_residue": True},
        "alphabet": {"sequence_aa": "QV*Q"},
    },
    "antiberta": {"fwr1_short": {"fwr1_aa": "Q" * 19}, "fwr4_short": {"fwr4_aa": "W" * 9}},
    "oas-explore": {
        "fwr1_length": {"fwr1_aa": LONG},
        "fwr4_length": {"fwr4_aa": SHORT},
        "cdr1_length": {"cdr1_aa": "QVQL"},
        "cdr2_length": {"cdr2_aa": None},
        "cdr3_length": {"cdr3_aa": "A" * 39},
    },
    "abbert": {
        "productive": {"productive": None},
        "fwr1_short": {"fwr1_aa": None},
        "fwr4_short": {"fwr4_aa": SHORT},
        "insertions": {"has_insertions": True},
        "cdr3_long": {"cdr3_aa": "A" * 38},
        "unusual_residue": {"unusual_residue": True},
        "missing_cysteine": {"missing_conserved_cysteine": True},
        "kappa_gap_21": {"kappa_gap_21": True},
    },
    "strict": {"seen_seldom": {"redundancy": 2}, "deletions": {"has_deletions": True}},
}
CASES = [(preset, rule) for preset, rules in BAD.items() for rule in rules]


def batch(*changes, chains=("",)):
    rows = [{**GOOD, **change} for change in changes]
    types = {name: pa.infer_type([value]) for name, value in GOOD.items()}
    columns = {
        name + chain: pa.array([row[name] for row in rows], kind)
        for chain in chains
        for name, kind in types.items()
    }
    return pa.record_batch({**columns, "row": pa.array(range(len(rows)))})


def test_every_rule_has_a_case():
    assert PRESETS.keys() == PUBLISHED.keys() == BAD.keys()
    for preset, published in PUBLISHED.items():
        shared = PUBLISHED["abbert"].rules.keys() if preset == "strict" else set()
        assert published.rules.keys() - shared == BAD[preset].keys()


@pytest.mark.parametrize(("preset", "rule"), CASES)
def test_rule_refuses_what_it_is_for(run_step, preset, rule):
    rows = batch({}, BAD[preset][rule], {})
    table, dropped, counts = run_step(Filter(preset=preset), [rows])
    assert dropped == {rule: 1}
    assert counts[f"{rule} (any)"] == 1
    assert table["row"].to_pylist() == [0, 2]


def test_row_is_dropped_once_and_refused_often(run_step):
    rows = batch({}, {"fwr1_aa": SHORT, "fwr4_aa": SHORT}, {"fwr4_aa": SHORT})
    table, dropped, counts = run_step(Filter(preset="antiberta"), [rows])
    assert table.num_rows == 1
    assert dropped == {"fwr1_short": 1, "fwr4_short": 1}
    assert counts == {"fwr1_short (any)": 1, "fwr4_short (any)": 2}


def test_pair_goes_when_one_chain_goes(run_step):
    pairs = batch({}, {}, {}, chains=("_heavy", "_light"))
    short = pa.array([GOOD["fwr1_aa"], GOOD["fwr1_aa"], SHORT])
    place = pairs.schema.get_field_index("fwr1_aa_light")
    pairs = pairs.set_column(place, "fwr1_aa_light", short)
    table, dropped, _ = run_step(Filter(preset="abbert"), [pairs])
    assert dropped == {"fwr1_short": 1}
    assert table["row"].to_pylist() == [0, 1]


def test_missing_column_and_unknown_preset_are_named():
    with pytest.raises(DataError, match="fwr1_aa"):
        Filter(preset="antiberta").schema(pa.schema([("fwr4_aa", pa.string())]))
    with pytest.raises(ArgumentError, match="abbert"):
        Filter(preset="albert").schema(pa.schema([("fwr4_aa", pa.string())]))


def test_cache_key_knows_the_conditions(monkeypatch):
    schema = batch({}).schema
    before = Filter(preset="antiberta").fingerprint("key", schema)
    assert before == Filter(preset="antiberta").fingerprint("key", schema)
    assert before != Filter(preset="abbert").fingerprint("key", schema)
    rules = PRESETS["antiberta"](schema)
    assert "length(fwr1_aa) >= 20" in rules[0].reason


@pytest.mark.parametrize("preset", PUBLISHED)
def test_rules_carry_reason_and_source(preset):
    published = PUBLISHED[preset]
    assert published.source
    for condition in published.rules.values():
        assert condition.reason
        assert parse_predicate(condition.keep).columns
