"""Steps of every kind through the engine: right rows, closed accounts, and only what changed."""

import json

import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.engine.forecast import forecast
from onetrip.data.engine.run import run
from onetrip.data.store.dataset import open_finished

NUMBERS = "toy_steps:Numbers"
DISTINCT = "toy_steps:Distinct"
ORDERED = "toy_steps:Ordered"
LEARNT = "toy_steps:Learnt"
SCALED = "toy_steps:Scaled"


def test_every_kind_of_step_gives_the_right_rows_and_a_closed_account(
    folder, tmp_path, recipe_of, rows_of
):
    recipe = recipe_of(
        {NUMBERS: {}, "cache": False},
        {"filter": {"where": ["n >= 10"]}},
        DISTINCT,
        LEARNT,
        SCALED,
        ORDERED,
    )
    result = run(recipe, folder, tmp_path / "out", executor="inline")
    assert result.exit_code == 0
    rows = rows_of(tmp_path / "out")
    # id0 to id9 are below 10 in the first unit, and come again in the third.
    expected = sorted(
        [(n, f"id{n}") for n in range(10, 80)] + [(n, f"id{n - 80}") for n in range(80, 90)]
    )
    assert [(row["n"], row["id"]) for row in rows] == expected
    assert [row["share"] for row in rows] == [n / 89 for n, _ in expected]
    accounts = result.accounts
    assert accounts["filter"].dropped == {"n >= 10": 10}
    assert accounts["distinct"].dropped == {"duplicate": 30}
    assert list(accounts) == ["csv", "numbers", "filter", "distinct", "scaled", "ordered"]
    finished = open_finished(tmp_path / "out")
    assert json.loads(finished.artifacts["largest.json"].read_bytes()) == 89
    assert finished.rows == len(rows)
    assert not (tmp_path / "out" / "scratch").exists()
    finished.artifacts["largest.json"].unlink()
    assert run(recipe, folder, tmp_path / "out", executor="inline").ran == ("learnt",)
    assert finished.artifacts["largest.json"].exists()


def test_fused_exchange_gives_the_same_rows_as_a_written_one(folder, tmp_path, recipe_of, rows_of):
    written = recipe_of(NUMBERS, DISTINCT, ORDERED)
    fused = recipe_of({NUMBERS: {}, "cache": False}, DISTINCT, ORDERED)
    for name, recipe in (("written", written), ("fused", fused)):
        run(recipe, folder, tmp_path / name, executor="inline")
    assert rows_of(tmp_path / "written") == rows_of(tmp_path / "fused")
    assert len(rows_of(tmp_path / "fused")) == 80


def test_second_run_runs_nothing_and_another_filter_only_what_follows(
    folder, tmp_path, recipe_of, rows_of
):
    def steps(bound):
        return recipe_of(NUMBERS, {"filter": {"where": [f"n < {bound}"]}}, DISTINCT, ORDERED)

    out = tmp_path / "out"
    everything = ("csv", "numbers", "filter", "distinct.scatter", "distinct", "ordered")
    assert run(steps(60), folder, out, executor="inline").ran == everything
    assert run(steps(60), folder, out, executor="inline").ran == ()
    assert run(steps(50), folder, out, executor="inline").ran == everything[2:]
    assert [row["n"] for row in rows_of(out)] == list(range(50))
    # The first filter's rows are still there.
    assert run(steps(60), folder, out, executor="inline").ran == ()
    assert [row["n"] for row in rows_of(out)] == list(range(60))


def test_exchange_fused_with_the_next_is_not_repeated(folder, tmp_path, recipe_of):
    twice = recipe_of(NUMBERS, {DISTINCT: {}, "cache": False}, DISTINCT, ORDERED)
    first = run(twice, folder, tmp_path / "out", executor="inline")
    assert first.rows == 80
    assert not list((tmp_path / "out").glob("stages/*/*.arrow"))
    assert run(twice, folder, tmp_path / "out", executor="inline").ran == ()
    assert forecast(twice, folder, tmp_path / "out").stages[-1].says == "cached"


