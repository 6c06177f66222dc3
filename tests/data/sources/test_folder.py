"""What a folder holds beside files that can be read: it is told, and costs its unit alone."""

import gzip
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onetrip.core.errors import DataError
from onetrip.data.engine.run import run
from onetrip.data.sources.airr import Airr
from onetrip.data.sources.csv import Csv
from onetrip.data.sources.folder import find_units
from onetrip.data.sources.jsonl import Jsonl
from onetrip.data.sources.oas.manifest import read_folder
from onetrip.data.sources.oas.source import Oas
from onetrip.data.sources.oas.synthetic.unit import write_unit
from onetrip.data.sources.parquet import Parquet
from onetrip.data.store.quarantine import entries

BEARING = {"executor": "inline", "max_bad_units": "90%"}


def write_table(path):
    pq.write_table(pa.table({"n": [1, 2]}), path)


WRITERS = {
    Airr: ("tsv", lambda path: path.write_text("n\n1\n2\n")),
    Csv: ("csv", lambda path: path.write_text("n\n1\n2\n")),
    Jsonl: ("jsonl", lambda path: path.write_text('{"n": 1}\n{"n": 2}\n')),
    Oas: ("csv.gz", lambda path: write_unit(path, 2, seed=0)),
    Parquet: ("parquet", write_table),
}


@pytest.mark.parametrize("source", WRITERS, ids=lambda source: source.name)
def test_links_that_lead_nowhere_are_bad_units_of_every_source(source, tmp_path):
    suffix, write = WRITERS[source]
    folder = tmp_path / "in"
    folder.mkdir()
    # The first in the order of names: what is open is learnt from the second.
    (folder / f"a.{suffix}").symlink_to(tmp_path / f"gone.{suffix}")
    write(folder / f"b.{suffix}")
    (folder / f"c.{suffix}").symlink_to(f"c.{suffix}")
    result = run({"source": source.name}, folder, tmp_path / "out", **BEARING)
    assert (result.rows, result.exit_code, result.damage.bad_units) == (2, 3, 2)
    found = {(one.unit_id, one.code) for one in entries(result.dataset)}
    assert found == {(f"{name}.{suffix}", "U18") for name in "ac"}
    assert "No such file" in entries(result.dataset)[0].message
    # What the link led to is there again: the same command reads it.
    write(tmp_path / f"gone.{suffix}")
    result = run({"source": source.name}, folder, tmp_path / "out", **BEARING)
    assert (result.rows, result.damage.bad_units) == (4, 1)


def test_folders_that_may_not_be_listed_are_bad_units(tmp_path, monkeypatch):
    # Root may list everything: the system's answer is played.
    listed = os.listdir

    def refuse(folder):
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    for name in ("open", "closed"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "a.csv").write_text("n\n1\n")
    (tmp_path / "in" / "lost").symlink_to(tmp_path / "gone")
    (tmp_path / "in" / "lost.txt").symlink_to(tmp_path / "gone")
    result = run({"source": "csv"}, tmp_path / "in", tmp_path / "out", **BEARING)
    assert (result.rows, result.damage.units, result.damage.bad_units) == (1, 3, 2)
    found = [(one.unit_id, one.code) for one in entries(result.dataset)]
    assert found == [("closed", "U18"), ("lost", "U18")]
    with pytest.raises(DataError, match=r"that may be listed, got '.*closed': Permission denied"):
        find_units(tmp_path / "in" / "closed", ["*.csv"])


def test_files_that_may_not_be_read_are_read_once_they_may(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("n\n1\n")
    (readable,) = find_units(tmp_path, ["*.csv"])
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (unreadable,) = find_units(tmp_path, ["*.csv"])
    assert (unreadable.unit_id, unreadable.bytes) == (readable.unit_id, 0)
    assert unreadable.stamp != readable.stamp


def test_links_to_folders_are_followed_and_a_circle_ends(tmp_path):
    (tmp_path / "disk" / "study").mkdir(parents=True)
    (tmp_path / "disk" / "study" / "a.csv").write_text("n\n1\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "round").symlink_to(tmp_path / "in")
    assert [unit.unit_id for unit in find_units(tmp_path / "in", ["*.csv"])] == [
        "linked/study/a.csv"
    ]


def test_names_are_taken_as_people_write_them(tmp_path):
    text = b"n\n1\n"
    for name, content in (
        ("Größe 1 (neu).csv", text),
        ("UPPER.CSV", text),
        ("b.csv.gz", gzip.compress(text)),
        (".ipynb_checkpoints/b.csv", text),
    ):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    result = run({"source": "csv"}, tmp_path / "in", tmp_path / "out", executor="inline")
    assert (result.rows, result.damage.units, result.exit_code) == (3, 3, 0)


def test_a_manifest_names_what_cannot_be_read(tmp_path):
    (tmp_path / "a.csv.gz").symlink_to(tmp_path / "gone")
    (entry,) = read_folder(tmp_path).entries
    assert (entry.path, entry.bytes, entry.fault) == ("a.csv.gz", 0, "U18")


def test_an_inflated_unit_is_told_and_another_table_is_none(tmp_path):
    path = tmp_path / "in" / "a.csv.gz"
    path.parent.mkdir()
    write_unit(path, 3, seed=0)
    path.with_name("b.csv").write_bytes(gzip.decompress(path.read_bytes()))
    path.with_name("overview.csv").write_text("unit,rows\na,3\n")
    path.with_name("empty.csv").touch()
    result = run({"source": "oas"}, tmp_path / "in", tmp_path / "out", **BEARING)
    assert (result.rows, result.damage.units, result.damage.bad_units) == (3, 2, 1)
    assert [(one.unit_id, one.code) for one in entries(result.dataset)] == [("b.csv", "U01")]
