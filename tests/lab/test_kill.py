"""Tunes in processes of their own: killed, stopped, two at once."""

import itertools
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from onetrip.lab.store.database import connect

BEST = {"size": 8, "unroll": 3, "defect": 0}
KILLS = 12


@pytest.fixture
def start(tmp_path, make):
    """Start a tune of the toy; it writes what it tries on its standard output."""
    processes = []

    def start(budget_s=60.0, **script):
        process = subprocess.Popen(
            [*make.tuner, str(budget_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "ONETRIP_CACHE_DIR": str(tmp_path / "cache"),
                "ONETRIP_DATABASE": str(tmp_path / "lab.sqlite"),
                "TOY_SCRIPT": json.dumps(script),
            },
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_trial(process):
    for line in process.stdout:
        if line.startswith("trying"):
            return
    pytest.fail(f"the tune ended before it tried anything: {process.stderr.read()}")


def answer(process):
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_dozens_of_kills_lose_at_most_the_candidate_in_flight(start, tmp_path):
    dice = random.Random(1)
    done_before: set[int] = set()
    for _ in range(KILLS):
        process = start(seconds=0.15)
        wait_for_trial(process)
        time.sleep(dice.uniform(0.0, 0.3))
        process.kill()
        process.communicate()

        connection = connect(tmp_path / "lab.sqlite")
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        rows = connection.execute("SELECT experiment_id, outcome, pid FROM attempt").fetchall()
        connection.close()
        done_now = {row["experiment_id"] for row in rows if row["outcome"] == "done"}
        assert done_before <= done_now
        open_attempts = [row for row in rows if row["outcome"] is None]
        assert len(open_attempts) <= 1
        deadline = time.monotonic() + 10
        while any(row["pid"] and is_running(row["pid"]) for row in open_attempts):
            assert time.monotonic() < deadline, "a worker outlived its tuner"
            time.sleep(0.01)
        done_before = done_now

    assert answer(start()) == {"stopped": "exhausted", "leader": BEST}
    connection = connect(tmp_path / "lab.sqlite")
    outcomes = connection.execute(
        "SELECT experiment_id, count(*) FROM attempt WHERE outcome = 'done' GROUP BY experiment_id"
    ).fetchall()
    assert all(row[1] == 1 for row in outcomes)
    states = {row[0] for row in connection.execute("SELECT DISTINCT state FROM experiment")}
    assert states <= {"done", "pruned"}
    assert len(outcomes) >= 12
    lost = connection.execute("SELECT count(*) FROM attempt WHERE outcome = 'infra_lost'")
    assert 0 < lost.fetchone()[0] <= KILLS
    connection.close()


def test_ctrl_c_stops_the_worker_too_and_reports(start, tmp_path):
    process = start(seconds=30.0)
    wait_for_trial(process)
    process.send_signal(signal.SIGINT)
    assert answer(process) == {"stopped": "interrupted", "leader": None}
    connection = connect(tmp_path / "lab.sqlite")
    (row,) = connection.execute("SELECT outcome, pid FROM attempt").fetchall()
    assert row["outcome"] == "infra_lost"
    assert not is_running(row["pid"])
    connection.close()


def test_two_tunes_at_once_take_turns_and_share_the_work(start, tmp_path):
    first = start(seconds=0.5)
    wait_for_trial(first)
    second = start()
    output, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    *lines, last = output.splitlines()
    waits = [line for line in lines if "waiting" in line]
    assert waits[0] == (
        f"note: onetrip tune (process {first.pid}) works on cpu: waiting for its turn."
    )
    assert json.loads(last) == {"stopped": "exhausted", "leader": BEST}
    assert answer(first)["leader"] == BEST
    connection = connect(tmp_path / "lab.sqlite")
    workers = connection.execute(
        "SELECT worker_id, count(*) FROM attempt WHERE outcome = 'done' GROUP BY worker_id"
    ).fetchall()
    assert len(workers) == 2
    twice = connection.execute(
        "SELECT experiment_id FROM attempt JOIN experiment ON experiment.id = experiment_id"
        " WHERE outcome = 'done' AND purpose = 'search' GROUP BY experiment_id HAVING count(*) > 1"
    ).fetchall()
    assert twice == []
    # No two attempts ran at one time on the device.
    times = connection.execute(
        "SELECT started_at, ended_at FROM attempt ORDER BY started_at"
    ).fetchall()
    pairs = itertools.pairwise(times)
    assert all(before["ended_at"] <= after["started_at"] for before, after in pairs)
    connection.close()
