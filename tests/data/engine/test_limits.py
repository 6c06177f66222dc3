"""Limits, exit codes, quarantine: what is set aside is told, and too much of it ends the run."""

import json

import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.engine.limits import Damage, Limit, Limits
from onetrip.data.engine.run import run
from onetrip.data.store.quarantine import entries, groups, retry
from onetrip.data.store.status import last_run

NUMBERS = "toy_steps:Numbers"


@pytest.fixture
def spoilt(write_csv, tmp_path):
    """100 rows, 2 with a field too many, 1 whose n is no number; and a gzip that ends early."""
    import gzip

    rows = [(f"a{n}", n) for n in range(97)]
    write_csv("a.csv", [*rows, ("x", "1,2"), ("y", "3,4"), ("z", "many")])
    folder = tmp_path / "in"
    whole = gzip.compress(b"id,n\n" + b"b,1\n" * 5000)
    (folder / "cut.csv.gz").write_bytes(whole[:-20])
    return folder


def test_what_is_set_aside_is_told_row_by_row(spoilt, tmp_path, recipe_of):
    result = run(
        recipe_of(NUMBERS), spoilt, tmp_path / "out", max_bad_rows="3%", max_bad_units="50%",
        executor="inline",
    )  # fmt: skip
    assert (result.exit_code, result.rows) == (3, 97)
    assert (result.damage.bad_rows, result.damage.bad_units, result.damage.rows) == (3, 1, 100)
    found = entries(tmp_path / "out")
    assert [(e.unit_id, e.line, e.code, e.column) for e in found] == [
        ("a.csv", 99, "R01", ""),
        ("a.csv", 100, "R01", ""),
        ("cut.csv.gz", 0, "U04", ""),
        ("a.csv", 101, "R05", "n"),
    ]
    assert found[0].raw == "x,1,2"
    assert found[3].raw == "many"
    assert entries(tmp_path / "out", code="R05") == [found[3]]
    assert entries(tmp_path / "out", unit="cut.csv.gz") == [found[2]]
    assert entries(tmp_path / "out", limit=1) == found[:1]
    [bad] = json.loads((tmp_path / "out" / "quarantine" / "bad_units.json").read_text())
    assert (bad["unit_id"], bad["state"], bad["code"]) == ("cut.csv.gz", "bad", "U04")
    told = {(group.step, group.code): group.entries for group in groups(tmp_path / "out")}
    assert told == {("csv", "R01"): 2, ("csv", "U04"): 1, ("numbers", "R05"): 1}


def test_bad_units_are_read_again_after_a_retry(spoilt, tmp_path, recipe_of):
    import gzip

    def again():
        return run(
            recipe_of(NUMBERS), spoilt, tmp_path / "out", max_bad_rows="3%", max_bad_units="1",
            executor="inline",
        )  # fmt: skip

    assert again().rows == 97
    assert again().ran == ()
    assert retry(tmp_path / "out") == 1
    assert again().ran == ("csv",)
    (spoilt / "cut.csv.gz").write_bytes(gzip.compress(b"id,n\nb,1\n"))
    assert again().rows == 98


@pytest.mark.parametrize(
    ("limits", "code", "why"),
    [
        ({"max_bad_rows": "3%", "max_bad_units": "50%"}, 3, ""),
        ({"max_bad_rows": "3", "max_bad_units": "1"}, 3, ""),
        ({"max_bad_rows": "2%", "max_bad_units": "1"}, 4, "3 of 100 rows"),
        ({"max_bad_rows": "2", "max_bad_units": "1"}, 4, "of 100 rows"),
        ({"max_bad_rows": "9%"}, 4, "1 of 2 units"),
        ({"max_bad_rows": "9%", "max_bad_units": "50%", "strict": True}, 4, "units are bad"),
    ],
)
def test_limits_decide_the_exit_code(limits, code, why, spoilt, tmp_path, recipe_of):
    result = run(recipe_of(NUMBERS), spoilt, tmp_path / "out", executor="inline", **limits)
    assert result.exit_code == code
    assert why in result.message
    status = last_run(tmp_path / "out")
    assert status.exit_code == code
    assert status.state == ("failed" if code == 4 else "done")


def test_a_run_that_ends_early_tells_what_it_met(write_csv, tmp_path, recipe_of):
    folder = write_csv("a.csv", [(f"a{n}", n) for n in range(10)])
    (folder / "b.csv").write_text("other\n1\n")
    result = run(recipe_of(NUMBERS), folder, tmp_path / "out", executor="inline")
    assert (result.exit_code, result.rows) == (4, 0)
    # The message counts one bad unit, and so do the numbers beside it.
    assert "1 of 2 units are bad" in result.message
    assert (result.damage.bad_units, result.accounts["csv"].rows_in) == (1, 10)
    [bad] = json.loads((tmp_path / "out" / "quarantine" / "bad_units.json").read_text())
    assert bad["code"] == "U10"
    assert "and has other." in bad["message"]


def test_what_a_source_salvages_stays_and_counts_as_partial(tmp_path, write_csv, rows_of):
    folder = write_csv("a.csv", [(f"a{n}", n) for n in range(10)])
    write_csv("b.csv", [(f"b{n}", n) for n in range(10)])
    recipe = {"source": {"toy_steps:Breaking": {"columns": ["id", "n"]}}}
    result = run(recipe, folder, tmp_path / "out", executor="inline")
    assert (result.exit_code, result.rows) == (3, 20)
    assert (result.damage.partial_units, result.damage.bad_units) == (2, 0)
    assert {(e.unit_id, e.line, e.code) for e in entries(tmp_path / "out")} == {
        ("a.csv", 0, "U05"),
        ("b.csv", 0, "U05"),
    }
    lost = {"source": {"toy_steps:Breaking": {"columns": ["id", "n"], "salvage": False}}}
    result = run(lost, folder, tmp_path / "out", executor="inline", max_bad_units="100%")
    assert (result.exit_code, result.rows, result.damage.bad_units) == (3, 0, 2)


def test_limits_are_exact_at_their_edge():
    limits = Limits(Limit.read("1%"), Limit.read("0"))
    assert not Damage(1000, 10, 5, 0, 0).exceeded(limits)
    assert "11 of 1000" in Damage(1000, 11, 5, 0, 0).exceeded(limits)
    assert Damage(1000, 11, 5, 0, 0).exceeded(limits, rows_are_all=False) == ""
    assert "1 of 5 units" in Damage(1000, 0, 5, 1, 0).exceeded(limits)
    assert [Damage(9, *rest).exit_code for rest in ((0, 1, 0, 0), (1, 1, 0, 0), (0, 1, 0, 1))] == [
        0,
        3,
        3,
    ]


@pytest.mark.parametrize("text", ["", "1.5", "-1", "101%", "x%", "1 %%"])
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(ArgumentError, match="a share like 1%"):
        Limit.read(text, "max-bad-rows")


def test_no_input_and_no_dataset_are_told(tmp_path, recipe_of):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"files like \*.csv"):
        run(recipe_of(), tmp_path / "empty", tmp_path / "out")
    for look in (entries, retry):
        with pytest.raises(DataError, match="onetrip data run"):
            look(tmp_path / "out")
    assert not (tmp_path / "out").exists()
