"""Killed, out of disk, out of memory, raising: no finished task is lost, and nothing is silent."""

import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from onetrip.core.errors import DataError
from onetrip.data.engine.run import run
from onetrip.data.store.quarantine import entries
from onetrip.data.store.status import last_run

NUMBERS = "toy_steps:Numbers"

# A run as a shell would start it: small bundles and shards, so that there is much to resume.
DRIVER = """
import sys, json
recipe, source, out = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
sys.path.insert(0, sys.argv[4])
from onetrip.data.engine.run import run
result = run(recipe, source, out, workers=2, shard_rows=20_000, bundle_bytes=4_000)
print(result.exit_code, *result.ran)
"""


def start(recipe, folder, out, **keywords):
    toys = str(Path(__file__).parent)
    command = [sys.executable, "-c", DRIVER, json.dumps(recipe), str(folder), str(out), toys]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **keywords)


def padded(name, count):
    return [(f"{name}-{n}-{'x' * 150}", n) for n in range(count)]


def has_begun(out):
    try:
        return last_run(out).state == "running"
    except DataError:
        return False


def files_of(out):
    return {path.name for path in out.glob("stages/*/*") if not path.name.startswith(".")}


def kill_after_some_files(process, out, chance):
    """Kill the run, or a worker and then the run, once it has left a few more files."""
    before, wanted = files_of(out), chance.randint(1, 9)
    while process.poll() is None and len(files_of(out) - before) < wanted:
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.03))
    workers = psutil.Process(process.pid).children() if process.poll() is None else []
    if workers and chance.random() < 0.4:
        chance.choice(workers).kill()
        time.sleep(chance.uniform(0, 0.1))
    process.kill()


def test_random_kills_lose_nothing(write_csv, tmp_path, recipe_of, rows_of):
    for unit in range(8):
        folder = write_csv(f"small{unit}.csv", [(f"s{unit}-{n}", n) for n in range(300)])
    write_csv("huge.csv", padded("huge", 45_000))
    write_csv("broken.csv", [("a", "b,c"), ("fine", 3)])
    recipe = recipe_of({NUMBERS: {"pause_s": 0.02}}, "toy_steps:Distinct", "toy_steps:Ordered")
    undisturbed = run(recipe, folder, tmp_path / "undisturbed", executor="inline")
    out, chance = tmp_path / "out", random.Random(3)
    for _ in range(3):
        process = start(recipe, folder, out, stderr=subprocess.DEVNULL)
        kill_after_some_files(process, out, chance)
        process.communicate()
    printed, _ = start(recipe, folder, out).communicate(timeout=60)
    assert printed.split()[0] == "3"
    assert rows_of(out) == rows_of(tmp_path / "undisturbed")
    again = run(recipe, folder, out, executor="inline", shard_rows=20_000, bundle_bytes=4_000)
    assert again.ran == ()
    assert again.accounts == undisturbed.accounts
    assert [path.name for path in out.rglob(".aside*")] == []


def test_huge_unit_goes_on_behind_its_last_shard(write_csv, tmp_path, recipe_of, rows_of):
    folder = write_csv("huge.csv", padded("huge", 100_000))
    recipe = recipe_of({NUMBERS: {"pause_s": 0.2}})
    recipe["source"]["cache"] = False
    process = start(recipe, folder, tmp_path / "out")
    resume = None
    while resume is None and process.poll() is None:
        resume = next((tmp_path / "out").glob("stages/*/resume-*.json"), None)
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert resume is not None
    behind = json.loads(resume.read_text())
    assert 20_000 <= behind["rows"] < 100_000
    shard = resume.parent / behind["outcome"]["shards"][0]["name"]
    written = shard.stat().st_mtime_ns
    printed, _ = start(recipe, folder, tmp_path / "out").communicate(timeout=30)
    assert printed.split() == ["0", "numbers"]
    # The shard from before the kill belongs to the result, and was not written again.
    assert shard.stat().st_mtime_ns == written
    rows = rows_of(tmp_path / "out")
    assert [row["n"] for row in rows] == list(range(100_000))
    assert [row["row_in_unit"] for row in rows] == list(range(1, 100_001))


