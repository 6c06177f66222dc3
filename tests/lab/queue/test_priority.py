"""Scores of what waits: which way each term pulls, and what is told of it."""

import json
import time
import types

import pytest

from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue import champions, priority
from onetrip.lab.queue import submit as submissions
from onetrip.lab.queue.evidence import read_evidence
from onetrip.lab.queue.submit import add_problem, submit
from onetrip.lab.verdict import Outcome, Verdict

CRASHED = Verdict(Outcome.CRASHED, "illegal access")


def reorder(lab):
    return {change.experiment_id: change for change in priority.reorder(lab.connection, "a test")}


def score(lab, experiment_id):
    return lab.one("SELECT priority FROM experiment WHERE id = ?", experiment_id)[0]


def last_change(lab, experiment_id):
    query = "SELECT * FROM priority_change WHERE experiment_id = ? ORDER BY id DESC LIMIT 1"
    return lab.one(query, experiment_id)


def hypothesis(lab, prior=0.5, status="open"):
    return lab.connection.execute(
        "INSERT INTO hypothesis (title, rationale, problem_id, metric, direction, least_effect,"
        " workloads, prior, status, declared_by, declared_at, frozen_sha256)"
        " VALUES ('h', 'r', ?, 'latency_ms', 'decrease', 0.05, '[]', ?, ?, 'person', 0.0, '')"
        " RETURNING id",
        (lab.problem_id, prior, status),
    ).fetchone()["id"]


def config(lab, proposer="grid", **values):
    contender = Contender("config", impl="torch", config=values)
    return submit(
        lab.connection, lab.problem_id, contender, proposer=proposer, why="w"
    ).experiment_id


def test_what_comes_in_has_its_score_and_says_why(lab):
    number = lab.queue(proposer="agent:x")
    change = last_change(lab, number)
    assert change["after"] == score(lab, number) != 0.0
    assert change["why"].startswith(f"starts at {change['after']:.2f}: ")
    assert sum(json.loads(change["terms"]).values()) == pytest.approx(change["after"], abs=1e-5)
    assert json.loads(change["terms"]).keys() == priority.WEIGHTS.keys()


def test_without_news_nothing_is_written(lab):
    for _ in range(5):
        lab.queue()
    before = (lab.one("SELECT count(*) FROM priority_change")[0], lab.events())
    assert reorder(lab) == {}
    assert (lab.one("SELECT count(*) FROM priority_change")[0], lab.events()) == before


def test_who_wins_is_heard_first(lab):
    lucky, other = lab.queue(proposer="agent:a"), lab.queue(proposer="agent:b")
    lab.run(lab.won(1.5), proposer="agent:a")
    lab.run(lab.won(0.8), proposer="agent:b")
    changes = reorder(lab)
    assert score(lab, lucky) > score(lab, other)
    assert changes[lucky].after > changes[lucky].before
    gained = changes[lucky].after - changes[lucky].before
    assert changes[lucky].why.startswith(f"up {gained:.2f}: agent:a won 1 of 1")
    assert lab.events().count("queue.reordered") == 1


def test_a_siblings_win_lifts_its_siblings(lab):
    parent = lab.run(lab.won(1.0), source="x = 0\n")
    sibling, stranger = lab.queue(parent_id=parent), lab.queue(proposer="another")
    winner = lab.run(lab.won(1.18), parent_id=parent)
    change = reorder(lab)[sibling]
    assert f"its sibling #{winner} won 1.18x" in change.why
    assert change.after - change.before > 0.02
    assert score(lab, sibling) > score(lab, stranger)


def test_an_undecided_hypothesis_is_worth_a_test_and_a_decided_one_is_not(lab):
    number = hypothesis(lab)
    first, plain = lab.queue(hypothesis_id=number), lab.queue()
    assert score(lab, first) > score(lab, plain)
    assert f"hypothesis {number} is undecided" in last_change(lab, first)["why"]
    lab.connection.execute("UPDATE hypothesis SET status = 'refuted'")
    change = reorder(lab)[first]
    assert change.after < change.before
    assert f"hypothesis {number} is refuted" in change.why


def test_the_second_test_of_a_hypothesis_tells_less_than_the_first(lab):
    number = hypothesis(lab)
    tests = [lab.queue(hypothesis_id=number) for _ in range(3)]
    found = [json.loads(last_change(lab, test)["terms"])["information"] for test in tests]
    assert found == [0.5, 0.25, pytest.approx(0.5 / 3, abs=1e-5)]
    # What the whole queue says later is what each was told when it came.
    assert reorder(lab) == {}


def test_a_sure_belief_has_little_to_tell(lab):
    sure, open_ = hypothesis(lab, prior=0.98), hypothesis(lab, prior=0.5)
    assert score(lab, lab.queue(hypothesis_id=open_)) > score(lab, lab.queue(hypothesis_id=sure))


def test_where_there_is_room_work_goes_first(lab):
    lab.run(lab.won(median_ms=1.05, floor_ms=1.0), source="x = 1\n")
    title = lab.run(lab.won(median_ms=1.05, floor_ms=1.0), source="x = 1\n", purpose="confirm")
    champions.promote(lab.connection, title, lab.study_id, "it won twice")
    open_problem = add_problem(lab.connection, lab.facts("matmul"))
    near, far = lab.queue(proposer="p"), lab.queue(problem_id=open_problem, proposer="p")
    terms = [json.loads(last_change(lab, number)["terms"])["room"] for number in (near, far)]
    assert terms[0] == pytest.approx(0.5 * (1 - 1 / 1.05), abs=1e-3)
    assert terms[1] == 0.5
    assert "the champion of vectoradd reaches 95% of the floor" in last_change(lab, near)[
        "why"
    ] or (score(lab, near) < score(lab, far))


