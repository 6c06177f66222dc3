"""`onetrip data oas`: from a script or a fixture to Parquet."""

import json

import pyarrow.parquet as pq
import pytest

from onetrip.cli.main import main


def onetrip(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as end:
        main(["data", "oas", *map(str, arguments)])
    printed = capsys.readouterr()
    assert end.value.code == code, printed.err
    return printed.out


def test_fixture_manifest_and_ingest(tmp_path, capsys):
    units = tmp_path / "units"
    options = ("--rows", 400, "--units", 5, "--paired-units", 2, "--defects", "short_row")
    said = json.loads(onetrip(capsys, "make-fixture", units, *options, "--json"))
    assert (said["units"], said["broken_units"], said["rows"]) == (8, 1, 400 + 2 * 200 + 59)
    listed = json.loads(
        onetrip(capsys, "manifest", units, "-o", tmp_path / "manifest.parquet", "--json")
    )
    assert (listed["unpaired"], listed["paired"]) == (6, 2)
    common = ("--workers", 1, "--progress", "none", "--json")
    for subset, rows, code in (("unpaired", 459, 3), ("paired", 400, 0)):
        dataset = tmp_path / subset
        told = onetrip(capsys, "ingest", units / subset, "-o", dataset, *common, code=code)
        assert json.loads(told)["rows"] == rows
        tables = [pq.read_table(path) for path in (dataset / "stages").rglob("*.parquet")]
        assert sum(table.num_rows for table in tables) == rows


def test_the_same_seed_makes_the_same_bytes(tmp_path, capsys):
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        onetrip(capsys, "make-fixture", folder, "--rows", 60, "--units", 3, "--defects", "all")
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in folders
    )
    assert first == second


def test_salvage_keeps_a_part(tmp_path, capsys):
    units = tmp_path / "units"
    options = ("--rows", 10, "--units", 1, "--defects", "truncated_gzip")
    onetrip(capsys, "make-fixture", units, *options)
    broken = next(units.rglob("*truncated*"))
    common = ("--workers", 1, "--progress", "none", "--json")
    common = (*common, "--max-bad-units", "100%", "--max-bad-rows", "50%")
    refused = onetrip(capsys, "ingest", broken, "-o", tmp_path / "a", *common, code=3)
    assert json.loads(refused)["rows"] == 0
    kept = onetrip(capsys, "ingest", broken, "-o", tmp_path / "b", "--salvage", *common, code=3)
    assert 0 < json.loads(kept)["rows"] < 60


def test_wishes_that_cannot_be_met_are_user_errors(tmp_path, capsys):
    onetrip(capsys, "manifest", tmp_path / "none", "-o", tmp_path / "m.parquet", code=2)
    onetrip(capsys, "make-fixture", tmp_path, "--defects", "tarot", code=2)
    onetrip(capsys, "make-fixture", tmp_path, "--rows", 1, "--units", 2, code=2)
    folder = tmp_path / "units"
    onetrip(capsys, "make-fixture", folder, "--rows", 3, "--units", 1, "--paired-units", 1)
    onetrip(capsys, "fetch", folder, tmp_path / "out", code=2)
    onetrip(capsys, "ingest", folder, "-o", tmp_path / "ds", code=2)
    onetrip(
        capsys, "ingest", folder / "unpaired", "-o", tmp_path / "ds", "--columns", "tarot", code=2
    )


def test_the_demo_shows_every_count(tmp_path, capsys):
    told = onetrip(capsys, "demo", tmp_path, "--rows", 600, "--progress", "none", "--json")
    result = json.loads(told)
    read = result["accounts"]["oas"]
    assert read["rows_in"] == 600 + 3 * 60
    assert read["rejected"] == 3
    assert result["damage"]["bad_units"] == 2
    assert 0 < result["rows"] < 600 + 3 * 60


def test_the_demo_takes_real_chains(tmp_path, capsys):
    v = [codons.ljust(width, ".") for codons, width in (("CAG" * 26, 78), ("GGA" * 8, 36))]
    v += ["TGG" * 17, ("AGC" * 8).ljust(30, "."), ("GAC" * 38 + "TGT").ljust(117, ".")]
    aligned = "".join(v) + "GCGAGAGATTAC" + "TGGGGCCAGGGA"
    head = "sequence_alignment\tjunction\tlocus"
    row = f"{aligned}\tTGTGCGAGAGATTACTGG\tIGH"
    (tmp_path / "rows.tsv").write_text("\n".join([head, row, row]) + "\n")
    told = onetrip(
        capsys, "demo", tmp_path / "demo", "--real", tmp_path / "rows.tsv",
        "--progress", "none", "--json",
    )  # fmt: skip
    result = json.loads(told)
    assert result["accounts"]["oas"]["rows_in"] == 2 + 3 * 60
    assert (tmp_path / "demo" / "units" / "unpaired" / "Package_2026").is_dir()
