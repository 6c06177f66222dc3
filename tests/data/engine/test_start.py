"""Workers that cannot start are told of; those that can import no more than they need, and end."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from onetrip.core.errors import DataError, OnetripError
from onetrip.data.engine import run as engine
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


def test_the_first_worker_imports_while_the_run_is_planned(
    folder, tmp_path, recipe_of, monkeypatch
):
    events, start, plan = [], local._start, engine.prepared
    monkeypatch.setattr(local, "_start", lambda: events.append("start") or start())
    monkeypatch.setattr(engine, "prepared", lambda *a: events.append("plan") or plan(*a))
    recipe = recipe_of("toy_steps:Numbers")
    first = run(recipe, folder, tmp_path / "out", workers=1)
    assert events == ["start", "plan"]
    # Where there is something already, all of it may be done.
    assert run(recipe, folder, tmp_path / "out", workers=1).rows == first.rows
    assert events == ["start", "plan", "plan"]


def test_no_worker_outlives_a_run_that_cannot_be_planned(folder, tmp_path):
    before = set(psutil.Process().children())
    with pytest.raises(OnetripError, match="no such step"):
        run({"source": "csv", "steps": ["no such step"]}, folder, tmp_path / "out", workers=1)
    assert set(psutil.Process().children()) == before


@pytest.mark.parametrize("ours", [True, False])
def test_arrow_asks_pandas_only_where_a_step_comes_from_outside(ours):
    pytest.importorskip("pandas")
    program = PANDAS.format(ours=ours)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("fine", 0), done.stderr


DRIVER = """
import sys, json
sys.path.insert(0, sys.argv[4])
from onetrip.data.engine.run import run
run(json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], workers=1)
"""


def test_a_worker_at_work_ends_with_who_started_it(folder, tmp_path, recipe_of):
    slow = {"toy_steps:Numbers": {"pause_s": 90.0}, "cache": False}
    recipe = recipe_of(slow, "toy_steps:Distinct")
    toys, out = str(Path(__file__).parent), tmp_path / "out"
    command = [sys.executable, "-c", DRIVER, json.dumps(recipe), str(folder), str(out), toys]
    with psutil.Popen(command, stderr=subprocess.DEVNULL) as process:
        # A task opens its file of buckets, says that it begins, and then is in the step for long.
        while process.is_running() and not list(out.glob("stages/*/.aside*.arrow")):
            time.sleep(0.05)
        time.sleep(0.5)
        (worker,) = process.children()
        process.terminate()
        process.wait()
        gone, _ = psutil.wait_procs([worker], timeout=30)
        assert gone == [worker]
