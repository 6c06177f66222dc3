"""Clusters that share similar sequences become one; MMseqs2 itself where it is installed."""

import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pyarrow as pa
import pytest

from onetrip.core.errors import ArgumentError, DataError, MissingDependencyError
from onetrip.data.steps.antibody.linclust import Linclust
from onetrip.data.store.aside import is_full_disk

STAND_IN = """#!{python}
import sys
names = iter(open(sys.argv[2]).read().split())
records = [(name[1:], sequence) for name, sequence in zip(names, names)]
first = {{}}
with open(sys.argv[3] + "_cluster.tsv", "w") as file:
    for name, sequence in records:
        file.write(first.setdefault(sequence[:2], name) + "\\t" + name + "\\n")
if "{verdict}" == "fail":
    sys.exit("Out of luck")
"""


@pytest.fixture
def stand_in(tmp_path):
    """A program in place of MMseqs2 that puts together what begins with the same two letters."""

    def make(verdict="ok"):
        program = tmp_path / "mmseqs"
        program.write_text(STAND_IN.format(python=sys.executable, verdict=verdict))
        program.chmod(0o755)
        return str(program)

    return make


def rows_of(sequences, clusters):
    return pa.record_batch(
        {
            "sequence_aa": pa.array(sequences, pa.string()),
            "cluster_id": pa.array(clusters, pa.uint64()),
        }
    )


def test_clusters_join_over_clones_and_similarity(run_step, stand_in, context):
    """9 and 5 by AB, 5 and 7 by CD; 4 has nothing in common with them, 6 no sequence."""
    batches = [
        rows_of(["ABX", "ABY", "CDX"], [9, 5, 5]),
        rows_of(["CDY", "EFX", None], [7, 4, 6]),
    ]
    table, _, counts = run_step(Linclust(program=stand_in()), batches, context=context)
    assert table["cluster_id"].to_pylist() == [5, 5, 5, 5, 4, 6]
    assert table["sequence_aa"].to_pylist() == ["ABX", "ABY", "CDX", "CDY", "EFX", None]
    assert counts == {"rows_joined": 2}


def test_pairs_are_one_sequence(run_step, stand_in, context):
    batch = pa.record_batch(
        {
            "sequence_aa_heavy": ["A", "A"],
            "sequence_aa_light": ["BX", "CX"],
            "cluster_id": pa.array([1, 2], pa.uint64()),
        }
    )
    table, _, _ = run_step(Linclust(program=stand_in()), [batch], context=context)
    assert table["cluster_id"].to_pylist() == [1, 2]


def test_failure_of_the_program_is_told(run_step, stand_in, context):
    batch = rows_of(["ABX"], [1])
    with pytest.raises(DataError, match="Out of luck"):
        run_step(Linclust(program=stand_in("fail")), [batch], context=context)


def test_a_full_disk_is_told_as_such(run_step, stand_in, context, monkeypatch):
    full = SimpleNamespace(total=1 << 30, used=1 << 30, free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(OSError, match="No space left") as raised:
        run_step(Linclust(program=stand_in("fail")), [rows_of(["ABX"], [1])], context=context)
    assert is_full_disk(raised.value)


DRIVER = """
import sys
from onetrip.data.engine.run import run
source, out, program = sys.argv[1:]
steps = ["standardise", "derive", "cluster", {"linclust": {"program": program}}]
run({"source": "oas", "steps": steps}, source, out, workers=1)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
def test_the_program_ends_with_the_run(sent, oas_folder, tmp_path):
    program = tmp_path / "mmseqs"
    program.write_text(
        f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/id.new\n"
        f"mv {tmp_path}/id.new {tmp_path}/id\nwait\n"
    )
    program.chmod(0o755)
    arguments = [str(oas_folder / "unpaired"), str(tmp_path / "out"), str(program)]
    process = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments])
    deadline = time.monotonic() + 30
    while not (tmp_path / "id").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    sleeping = psutil.Process(int((tmp_path / "id").read_text()))
    process.send_signal(sent)
    process.wait(timeout=20)
    _, alive = psutil.wait_procs([sleeping], timeout=5)
    for one in alive:
        one.kill()
    assert not alive
    if sent == signal.SIGINT:
        assert not (tmp_path / "out" / "scratch").exists()


def test_wrong_use_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="`identity` must be above 0"):
        Linclust(identity=0)
    schema = rows_of([], []).schema
    with pytest.raises(MissingDependencyError, match="leave the step `linclust` out"):
        Linclust(program=str(tmp_path / "nowhere")).schema(schema)
    with pytest.raises(DataError, match="reads cluster_id"):
        Linclust().schema(pa.schema([]))


@pytest.mark.skipif(shutil.which("mmseqs") is None, reason="MMseqs2 is not on PATH")
def test_mmseqs_finds_mutants(run_step, random_chains, context):
    parents = random_chains(60, 118, 122)
    mutants = [text[:60] + ("A" if text[60] != "A" else "G") + text[61:] for text in parents]
    batch = rows_of(parents + mutants, list(range(1, 121)))
    table, _, _ = run_step(Linclust(), [batch], context=context)
    ids = table["cluster_id"].to_pylist()
    assert sum(ids[n] == ids[n + 60] for n in range(60)) >= 54
    assert len(set(ids[:60])) == 60
