"""An export has every row of a campaign and no secret, and appears whole or not at all."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from onetrip.core.errors import ArgumentError, MissingDependencyError
from onetrip.lab.export import files as module
from onetrip.lab.export.files import FORMATS, export
from onetrip.lab.export.rows import LEFT_OUT, TABLES
from onetrip.lab.store.database import connect

_TOOLS = str(Path(__file__).resolve().parents[3] / "tools")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A made-up laboratory that nobody writes into."""
    sys.path.insert(0, _TOOLS)
    try:
        from fill_lab import fill
    finally:
        sys.path.remove(_TOOLS)
    path = tmp_path_factory.mktemp("export") / "lab.sqlite"
    fill(path, 80)
    connection = connect(path)
    yield connection
    connection.close()


def count(connection, table, condition="true"):
    return connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0]


def tables_of(target, format):
    """Table -> rows as dictionaries, as another program would read them."""
    if format == "json":
        return json.loads(target.read_text())["tables"]
    if format == "csv":
        return {
            path.stem: list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
            for path in target.glob("*.csv")
        }
    parquet = pytest.importorskip("pyarrow.parquet")
    return {path.stem: parquet.read_table(path).to_pylist() for path in target.glob("*.parquet")}


@pytest.mark.parametrize("format", FORMATS)
def test_whole_lab_is_there_row_by_row(filled, tmp_path, format):
    target = tmp_path / "out"
    told = export(filled, target, format=format)
    found = tables_of(target, format)
    assert set(found) == set(TABLES)
    for table in TABLES:
        assert len(found[table]) == told.rows[table] == count(filled, table), table
    assert told.rows["experiment"] > 80
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("format", FORMATS)
def test_campaign_takes_what_is_its_own(filled, tmp_path, format):
    export(filled, tmp_path / "out", campaign_id=2, format=format)
    found = tables_of(tmp_path / "out", format)
    own = count(filled, "experiment", "campaign_id = 2")
    assert 0 < len(found["experiment"]) == own < count(filled, "experiment")
    assert {str(row["campaign_id"]) for row in found["experiment"]} == {"2"}
    assert {row["name"] for row in found["problem"]} == {"row_softmax"}
    attempts = {str(row["id"]) for row in found["attempt"]}
    assert {str(row["attempt_id"]) for row in found["measurement"]} <= attempts
    assert len(found["study"]) == 1


def test_what_rows_refer_to_is_there_too(filled, tmp_path):
    """No reference of an exported row leads outside, but to its own campaign's boundary."""
    export(filled, tmp_path / "out.json", campaign_id=1, format="json")
    found = tables_of(tmp_path / "out.json", "json")
    for table, rows in found.items():
        for reference in filled.execute(f"PRAGMA foreign_key_list({table})").fetchall():
            known = {row[reference["to"]] for row in found[reference["table"]]}
            used = {row[reference["from"]] for row in rows} - {None}
            # An experiment may have come from one of another campaign.
            if (table, reference["from"]) != ("experiment", "parent_id"):
                assert used <= known, (table, reference["from"])
    nodes = {(kind, row["id"]) for kind in ("experiment", "hypothesis", "learning", "candidate",
             "problem") for row in found[kind]}  # fmt: skip
    assert found["edge"]
    for edge in found["edge"]:
        assert (edge["source_type"], edge["source_id"]) in nodes
        assert (edge["target_type"], edge["target_id"]) in nodes


def test_every_table_is_exported_or_left_out_for_a_reason(filled):
    schema = {
        row[0]
        for row in filled.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'words_%'"
            " AND name NOT LIKE 'sqlite_%'"
        )
    }
    assert schema == set(TABLES) | {name for name in LEFT_OUT if "." not in name}


def test_manifest_states_what_is_in_it(filled, tmp_path):
    told = export(filled, tmp_path / "out", campaign_id=1)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["rows"] == told.rows
    assert manifest["campaign"] == "improve linear_cross_entropy/gpt2"
    assert manifest["left_out"]["worker.token_sha256"] == "is a secret"
    assert manifest["schema"] >= 3


