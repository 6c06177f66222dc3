"""A small folder of CSV files, and the toy steps, importable here and by workers."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from onetrip.data.store.dataset import open_finished


@pytest.fixture(autouse=True)
def _toy_steps(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield
    sys.modules.pop("toy_steps", None)


@pytest.fixture
def write_csv(tmp_path):
    """Write rows (id, n) to a CSV file below the input folder; the folder comes back."""

    def write(name, rows):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id,n\n" + "".join(f"{a},{b}\n" for a, b in rows))
        return tmp_path / "in"

    return write


@pytest.fixture
def folder(write_csv):
    """Three units of 40 rows; ids 0 to 79, the third unit repeats the first."""
    for unit in range(3):
        rows = [(f"id{row % 80}", row) for row in range(40 * unit, 40 * unit + 40)]
        where = write_csv(f"unit{unit}.csv", rows)
    return where


def rows_of(dataset):
    """All rows of a finished dataset, in order."""
    found = []
    for path in open_finished(dataset).shards:
        found += pq.read_table(path).to_pylist()
    return found


@pytest.fixture(name="rows_of")
def _rows_of():
    return rows_of


def recipe_of(*steps):
    return {"source": {"csv": {"columns": ["id", "n"]}}, "steps": list(steps)}


@pytest.fixture(name="recipe_of")
def _recipe_of():
    return recipe_of