def test_a_problem_that_matters_more_goes_first(lab):
    heavy = add_problem(lab.connection, lab.facts("attention", weight=4.0))
    light, weighty = lab.queue(), lab.queue(problem_id=heavy)
    assert score(lab, weighty) > score(lab, light)


@pytest.mark.parametrize("hours_into_the_watch", [0.0, 5.9])
def test_a_cheap_trial_goes_before_a_dear_one(lab, monkeypatch, hours_into_the_watch):
    at = 10 * 6 * 3600.0 + hours_into_the_watch * 3600.0
    monkeypatch.setattr(submissions, "time", types.SimpleNamespace(time=lambda: at))
    dear, cheap = lab.queue(expected_s=300.0), lab.queue(expected_s=3.0)
    assert score(lab, cheap) > score(lab, dear)
    assert "expected to take 300 s" in last_change(lab, dear)["why"]


def test_a_neighbour_of_what_failed_waits(lab):
    near, far = config(lab, rows=8, columns=4), config(lab, rows=64, columns=32)
    failed = config(lab, rows=8, columns=2)
    lab.connection.execute("UPDATE experiment SET pinned = 1 WHERE id = ?", (failed,))
    lab.answer(CRASHED)
    changes = reorder(lab)
    assert f"it is like #{failed}, which ended as crashed" in changes[near].why
    assert score(lab, near) < score(lab, far)


def test_a_neighbour_that_is_right_speaks_for_it(lab):
    near = config(lab, rows=8, columns=4)
    for columns, verdict in ((2, CRASHED), (8, lab.won(1.0))):
        number = config(lab, rows=8, columns=columns, proposer="other")
        lab.connection.execute("UPDATE experiment SET pinned = 1 WHERE id = ?", (number,))
        lab.answer(verdict)
        reorder(lab)
        if verdict is CRASHED:
            alone = json.loads(last_change(lab, near)["terms"])["failures"]
    both = json.loads(last_change(lab, near)["terms"])["failures"]
    assert alone < both < 0.0


def test_a_source_that_shares_its_lines_with_a_crash_waits(lab):
    body = "\n".join(f"y{number} = f(x, {number})" for number in range(40))
    other = "\n".join(f"z{number} = g(x) * {number}" for number in range(40))
    failed = lab.run(CRASHED, source=f"{body}\nbarrier()\n")
    alike, unlike = lab.queue(f"{body}\nfence()\n"), lab.queue(f"{other}\n")
    assert score(lab, alike) < score(lab, unlike)
    assert f"it is like #{failed}" in last_change(lab, alike)["why"]


def test_what_came_first_goes_first_among_equals(lab):
    numbers = [lab.queue(f"a{place} = {place}\n") for place in range(3)]
    lab.connection.execute("UPDATE experiment SET created_at = created_at - 3600 WHERE id = 3")
    reorder(lab)
    assert lab.claim().experiment_id == numbers[2]


def test_a_confirmation_goes_before_another_search(lab):
    lab.run(lab.won(1.2), source="x = 1\n")
    search = lab.queue()
    confirm = lab.queue("x = 1\n", purpose="confirm")
    assert score(lab, confirm) > score(lab, search)


def test_quarantined_and_invalid_wins_count_for_nothing(lab):
    lab.run(lab.won(1.5, quarantined="below the floor"), proposer="p")
    lab.run(lab.won(1.5), proposer="p")
    lab.connection.execute("UPDATE attempt SET invalid = 'a bug' WHERE id = 2")
    assert not any(result.won for result in read_evidence(lab.connection).results)


def test_the_same_store_gives_the_same_scores(lab):
    for place in range(12):
        lab.queue(proposer=f"agent:{place % 3}")
    for place in range(5):
        lab.answer(lab.won(1.0 + place / 10) if place % 2 else CRASHED)

    def scores():
        # Far from all scores: a small change is not written.
        lab.connection.execute("UPDATE experiment SET priority = -9 WHERE state = 'queued'")
        reorder(lab)
        found = lab.connection.execute("SELECT id, priority FROM experiment ORDER BY id")
        return [tuple(row) for row in found]

    assert scores() == scores()


def test_a_tune_orders_its_own(lab):
    number = lab.queue(study_id=lab.study_id, priority=1.0)
    lab.run(lab.won())
    assert number not in reorder(lab)
    assert score(lab, number) == 1.0


def test_a_thousand_are_scored_in_a_blink(lab):
    lab.connection.execute("PRAGMA synchronous = OFF")
    for place in range(60):
        lab.run(CRASHED if place % 3 else lab.won(1.1), source=f"x = {place}\n" * 40)
    lab.connection.execute("BEGIN")
    for place in range(999):
        lab.connection.execute(
            "INSERT INTO candidate (fingerprint, problem_id, kind, impl, config, created_at)"
            " VALUES (?, ?, 'config', 'torch', ?, 0.0)",
            (f"c{place}", lab.problem_id, json.dumps({"rows": place, "columns": place % 7})),
        )
        lab.connection.execute(
            "INSERT INTO experiment (candidate_id, purpose, proposer, why, state, created_at,"
            " updated_at) VALUES (last_insert_rowid(), 'search', ?, 'w', 'queued', ?, 0.0)",
            (f"agent:{place % 5}", time.time()),
        )
    lab.connection.execute("COMMIT")
    assert len(reorder(lab)) >= 999
    lab.run(lab.won(1.4), proposer="agent:1")
    began = time.process_time()
    changes = reorder(lab)
    seconds = time.process_time() - began
    assert len(changes) >= 199
    assert seconds < 0.2, f"{seconds:.3f} s"
