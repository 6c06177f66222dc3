import threading

import pytest

from onetrip.lab.verdict import Outcome, Verdict
from onetrip.lab.work.loop import work as run_work


@pytest.fixture
def settled(database, work):
    """Ask from a connection of the asking thread."""
    from onetrip.lab.store.database import connect

    def condition():
        opened = connect(database)
        try:
            return (
                opened.execute(
                    "SELECT 1 FROM experiment WHERE state IN ('queued', 'running')"
                ).fetchone()
                is None
            )
        finally:
            opened.close()

    return condition


def run(database, work, settled, **changes):
    values = {"until": settled, "judge": work.judge, "look": work.look} | changes
    return run_work(database, **values)


def test_a_faster_candidate_is_confirmed_and_wins(database, connection, work, settled):
    slow = work.submit("COST = 4.0")
    assert run(database, work, settled) == 2
    fast = work.submit("COST = 2.0")
    assert run(database, work, settled) == 2
    purposes = connection.execute("SELECT purpose, parent_id FROM experiment ORDER BY id")
    assert [tuple(row) for row in purposes] == [
        ("search", None),
        ("confirm", slow),
        ("search", None),
        ("confirm", fast),
    ]
    champions = connection.execute("SELECT experiment_id, until FROM champion ORDER BY id")
    (first, first_until), (second, second_until) = [tuple(row) for row in champions]
    assert (first, second) == (slow + 1, fast + 1)
    assert first_until is not None
    assert second_until is None


def test_an_equal_or_slower_one_is_not_confirmed(database, connection, work, settled):
    work.submit("COST = 4.0")
    run(database, work, settled)
    work.submit("COST = 4.0  # the same again")
    work.submit("COST = 5.0")
    assert run(database, work, settled) == 2
    assert connection.execute("SELECT count(*) FROM champion").fetchone()[0] == 1


def test_beating_a_slow_parent_is_not_enough(database, connection, work, settled):
    work.submit("COST = 2.0")
    run(database, work, settled)
    parent = work.submit("COST = 6.0")
    run(database, work, settled)
    row = connection.execute("SELECT candidate_id FROM experiment WHERE id = ?", (parent,))
    child = work.submit("COST = 3.0", baseline_id=row.fetchone()["candidate_id"])
    run(database, work, settled)
    baselines = connection.execute(
        "SELECT baseline FROM comparison JOIN attempt ON attempt.id = attempt_id"
        " WHERE experiment_id = ? ORDER BY baseline",
        (child,),
    )
    assert [row["baseline"] for row in baselines] == ["baseline", "champion"]
    title = connection.execute(
        "SELECT source_sha256, data FROM champion JOIN candidate ON candidate.id = candidate_id"
        " JOIN blob ON sha256 = source_sha256 WHERE until IS NULL"
    ).fetchone()
    assert title["data"] == b"COST = 2.0"


def test_results_belong_to_the_study_of_their_machine(database, connection, work, settled):
    work.submit("COST = 4.0")
    run(database, work, settled)
    row = connection.execute(
        "SELECT device.name FROM attempt JOIN study ON study.id = study_id"
        " JOIN device ON device.id = device_id LIMIT 1"
    ).fetchone()
    assert row["name"] == "laptop"


def test_an_aborted_experiment_goes_back_without_blame(database, connection, work, settled):
    experiment = work.submit("COST = 4.0")
    abort = threading.Event()

    def endless(job, on_stage, on_start, should_stop):
        abort.set()
        work.wait(should_stop)
        return Verdict(Outcome.TIMEOUT, reason="killed")

    answered = run(database, work, settled, judge=endless, abort=abort.is_set)
    assert answered == 1
    assert work.states() == {experiment: "queued"}
    outcome = connection.execute("SELECT outcome, evidence FROM attempt").fetchone()
    assert outcome["outcome"] == "infra_lost"
    assert "given_back" in outcome["evidence"]


def test_a_lost_lease_stops_the_judge_and_its_answer_is_not_taken(
    database, connection, work, settled
):
    experiment = work.submit("COST = 4.0")
    seen = []

    def slow(job, on_stage, on_start, should_stop):
        connection.execute("UPDATE attempt SET outcome = 'infra_lost', ended_at = started_at")
        connection.execute("UPDATE experiment SET state = 'cancelled'")
        on_stage("another stage", None)
        work.wait(should_stop)
        seen.append("stopped")
        return Verdict(Outcome.DONE)

    import sqlite3

    def other_thread(*arguments):
        nonlocal connection
        opened = sqlite3.connect(database, isolation_level=None)
        connection, before = opened, connection
        try:
            return slow(*arguments)
        finally:
            opened.close()
            connection = before

    run(database, work, settled, judge=other_thread)
    assert seen == ["stopped"]
    assert work.states() == {experiment: "cancelled"}


def test_an_error_of_the_loop_is_not_swallowed(database, work, settled):
    work.submit("COST = 4.0")

    def broken(job, on_stage, on_start, should_stop):
        raise RuntimeError("the judge itself is broken")

    with pytest.raises(RuntimeError, match="judge itself"):
        run(database, work, settled, judge=broken)


def test_two_devices_share_the_queue(database, connection, work, settled):
    for number in range(6):
        work.submit(f"COST = {20 + number}.0")
    answered = run(database, work, settled, devices=("cpu", "cuda:0"))
    assert answered == 6
    assert set(work.states().values()) == {"done"}
