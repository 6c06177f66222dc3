"""Workers that cannot start are told of; those that can import no more than they need."""

import subprocess
import sys

import pytest

from onetrip.core.errors import DataError
from onetrip.data.engine.executors import local
from onetrip.data.engine.run import run

PANDAS = """
import sys
from onetrip.data.engine.executors.without_pandas import leave_pandas_out, let_pandas_in
from onetrip.data.steps.filter import Filter
leave_pandas_out()
import pyarrow as pa
pa.array(["x"])
assert "pandas" not in sys.modules
let_pandas_in([Filter()] if {ours} else [object()])
if {ours}:
    assert "pandas" not in sys.modules
else:
    import pandas
    assert pa.array(pandas.Series([1.0, float("nan")])).null_count == 1
print("fine")
"""


def test_workers_that_cannot_start_end_the_run(folder, tmp_path, recipe_of, monkeypatch):
    monkeypatch.setattr(local, "_PROGRAM", "raise SystemExit(7)")
    with pytest.raises(DataError, match="exit code 7 before it took a task"):
        run(recipe_of("toy_steps:Numbers"), folder, tmp_path / "out", workers=1)


@pytest.mark.parametrize("ours", [True, False])
def test_arrow_asks_pandas_only_where_a_step_comes_from_outside(ours):
    pytest.importorskip("pandas")
    program = PANDAS.format(ours=ours)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("fine", 0), done.stderr