def test_worker_that_dies_once_is_replaced(folder, tmp_path, recipe_of, rows_of):
    (tmp_path / "lives").write_text("x")
    deadly = {"toy_steps:Deadly": {"on": "7", "lives": str(tmp_path / "lives")}}
    result = run(recipe_of(deadly), folder, tmp_path / "out", workers=2)
    assert (result.exit_code, result.rows) == (0, 120)
    assert [row["n"] for row in rows_of(tmp_path / "out")] == [str(n) for n in range(120)]


def test_unit_that_kills_every_worker_is_given_up_alone(folder, tmp_path, recipe_of, rows_of):
    (tmp_path / "lives").write_text("xxxxxxxx")
    recipe = recipe_of({"toy_steps:Deadly": {"on": "50", "lives": str(tmp_path / "lives")}})
    recipe["source"]["cache"] = False
    result = run(recipe, folder, tmp_path / "out", workers=1, max_bad_units="50%")
    assert (result.exit_code, result.rows) == (3, 80)
    assert len((tmp_path / "lives").read_text()) == 5
    [entry] = entries(tmp_path / "out")
    assert (entry.unit_id, entry.code, entry.line) == ("unit1.csv", "S02", 0)
    assert "SIGKILL" in entry.message


def test_rows_that_break_a_step_are_rejected_and_all_others_stay(folder, tmp_path, recipe_of):
    explosive = {"toy_steps:Explosive": {"on": ["13", "77"]}}
    result = run(
        recipe_of(explosive), folder, tmp_path / "out", executor="inline", max_bad_rows="2%"
    )
    assert (result.exit_code, result.rows) == (3, 118)
    found = {(entry.unit_id, entry.line, entry.code) for entry in entries(tmp_path / "out")}
    assert found == {("unit0.csv", 15, "S03"), ("unit1.csv", 39, "S03")}


def test_step_that_always_raises_fails_its_units_not_the_run(
    folder, write_csv, tmp_path, recipe_of
):
    recipe = recipe_of({"toy_steps:Explosive": {"on": [str(n) for n in range(120)]}})
    recipe["source"]["cache"] = False
    for unit in range(3):
        write_csv(f"unit{unit}.csv", [("x", n % 120) for n in range(70)])
    result = run(recipe, folder, tmp_path / "out", executor="inline")
    assert (result.exit_code, result.rows) == (4, 0)
    assert "units are bad" in result.message
    bearing = run(recipe, folder, tmp_path / "out", executor="inline", max_bad_units="3")
    assert (bearing.exit_code, bearing.rows, bearing.damage.bad_units) == (3, 0, 3)


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


def test_full_disk_keeps_what_is_finished_and_goes_on(write_csv, tmp_path, recipe_of, rows_of):
    rng = random.Random(1)
    folder = write_csv("small.csv", [(f"s{n}", n) for n in range(100)])
    write_csv("big.csv", [(rng.randbytes(40).hex(), n) for n in range(60_000)])
    done = start(
        recipe_of(NUMBERS),
        folder,
        tmp_path / "out",
        stderr=subprocess.PIPE,
        preexec_fn=limit_file_size,
    )
    _, said = done.communicate(timeout=60)
    assert done.returncode == 1
    assert "S01: the disk of" in said
    assert "same command again" in said
    printed, _ = start(recipe_of(NUMBERS), folder, tmp_path / "out").communicate(timeout=60)
    assert printed.split()[0] == "0"
    assert len(rows_of(tmp_path / "out")) == 60_100


def test_status_of_a_run_that_has_hardly_begun_is_an_error_that_says_so(tmp_path):
    (tmp_path / "manifest.sqlite").touch()
    with pytest.raises(DataError, match="a folder in which a run has begun"):
        last_run(tmp_path)


def test_second_run_into_the_same_folder_is_refused(folder, tmp_path, recipe_of):
    slow = recipe_of({NUMBERS: {"pause_s": 3.0}})
    process = start(slow, folder, tmp_path / "out")
    while process.poll() is None and not has_begun(tmp_path / "out"):
        time.sleep(0.02)
    with pytest.raises(DataError, match="Another run writes"):
        run(slow, folder, tmp_path / "out", workers=1)
    assert last_run(tmp_path / "out").state == "running"
    process.kill()
    process.communicate()
    # Nobody was left to write that it ended.
    killed = last_run(tmp_path / "out")
    assert killed.state == "interrupted"
    assert "running" not in {stage.state for stage in killed.stages}
