"""Every defect of units in the wild: exactly which rows are kept, which set aside, and why."""

from functools import lru_cache
from typing import Any

import pytest

from onetrip.data.codes import CODES
from onetrip.data.sources.oas.source import Oas
from onetrip.data.sources.oas.synthetic import defects
from onetrip.data.sources.oas.synthetic.defects import DEFECTS, multi_member
from onetrip.data.sources.source import UnitError

ROWS = 200
# Of the code: where rows of a broken unit come from. Columns that `standardise` judges.
JUDGED_LATER = {"R05"}

unit_text = lru_cache(defects.unit_text)


def spoilt(name, rows, seed):
    """A unit with one defect, in row 17."""
    return DEFECTS[name].spoil(unit_text(rows, seed), 17)


@pytest.fixture(scope="module")
def good():
    """Sequences of the unit without a defect, in order."""
    return [row.split(b",", 1)[0].decode() for row in unit_text(ROWS, 0).rows]


def read(folder, data, **options):
    """Rows, rejects and the error of a unit of these bytes."""
    path = folder / "unit.csv.gz"
    path.write_bytes(data)
    source = Oas(**options)
    rows, rejects, counts = [], [], {}
    error: Any = None
    (unit,) = source.find(path)
    try:
        for got in source.read(unit):
            rows += got.batch.select(["sequence", "row_in_unit"]).to_pylist()
            rejects += got.rejects
            counts |= got.counts
    except UnitError as caught:
        error = caught
    return rows, rejects, error, counts


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_earns_its_code_and_costs_what_it_must(name, tmp_path, good):
    defect = DEFECTS[name]
    rows, rejects, error, _ = read(tmp_path, spoilt(name, ROWS, seed=0))
    if defect.lost is None:
        assert error.code == defect.code
        assert CODES[defect.code].name in str(error)
        assert not error.salvaged
        return
    assert error is None
    of_rows = [reject for reject in rejects if reject.line]
    assert len(rows) == ROWS - defect.lost
    assert len(of_rows) == defect.lost
    codes = {reject.code for reject in rejects}
    expected = set() if defect.code in JUDGED_LATER else {defect.code} - {""}
    assert expected <= codes
    assert codes - expected <= {"U14"}
    kept = [row["sequence"] for row in rows]
    # Nothing else changed.
    assert len(set(kept) & set(good)) >= ROWS - 1 - defect.lost


@pytest.mark.parametrize("row", [0, 1, 100, ROWS - 1])
@pytest.mark.parametrize("name", [name for name, d in DEFECTS.items() if d.code.startswith("R0")])
def test_a_broken_row_costs_itself_and_has_its_line(name, row, tmp_path, good):
    if name == "bad_number":
        return
    data = DEFECTS[name].spoil(unit_text(ROWS, 0), row)
    rows, rejects, error, _ = read(tmp_path, data)
    assert error is None
    (reject,) = [reject for reject in rejects if reject.line]
    assert reject.line == row + 3
    assert [r["sequence"] for r in rows] == good[:row] + good[row + 1 :]
    assert [r["row_in_unit"] for r in rows] == [n + 1 for n in range(ROWS) if n != row]
    assert reject.raw


def test_raw_text_of_a_bad_byte_is_escaped(tmp_path):
    _, rejects, _, _ = read(tmp_path, spoilt("bad_utf8", 20, seed=1))
    assert rejects[0].raw.startswith("ACGT\\xff,")
    assert rejects[0].column == "sequence"


def test_bad_utf8_in_a_column_that_is_not_read_is_no_fault(tmp_path):
    _, rejects, _, _ = read(tmp_path, spoilt("bad_utf8", 20, seed=1), columns=("locus", "sequence"))
    assert len(rejects) == 1
    path = tmp_path / "unit.csv.gz"
    source = Oas(columns=("locus",))
    (unit,) = source.find(path)
    assert sum(r.batch.num_rows for r in source.read(unit)) == 20


def test_a_value_may_hold_line_breaks(tmp_path, good):
    rows, rejects, error, _ = read(tmp_path, DEFECTS["quoted_newline"].spoil(unit_text(ROWS, 0), 5))
    assert (error, rejects) == (None, [])
    assert rows[5]["sequence"] == "A\nC"
    assert [row["row_in_unit"] for row in rows[4:8]] == [5, 6, 8, 9]


def test_blank_lines_are_counted_and_are_no_rows(tmp_path, good):
    rows, _, _, counts = read(tmp_path, spoilt("blank_line", ROWS, seed=0))
    assert [row["sequence"] for row in rows] == good
    assert counts == {"blank_lines": 1}


def test_members_behind_each_other_are_one_unit(tmp_path, good):
    rows, rejects, error, _ = read(tmp_path, multi_member(unit_text(ROWS, 0), 7))
    assert (error, rejects) == (None, [])
    assert [row["sequence"] for row in rows] == good


@pytest.mark.parametrize("name", ["truncated_gzip", "corrupt_gzip"])
def test_salvage_keeps_every_row_before_the_damage(name, tmp_path, good):
    rows, rejects, error, _ = read(tmp_path, spoilt(name, ROWS, seed=0), salvage=True)
    assert error.salvaged
    assert error.code == DEFECTS[name].code
    kept = [row["sequence"] for row in rows]
    assert len(kept) > ROWS // 4
    if name == "truncated_gzip":
        assert kept == good[: len(kept)]
        assert [reject.code for reject in rejects] == ["R01"]
        assert "breaks off" in rejects[0].message
        assert rejects[0].line == len(kept) + 3
        assert good[len(kept)].startswith(rejects[0].raw.split(",")[0])
    else:
        # Inflating may go astray a little before it notices.
        assert kept[: ROWS // 4] == good[: ROWS // 4]


def test_salvage_of_a_wrong_checksum_keeps_all_rows(tmp_path, good):
    rows, _, error, _ = read(tmp_path, spoilt("wrong_checksum", ROWS, seed=0), salvage=True)
    assert (error.code, error.salvaged) == ("U05", True)
    assert [row["sequence"] for row in rows] == good


def test_nothing_is_salvaged_where_there_is_no_header(tmp_path):
    data = spoilt("truncated_gzip", 50, seed=0)[:60]
    rows, _, error, _ = read(tmp_path, data, salvage=True)
    assert (rows, error.code, error.salvaged) == ([], "U04", False)


def test_metadata_can_be_stated_where_it_is_missing(tmp_path, good):
    stated = ("Species=human", "Chain=Heavy")
    data = spoilt("missing_json", ROWS, seed=0)
    rows, rejects, error, _ = read(tmp_path, data, assume_metadata=stated)
    assert (error, rejects) == (None, [])
    assert [row["sequence"] for row in rows] == good