@pytest.mark.parametrize("format", FORMATS)
def test_secrets_stay_at_home(filled, tmp_path, format):
    token = filled.execute("SELECT token_sha256 FROM worker WHERE name = 'far'").fetchone()[0]
    target = tmp_path / "out"
    export(filled, target, format=format)
    files = [target] if target.is_file() else list(target.iterdir())
    assert not any(token.encode() in path.read_bytes() for path in files)
    running = count(filled, "attempt", "outcome IS NULL")
    seeds = [row["seed"] for row in tables_of(target, format)["attempt"]]
    assert running > 0
    assert sum(seed in ("", None) for seed in seeds) == running


def test_values_come_back_as_they_were(filled, tmp_path):
    export(filled, tmp_path / "out.json", format="json")
    export(filled, tmp_path / "out", format="parquet")
    by_json = tables_of(tmp_path / "out.json", "json")["measurement"]
    by_parquet = tables_of(tmp_path / "out", "parquet")["measurement"]
    for row, first, second in zip(
        filled.execute("SELECT * FROM measurement ORDER BY rowid"), by_json, by_parquet, strict=True
    ):
        assert first == dict(row) | {
            name: json.loads(row[name]) for name in ("config", "samples_ms", "blocks")
        }
        assert second == dict(row)


def test_sources_are_text_and_other_bytes_base64(connection, tmp_path):
    for sha256, data in (("a", "naïve = 1\n".encode()), ("b", b"\xff\x00")):
        connection.execute("INSERT INTO blob VALUES (?, 'x', 1, ?)", (sha256, data))
    export(connection, tmp_path / "out.json", format="json")
    shown = {row["sha256"]: row["data"] for row in tables_of(tmp_path / "out.json", "json")["blob"]}
    assert shown == {"a": "naïve = 1\n", "b": "base64:/wA="}


def test_numbers_that_json_does_not_know_are_null(connection, tmp_path):
    connection.execute(
        "INSERT INTO problem (fingerprint, kind, name, spec, weight, created_at)"
        " VALUES ('f', 'folder', 'p', '{}', 9e999, 0)"
    )
    export(connection, tmp_path / "out.json", format="json")
    (row,) = tables_of(tmp_path / "out.json", "json")["problem"]
    assert row["weight"] is None


@pytest.mark.parametrize("format", FORMATS)
def test_failure_leaves_nothing_behind(filled, tmp_path, format, monkeypatch):
    def broken(_):
        raise OSError("disk full")

    monkeypatch.setattr(module.RowsOf, "rows", broken)
    with pytest.raises(OSError, match="disk full"):
        export(filled, tmp_path / "out", format=format)
    assert list(tmp_path.iterdir()) == []
    assert not filled.in_transaction


def test_what_others_write_meanwhile_is_not_in_it(database, connection, tmp_path, monkeypatch):
    """All tables are of one moment."""
    other = connect(database)
    real = module._write_json

    def late(chosen, manifest, path):
        other.execute(
            "INSERT INTO problem (fingerprint, kind, name, spec, created_at)"
            " VALUES ('f', 'folder', 'late', '{}', 0)"
        )
        return real(chosen, manifest, path)

    monkeypatch.setattr(module, "_write_json", late)
    told = export(connection, tmp_path / "out.json", format="json")
    other.close()
    assert told.rows["problem"] == 0
    assert count(connection, "problem") == 1


def test_impossible_export_is_refused(filled, tmp_path, monkeypatch):
    with pytest.raises(ArgumentError, match="one of csv"):
        export(filled, tmp_path / "out", format="xlsx")
    with pytest.raises(ArgumentError, match="number of a campaign"):
        export(filled, tmp_path / "out", campaign_id=99)
    (tmp_path / "there").write_text("mine")
    with pytest.raises(ArgumentError, match="where nothing is"):
        export(filled, tmp_path / "there", format="json")
    assert (tmp_path / "there").read_text() == "mine"

    def missing(*_, **__):
        raise MissingDependencyError("pip install 'onetrip[data]'")

    monkeypatch.setattr(module, "require", missing)
    with pytest.raises(MissingDependencyError, match="data"):
        export(filled, tmp_path / "out", format="parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"there"}
