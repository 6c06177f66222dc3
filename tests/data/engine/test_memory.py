"""The bound on memory: refused beforehand with the arithmetic, and kept, however large a unit."""

import gzip
import json
import subprocess
import sys
import time

import psutil
import pytest

from onetrip.core.errors import ArgumentError
from onetrip.data.engine import run as engine
from onetrip.data.engine.memory import PARENT_BYTES, WORKER_BYTES, admit, read_memory
from onetrip.data.engine.run import run
from onetrip.data.engine.tasks import Sizes

RUN = """
import sys, json
from onetrip.data.engine.run import run
result = run(json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], workers=1, memory="600MB")
print(result.exit_code, result.rows)
"""


def test_workers_that_do_not_fit_are_refused_with_the_arithmetic():
    bound = (PARENT_BYTES + 3 * WORKER_BYTES) >> 20
    assert admit(3, f"{bound}MB").workers == 3
    assert admit(None, f"{bound}MB", cores=16).workers == 3
    assert admit(None, f"{bound}MB", cores=2).workers == 2
    with pytest.raises(ArgumentError, match="at most 3 with --memory") as caught:
        admit(4, f"{bound}MB")
    assert f"a worker up to {WORKER_BYTES >> 20}MiB" in str(caught.value)
    with pytest.raises(ArgumentError, match="must be at least"):
        admit(None, "100MB")
    with pytest.raises(ArgumentError, match="at least 1"):
        admit(0, "2GB")


def test_sizes_are_read_as_people_write_them():
    sizes = [read_memory(text) for text in ("2GB", "2g", "2 GiB", "0.5TB", "1500")]
    assert sizes == [2 << 30, 2 << 30, 2 << 30, 1 << 39, 1500]
    with pytest.raises(ArgumentError, match="a size like 2GB"):
        read_memory("much")


def test_bucket_that_no_task_can_hold_is_refused(folder, tmp_path, recipe_of, monkeypatch):
    recipe = recipe_of("toy_steps:Numbers", "toy_steps:Distinct")
    narrow = Sizes(memory_bytes=5_000)
    monkeypatch.setattr(engine, "Sizes", lambda *_: narrow)
    with pytest.raises(ArgumentError, match="fewer --workers or more --memory"):
        run(recipe, folder, tmp_path / "out", executor="inline")
    monkeypatch.setattr(engine, "Sizes", Sizes)
    assert run(recipe, folder, tmp_path / "out", executor="inline").ran == ("distinct",)


@pytest.mark.slow
def test_bound_holds_over_a_unit_of_four_gigabytes(tmp_path):
    columns = ["id", "n", *(f"c{n}" for n in range(8))]
    line = ",".join(["id", "7", *("ACDEFGHIKLMNPQRSTVWY" * 30 for _ in range(8))]) + "\n"
    lines = (8 << 20) // len(line)
    member = gzip.compress(line.encode() * lines, 1)
    members = -(-(4 << 30) // (lines * len(line)))
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "huge.csv.gz").open("wb") as file:
        file.write(gzip.compress((",".join(columns) + "\n").encode()))
        for _ in range(members):
            file.write(member)
    recipe = {
        "source": {"csv": {"columns": ["id", "n", "c0", "c1"]}},
        "steps": [{"filter": {"where": ["n == 7"]}}],
    }
    process = psutil.Popen(
        [sys.executable, "-c", RUN, json.dumps(recipe), tmp_path / "in", tmp_path / "out"],
        stdout=subprocess.PIPE,
        text=True,
    )
    peak_bytes = 0
    while process.poll() is None:
        try:
            every = [process, *process.children()]
            peak_bytes = max(peak_bytes, sum(one.memory_info().rss for one in every))
        except psutil.NoSuchProcess:
            continue
        # Whose children there are is asked of all processes: a look takes longer than a call.
        time.sleep(0.1)
    printed, _ = process.communicate()
    assert printed.split() == ["0", str(members * lines)]
    assert members * lines * len(line) >= 4 << 30
    assert 100 << 20 < peak_bytes <= 600 << 20
