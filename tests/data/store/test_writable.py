"""Places that cannot be written to, and full disks: one message each from every writer."""

import resource
from contextlib import contextmanager

import pytest

from onetrip.core.errors import DataError
from onetrip.data.engine.run import run
from onetrip.data.export.write import export
from onetrip.data.sources.oas.fetch import fetch
from onetrip.data.sources.oas.manifest import Entry, Manifest, write_manifest
from onetrip.data.sources.oas.synthetic.folder import make_fixture
from onetrip.data.store.dataset import Dataset
from onetrip.data.store.writable import folder_to_write


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("word,n\nyes,1\n")
    return path


@pytest.fixture
def finished(table, tmp_path):
    run({"source": "csv"}, table, tmp_path / "dataset", executor="inline")
    return tmp_path / "dataset"


@contextmanager
def files_of_at_most(size_bytes):
    """Stands in for a full disk: a file that grows beyond raises what that would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_place_below_a_file_is_refused_by_every_writer(table, finished, tmp_path):
    below = table / "below"
    writers = {
        "output": lambda: run({"source": "csv"}, table, below, executor="inline"),
        "target": lambda: export(finished, below),
        "folder": lambda: make_fixture(below, rows=2, units=1),
    }
    for argument, write in writers.items():
        with pytest.raises(DataError, match=rf"`{argument}` must be a folder that can be written"):
            write()
    with pytest.raises(DataError, match="`folder` must be a folder"):
        fetch([Entry("unpaired/A/a.csv.gz")], below)
    with pytest.raises(DataError, match="`output` must be a folder"):
        write_manifest(Manifest(()), below / "m.parquet")


def test_a_folder_that_is_read_only_is_refused(tmp_path, monkeypatch):
    # Who runs the tests may be allowed everything, so that a mode would say nothing.
    monkeypatch.setattr("onetrip.data.store.writable.os.access", lambda path, mode: False)
    with pytest.raises(DataError, match="read-only, or not yours"):
        folder_to_write("output", tmp_path)


def test_a_manifest_goes_into_a_new_folder(tmp_path):
    write_manifest(Manifest((Entry("unpaired/A/a.csv.gz"),)), tmp_path / "new" / "m.parquet")
    assert (tmp_path / "new" / "m.parquet").stat().st_size > 0


def test_a_full_disk_is_told_by_every_writer(finished, tmp_path):
    many = Manifest(tuple(Entry(f"unpaired/A/{n}.csv.gz") for n in range(9)))
    with files_of_at_most(500):
        for write in (
            lambda: make_fixture(tmp_path / "made", rows=20, units=1),
            lambda: write_manifest(many, tmp_path / "m.parquet"),
            lambda: export(finished, tmp_path / "export"),
        ):
            with pytest.raises(DataError, match="S01: the disk of"):
                write()
    assert not list(tmp_path.rglob(".aside*"))
    assert export(finished, tmp_path / "export").rows == {"train": 1}


def test_a_disk_without_room_for_a_lock_is_told(tmp_path):
    with (
        files_of_at_most(0),
        pytest.raises(DataError, match="S01: the disk of"),
        Dataset(tmp_path).locked(0),
    ):
        pass
