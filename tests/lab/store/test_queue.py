"""The queue: order, fencing, and what is left when a process dies."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from onetrip.lab.store import queue
from onetrip.lab.store.database import connect
from onetrip.lab.store.history import history
from onetrip.lab.verdict import Outcome, Verdict


def states(connection, study):
    return [trial.state for trial in history(connection, study)]


def test_a_claim_takes_the_oldest_and_a_finished_one_reads_back(connection, study, session, make):
    for size in (1, 2):
        queue.enqueue(connection, study, "toy", make.proposal(size, parent_id=None))
    claim = queue.claim(connection, study, session, seed=2**63 + 5)
    assert claim is not None
    assert (claim.config, claim.seed, claim.n) == ({"size": 1}, 2**63 + 5, 1)
    assert states(connection, study) == ["running", "queued"]

    verdict = make.done()
    assert queue.finish(connection, claim.attempt_id, verdict)
    first, second = history(connection, study)
    assert first.verdict == verdict
    assert (first.done, first.settled, first.session_id) == (True, True, session)
    assert (second.done, second.settled, second.verdict) == (False, False, None)


def test_priority_comes_before_age(connection, study, session, make):
    queue.enqueue(connection, study, "toy", make.proposal(1))
    urgent = queue.enqueue(connection, study, "toy", make.proposal(2))
    connection.execute("UPDATE experiment SET priority = 1 WHERE id = ?", (urgent,))
    claim = queue.claim(connection, study, session, seed=0)
    assert claim is not None
    assert claim.config == {"size": 2}


def test_an_empty_queue_gives_none(connection, study, session, make):
    assert queue.claim(connection, study, session, seed=0) is None
    other = make.study(connection, harness="changed")
    queue.enqueue(connection, other, "toy", make.proposal(1))
    assert queue.claim(connection, study, session, seed=0) is None


def test_the_same_candidate_is_queued_once_in_a_study(connection, study, make):
    first = queue.enqueue(connection, study, "toy", make.proposal(1))
    again = queue.enqueue(connection, study, "toy", make.proposal(1, proposer="TPE"))
    confirm = queue.enqueue(connection, study, "toy", make.proposal(1), purpose="confirm")
    other = queue.enqueue(connection, make.study(connection, harness="b"), "toy", make.proposal(1))
    assert first == again
    assert len({first, confirm, other}) == 3
    assert connection.execute("SELECT count(*) FROM candidate").fetchone()[0] == 1


def test_a_pruned_proposal_is_kept_with_its_reason_and_never_runs(connection, study, session, make):
    queue.enqueue(connection, study, "toy", make.proposal(1), pruned="size 1 does not fit")
    assert queue.claim(connection, study, session, seed=0) is None
    (trial,) = history(connection, study)
    assert (trial.state, trial.reason) == (Outcome.PRUNED, "size 1 does not fit")


def test_a_late_answer_is_refused_and_writes_nothing(connection, study, session, make):
    queue.enqueue(connection, study, "toy", make.proposal(1))
    claim = queue.claim(connection, study, session, seed=0)
    assert claim is not None
    assert queue.finish(connection, claim.attempt_id, Verdict(Outcome.TIMEOUT, "30 s"))
    assert not queue.finish(connection, claim.attempt_id, make.done())
    (trial,) = history(connection, study)
    assert trial.state == Outcome.TIMEOUT
    assert trial.verdict is not None
    assert trial.verdict.timings == ()


def test_an_interrupted_attempt_goes_back_to_the_queue(connection, study, session, make):
    queue.enqueue(connection, study, "toy", make.proposal(1))
    first = queue.claim(connection, study, session, seed=0)
    assert first is not None
    queue.finish(connection, first.attempt_id, Verdict(Outcome.INTERRUPTED, "Ctrl-C"))
    second = queue.claim(connection, study, session, seed=1)
    assert second is not None
    assert (second.experiment_id, second.n) == (first.experiment_id, 2)


def test_two_open_attempts_of_one_experiment_are_impossible(connection, study, session, make):
    experiment = queue.enqueue(connection, study, "toy", make.proposal(1))
    queue.claim(connection, study, session, seed=0)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        connection.execute(
            "INSERT INTO attempt (experiment_id, n, session_id, seed, started_at)"
            " VALUES (?, 2, ?, '0', 0.0)",
            (experiment, session),
        )


def test_a_candidate_that_kills_every_tune_is_given_up(connection, study, session, make):
    queue.enqueue(connection, study, "toy", make.proposal(1))
    for n in range(1, 4):
        claim = queue.claim(connection, study, session, seed=0)
        assert claim is not None
        queue.note_process(connection, claim.attempt_id, 4321, "boot 17")
        (lost,) = queue.open_attempts(connection)
        assert (lost.pid, lost.process_started) == (4321, "boot 17")
        queue.take_back(connection, lost, max_lost_attempts=3)
        assert states(connection, study) == ["queued" if n < 3 else "interrupted"]
    (trial,) = history(connection, study)
    assert "3 tunes were killed" in trial.reason


SIZES = 60
LOOP = """
import sys
from pathlib import Path
from onetrip.lab.store import queue
from onetrip.lab.store.database import connect
from onetrip.lab.verdict import Outcome, Timing, Verdict
connection = connect(Path(sys.argv[1]))
study, session = int(sys.argv[2]), int(sys.argv[3])
for lost in queue.open_attempts(connection):
    queue.take_back(connection, lost, max_lost_attempts=10**6)
while claim := queue.claim(connection, study, session, seed=1):
    times = tuple(float(claim.config["size"]) for _ in range(2000))
    timing = Timing("candidate", "torch", claim.config, times, times[0], times[0], times[0], 1)
    queue.finish(connection, claim.attempt_id, Verdict(Outcome.DONE, timings=(timing,)))
print("finished", flush=True)
"""


def test_dozens_of_kills_lose_nothing_but_the_attempt_in_flight(database, make):
    connection = connect(database)
    study = make.study(connection)
    session = make.session(connection, study)
    for size in range(SIZES):
        queue.enqueue(connection, study, "toy", make.proposal(size))
    dice = random.Random(0)
    command = [sys.executable, "-c", LOOP, str(database), str(study), str(session)]
    kills = 0
    done_before: set[int] = set()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        # Wait until it works, then kill it in the middle of whatever it does.
        while process.poll() is None and not queue.open_attempts(connection):
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.012))
        if kills < 40:
            os.kill(process.pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=30)
        kills += process.returncode == -signal.SIGKILL

        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        trials = history(connection, study)
        done_now = {trial.experiment_id for trial in trials if trial.done}
        assert done_before <= done_now
        assert len(queue.open_attempts(connection)) <= 1
        done_before = done_now
        if output == b"finished\n":
            break
    trials = history(connection, study)
    assert [trial.state for trial in trials] == ["done"] * SIZES
    assert all(
        len(trial.verdict.timings[0].samples_ms) == 2000 for trial in trials if trial.verdict
    )
    answers = connection.execute("SELECT count(*) FROM attempt WHERE outcome = 'done'")
    assert answers.fetchone()[0] == SIZES
    assert kills >= 12
    connection.close()