def test_exchange_that_needs_no_other_row_is_not_exchanged(tmp_path, rows_of):
    """Clonotypes as they are go without buckets, near ones through them, to the same numbers."""
    path = tmp_path / "in" / "clones.csv"
    path.parent.mkdir()
    names = ["v_gene", "j_gene", "cdr3_aa", "sequence_aa"]
    clones = [f"V{n % 7},J,{'ACDEFGHIKL'[n % 10] * 12},S{n}" for n in range(500)]
    path.write_text("\n".join([",".join(names), *clones]))

    def of(identity, out):
        entry = {"cluster": {"identity": identity}}
        recipe = {"source": {"csv": {"columns": names}}, "steps": [entry]}
        result = run(recipe, path, tmp_path / out, executor="inline")
        assert result.accounts["cluster"].rows_in == result.accounts["cluster"].rows_out == 500
        return result.ran, {
            row["sequence_aa"]: row["cluster_id"] for row in rows_of(tmp_path / out)
        }

    ran, exact = of(1.0, "exact")
    exchanged, near = of(0.9, "near")
    assert (ran, exchanged) == (("csv", "cluster"), ("csv", "cluster.scatter", "cluster"))
    # No two of these are near: both ways number the same clonotypes.
    assert exact == near
    assert len(set(exact.values())) == 70


def test_another_unit_runs_alone_and_one_that_is_gone_leaves_no_row(
    write_csv, tmp_path, recipe_of, rows_of
):
    large = [(f"row-with-a-name-of-its-own-{n:0200}", n) for n in range(20_000)]
    folder = write_csv("a.csv", large)
    write_csv("b.csv", large)
    run(recipe_of(NUMBERS), folder, tmp_path / "out", executor="inline")
    write_csv("c.csv", [("c", 1)])
    result = run(recipe_of(NUMBERS), folder, tmp_path / "out", executor="inline")
    assert result.rows == 40_001
    sidecars = sorted((tmp_path / "out" / "stages").glob("00-*/task-*.json"))
    assert len(sidecars) == 3
    (folder / "b.csv").unlink()
    assert run(recipe_of(NUMBERS), folder, tmp_path / "out", executor="inline").ran == ()
    assert {row["unit_id"] for row in rows_of(tmp_path / "out")} == {"a.csv", "c.csv"}
    assert len(list((tmp_path / "out" / "stages").glob("00-*/part-*.parquet"))) == 2


def test_step_that_loses_rows_silently_is_found(folder, tmp_path, recipe_of):
    with pytest.raises(DataError, match="took 120 rows and accounts for 119"):
        run(recipe_of("toy_steps:Liar"), folder, tmp_path / "out", executor="inline")


@pytest.mark.parametrize(
    ("recipe", "error", "message"),
    [
        ({"source": "cvs"}, ArgumentError, "Did you mean 'csv'"),
        ({"source": {"csv": {"column": ["a"]}}}, ArgumentError, "Did you mean 'columns'"),
        ({"source": {"csv": {"columns": "id"}}}, ArgumentError, "type list of str"),
        ({"source": "csv", "steps": ["filtre"]}, ArgumentError, "Did you mean 'filter'"),
        ({"source": "csv", "step": []}, DataError, "`source` and `steps`"),
        ({"source": "csv", "steps": "filter"}, DataError, "behind a dash"),
        ({"source": "csv", "steps": {"filter": {"where": ["n > 1"]}}}, DataError, "behind a dash"),
        ({"source": "csv", "steps": ["standardise"]}, DataError, "Step `standardise`: `columns`"),
        ({"source": "csv", "steps": ["tokenise_bpe"]}, DataError, "^Step `tokenise_bpe` reads"),
        ({"source": "csv", "steps": [{"filter": {}, "cache": 3}]}, DataError, "a name, or a"),
        ({"source": "csv", "steps": [{"filter": {"where": ["x > 1"]}}]}, DataError, "x > 1"),
        ({"source": "csv", "steps": [{"filter": {"preset": "x"}}]}, ArgumentError, "preset"),
        ({"source": "csv", "steps": ["toy_steps:Nothing"]}, ArgumentError, "package.module"),
        ({"source": "csv", "steps": [SCALED]}, DataError, r"largest.json"),
        ({"source": {"csv": {}, "cache": False}, "steps": [ORDERED]}, ArgumentError, "cache"),
        ({"source": "csv", "steps": [{LEARNT: {}, "cache": False}]}, ArgumentError, "learns"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_runs(recipe, error, message, folder, tmp_path):
    with pytest.raises(error, match=message):
        run(recipe, folder, tmp_path / "out", executor="inline")
    assert not (tmp_path / "out" / "stages").exists()


def test_step_that_reads_a_missing_column_names_it(write_csv, tmp_path):
    folder = write_csv("a.csv", [("x", 1)])
    recipe = {"source": {"csv": {"columns": ["id"]}}, "steps": [NUMBERS]}
    with pytest.raises(DataError, match=r"`numbers` reads the columns \['n'\]"):
        run(recipe, folder, tmp_path / "out", executor="inline")
