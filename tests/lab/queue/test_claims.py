"""Claims, leases, answers: who works on what, and what a late answer is worth."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.judge.process import process_started
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.queue.claims import (
    claim,
    finish,
    give_back,
    heartbeat,
    note_process,
    reap,
    register_worker,
    retire_worker,
)
from onetrip.lab.queue.order import cancel
from onetrip.lab.queue.submit import add_problem
from onetrip.lab.verdict import Check, Comparison, Flag, Metric, Outcome, Timing, Verdict

LOST = Verdict(Outcome.INFRA_LOST, "the device fell off the bus")


def test_a_claim_has_all_that_the_judge_needs(lab):
    experiment_id = lab.queue("x = 1\n", title="tile of 64", limits={"seconds": 9})
    claimed = lab.claim(seed=2**63 + 5)
    assert claimed is not None
    assert (claimed.experiment_id, claimed.n, claimed.seed) == (experiment_id, 1, 2**63 + 5)
    assert claimed.problem == ProblemRef("folder", "problems/vectoradd", {"size": 8})
    assert claimed.contender == Contender("source", "x = 1\n")
    assert claimed.rivals == {"baseline": Contender("definition")}
    assert (claimed.limits, claimed.title, claimed.device) == ({"seconds": 9}, "tile of 64", "cpu")
    row = lab.one("SELECT seed, device, tolerance_id FROM attempt")
    assert tuple(row) == (str(2**63 + 5), "cpu", 1)
    assert lab.state(experiment_id) == "running"


def test_the_baseline_is_what_the_experiment_names(lab):
    first = lab.queue("x = 1\n")
    named = lab.one("SELECT candidate_id FROM experiment WHERE id = ?", first)[0]
    lab.answer(lab.won())
    lab.queue("x = 2\n", baseline_id=named)
    claimed = lab.claim()
    assert claimed.rivals["baseline"].source == "x = 1\n"


def test_a_measurement_of_the_baseline_has_no_rival(lab):
    lab.queue(purpose="baseline")
    assert lab.claim().rivals == {}


def test_an_empty_queue_gives_none_and_one_experiment_is_claimed_once(lab):
    assert lab.claim() is None
    lab.queue()
    assert lab.claim() is not None
    assert lab.claim() is None


@pytest.mark.parametrize(
    ("asked", "devices", "given"),
    [
        (None, ("cuda:1", "cpu"), "cuda:1"),
        ("cpu", ("cuda:0", "cpu"), "cpu"),
        ("cuda", ("cpu", "cuda:1"), "cuda:1"),
        ("cuda:0", ("cuda:1",), None),
        ("cuda", ("cpu",), None),
    ],
)
def test_an_experiment_goes_to_a_device_that_it_asked_for(lab, asked, devices, given):
    lab.queue(limits={} if asked is None else {"device": asked})
    claimed = lab.claim(devices=devices)
    assert (claimed and claimed.device) == given


def test_a_campaign_and_a_study_take_their_own(lab, make):
    campaign = make.campaign(lab.connection)
    general = lab.queue()
    of_campaign = lab.queue(campaign_id=campaign)
    of_study = lab.queue(study_id=lab.study_id)
    assert lab.claim(campaign_id=campaign).experiment_id == of_campaign
    assert lab.claim(campaign_id=campaign) is None
    assert lab.claim(study_id=lab.study_id).experiment_id == of_study
    assert lab.claim(study_id=lab.study_id) is None
    assert lab.claim().experiment_id == general
    assert lab.claim() is None


def test_an_answer_is_written_whole(lab):
    experiment_id = lab.queue()
    verdict = Verdict(
        Outcome.DONE,
        scope="all",
        evidence={"nan": float("nan"), "text": "\ud800"},
        checks=(Check("y", True, float("nan"), 1e-6, workload="a"),),
        timings=(
            Timing(
                "candidate", "", {}, (1.0, 2.0), 1.5, 1.0, 2.0, 7, "a", "warm", 0.5, ({"b": 1},)
            ),
            Timing("peer", "", {}, (), float("nan"), 1.0, 2.0, None, "a"),
        ),
        comparisons=(Comparison("baseline", 1.1, 1.0, 1.2, "a", "warm"),),
        metrics=(Metric("loss", float("inf")), Metric("tokens_per_s", 9.0, "1/s")),
        flags=(Flag("sleeps", "line 3", "static"),),
        gpu_s=2.5,
        energy_j=100.0,
        log="last words \ud800",
    )
    claimed = lab.answer(verdict)
    assert claimed.experiment_id == experiment_id
    assert lab.state(experiment_id) == "done"
    attempt = lab.one("SELECT * FROM attempt")
    evidence = json.loads(attempt["evidence"])
    assert evidence["nan"] is None
    assert [entry["subject"] for entry in evidence["timings without a number"]] == ["peer"]
    assert [entry["name"] for entry in evidence["metrics without a number"]] == ["loss"]
    assert attempt["study_id"] == lab.study_id
    blob = lab.one("SELECT data FROM blob WHERE sha256 = ?", attempt["log_sha256"])
    assert blob["data"] == b"last words ?"
    assert lab.one("SELECT max_error FROM check_result")[0] is None
    timing = lab.one("SELECT * FROM measurement")
    assert (timing["workload"], timing["regime"], timing["floor_ms"]) == ("a", "warm", 0.5)
    assert json.loads(timing["blocks"]) == [{"b": 1}]
    assert lab.one("SELECT regime FROM comparison")[0] == "warm"
    assert tuple(lab.one("SELECT name, value, unit FROM metric")) == ("tokens_per_s", 9.0, "1/s")
    assert lab.one("SELECT rule FROM flag")[0] == "sleeps"
    spent = dict(lab.connection.execute("SELECT kind, amount FROM ledger").fetchall())
    assert (spent["gpu_s"], spent["energy_j"]) == (2.5, 100.0)
    assert spent["wall_s"] > 0


def test_a_late_answer_is_refused_and_writes_nothing(lab):
    lab.queue()
    first = lab.claim()
    assert give_back(lab.connection, first.attempt_id, first.n, "the worker was told to stop")
    second = lab.claim()
    assert second.n == 2
    late = lab.won()
    assert not finish(lab.connection, first.attempt_id, first.n, late)
    assert not finish(lab.connection, second.attempt_id, first.n, late)
    assert lab.one("SELECT count(*) FROM measurement")[0] == 0
    assert lab.state(second.experiment_id) == "running"
    lab.answer(Verdict(Outcome.TIMEOUT, "30 s"), second)
    assert not finish(lab.connection, second.attempt_id, second.n, late)
    assert lab.state(second.experiment_id) == "timeout"


def test_two_open_attempts_of_one_experiment_are_impossible(lab):
    lab.queue()
    lab.claim()
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        lab.connection.execute(
            "INSERT INTO attempt (experiment_id, n, seed, started_at) VALUES (1, 2, '0', 0.0)"
        )


def test_heartbeats_renew_the_lease_and_tell_stages_once(lab):
    lab.queue()
    claimed = lab.claim(lease_s=5.0)
    before = lab.one("SELECT lease_until FROM attempt")[0]
    for stage in ("timing (10%)", "timing (60%)", None):
        beat = heartbeat(lab.connection, claimed.attempt_id, claimed.n, stage=stage, lease_s=50.0)
        assert beat
    row = lab.one("SELECT lease_until, stage FROM attempt")
    assert row["lease_until"] > before + 40
    assert row["stage"] == "timing (60%)"
    assert lab.events().count("attempt.stage") == 1


def test_a_lapsed_lease_is_taken_back_and_its_holder_is_told(lab):
    lab.queue()
    claimed = lab.claim(lease_s=10.0)
    assert reap(lab.connection) == []
    assert reap(lab.connection, now=time.time() + 11) == [claimed.attempt_id]
    assert lab.state(claimed.experiment_id) == "queued"
    assert not heartbeat(lab.connection, claimed.attempt_id, claimed.n)
    assert not finish(lab.connection, claimed.attempt_id, claimed.n, lab.won())
    assert lab.claim().n == 2


def test_a_candidate_that_takes_every_worker_down_is_given_up(lab):
    experiment_id = lab.queue(max_attempts=3)
    for n in range(1, 4):
        claimed = lab.claim()
        assert claimed.n == n
        assert finish(lab.connection, claimed.attempt_id, n, LOST)
        assert lab.state(experiment_id) == ("queued" if n < 3 else "dead")
    assert lab.claim() is None
    assert "3 attempts were lost" in lab.one("SELECT reason FROM experiment")[0]


def test_what_is_given_back_is_held_against_nobody(lab):
    experiment_id = lab.queue(max_attempts=2)
    for _ in range(4):
        claimed = lab.claim()
        assert give_back(lab.connection, claimed.attempt_id, claimed.n, "Ctrl-C")
    assert lab.state(experiment_id) == "queued"


def test_a_cancelled_run_is_fenced_off(lab):
    experiment_id = lab.queue()
    claimed = lab.claim()
    cancel(lab.connection, experiment_id, by="person")
    assert not heartbeat(lab.connection, claimed.attempt_id, claimed.n)
    assert not finish(lab.connection, claimed.attempt_id, claimed.n, lab.won())
    assert lab.state(experiment_id) == "cancelled"
    assert lab.claim() is None


WORKER = """
import sys, time
from pathlib import Path
from onetrip.lab.queue.claims import claim, note_process, register_worker
from onetrip.lab.judge.process import process_started
from onetrip.lab.store.database import connect
connection = connect(Path(sys.argv[1]))
worker = register_worker(connection, "victim", "local", {})
claimed = claim(connection, worker, seed=1, lease_s=3600.0)
child = int(sys.argv[2])
note_process(connection, claimed.attempt_id, child, process_started(child))
print(claimed.attempt_id, flush=True)
time.sleep(60)
"""


def test_a_killed_worker_is_seen_at_once_and_what_it_started_is_ended(lab, database):
    experiment_id = lab.queue()
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = subprocess.Popen(sleep, start_new_session=True)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(database), str(child.pid)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    attempt_id = int(worker.stdout.readline())
    assert reap(lab.connection) == []
    with pytest.raises(ArgumentError, match=f"process {worker.pid}"):
        register_worker(lab.connection, "victim", "local", {})
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate(timeout=10)
    assert reap(lab.connection) == [attempt_id]
    assert child.wait(timeout=10) == -signal.SIGKILL
    assert lab.state(experiment_id) == "queued"
    assert "victim was killed" in lab.one("SELECT reason FROM attempt")[0]


def test_a_process_of_another_name_and_number_is_left_alone(lab):
    """The number of a dead process may have gone to somebody else."""
    lab.queue()
    claimed = lab.claim(lease_s=1.0)
    note_process(lab.connection, claimed.attempt_id, os.getpid(), "another boot 17")
    assert process_started(os.getpid()) != "another boot 17"
    assert reap(lab.connection, now=time.time() + 2) == [claimed.attempt_id]


def test_a_worker_that_comes_back_under_its_name_starts_anew(lab):
    far = register_worker(lab.connection, "far", "http", {"host": "elsewhere"}, "a" * 64)
    experiment_id = lab.queue()
    claimed = claim(lab.connection, far, seed=1)
    assert claimed is not None
    assert register_worker(lab.connection, "far", "http", {"host": "elsewhere"}) == far
    assert lab.state(experiment_id) == "queued"
    assert not finish(lab.connection, claimed.attempt_id, claimed.n, lab.won())


def test_a_worker_that_leaves_gives_back_what_it_held(lab):
    experiment_id = lab.queue()
    lab.claim()
    retire_worker(lab.connection, lab.worker_id)
    retire_worker(lab.connection, lab.worker_id)
    assert lab.state(experiment_id) == "queued"
    assert lab.events().count("worker.left") == 1


def test_unknown_kinds_of_workers_are_refused(lab):
    with pytest.raises(ArgumentError, match="'smoke signals'"):
        register_worker(lab.connection, "x", "smoke signals", {})


def test_a_name_that_is_taken_while_it_is_ours_stays_ours(lab):
    assert register_worker(lab.connection, "test worker", "local", {}) == lab.worker_id
    assert lab.problem_id == add_problem(lab.connection, lab.facts())
