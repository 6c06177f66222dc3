"""A random walk over everything that may happen to a queue, with rules that always hold."""

import contextlib
import random
import sqlite3
import time

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.queue import claims, endings, order, priority
from onetrip.lab.queue.answers import write_answer
from onetrip.lab.queue.claims import finish, give_back, heartbeat, invalidate, reap
from onetrip.lab.verdict import Outcome, Verdict

STEPS = 400
FINAL = ("done", "incorrect", "crashed", "hacked")
OUTCOMES = (Outcome.DONE, Outcome.INCORRECT, Outcome.CRASHED, Outcome.HACKED, Outcome.INFRA_LOST)


class Walk:
    """Does at random what people, workers and clocks do, and remembers what must stay true."""

    def __init__(self, lab, seed):
        self.lab = lab
        self.connection = lab.connection
        self.dice = random.Random(seed)
        self.claims = []
        self.cancelled = set()
        self.reached = set()

    def some(self):
        rows = self.connection.execute("SELECT id FROM experiment ORDER BY id").fetchall()
        return self.dice.choice(rows)["id"]

    def submit(self):
        self.lab.queue(max_attempts=3, proposer=f"agent:{self.dice.randrange(3)}")

    def claim(self):
        expected = [row for row in order.waiting(self.connection) if row.state == "queued"]
        claimed = self.lab.claim(lease_s=self.dice.choice((5.0, 50.0)))
        if claimed is None:
            assert expected == []
            return
        assert claimed.experiment_id == expected[0].experiment_id
        highest = max(row.pinned for row in expected)
        assert expected[0].pinned == highest
        assert claimed.experiment_id not in self.cancelled
        self.claims.append(claimed)

    def beat(self):
        if self.claims:
            claimed = self.dice.choice(self.claims)
            open_before = self.is_open(claimed)
            assert heartbeat(self.connection, claimed.attempt_id, claimed.n) == open_before

    def answer(self):
        if self.claims:
            claimed = self.dice.choice(self.claims)
            open_before, state_before = self.is_open(claimed), self.state(claimed)
            verdict = Verdict(self.dice.choice(OUTCOMES))
            taken = finish(self.connection, claimed.attempt_id, claimed.n, verdict)
            assert taken == open_before
            if not taken:
                assert self.state(claimed) == state_before

    def return_it(self):
        if self.claims:
            claimed = self.dice.choice(self.claims)
            give_back(self.connection, claimed.attempt_id, claimed.n, "told to stop")

    def lapse(self):
        reap(self.connection, now=time.time() + self.dice.choice((0.0, 10.0, 100.0)))

    def pin(self):
        with contextlib.suppress(ArgumentError):
            order.pin(self.connection, self.some(), self.dice.randrange(-1, 3))

    def move(self):
        moved, before = self.some(), self.dice.choice((self.some(), None))
        with contextlib.suppress(ArgumentError):
            order.move(self.connection, moved, before)
            queued = [row for row in order.waiting(self.connection) if row.state == "queued"]
            found = [row.experiment_id for row in queued]
            place = found.index(moved)
            assert before == (found[place + 1] if place + 1 < len(found) else None)

    def change(self):
        verb = self.dice.choice((order.pause, order.resume))
        with contextlib.suppress(ArgumentError):
            verb(self.connection, self.some())

    def cancel(self):
        number = self.some()
        with contextlib.suppress(ArgumentError):
            order.cancel(self.connection, number)
            self.cancelled.add(number)

    def invalid(self):
        row = self.lab.one("SELECT max(id) FROM attempt WHERE outcome = 'done' AND invalid = ''")
        if row[0] is not None:
            invalidate(self.connection, row[0], "the clock was wrong")

    def score(self):
        priority.reorder(self.connection, "a walk")

    def is_open(self, claimed):
        query = "SELECT outcome IS NULL FROM attempt WHERE id = ?"
        return bool(self.lab.one(query, claimed.attempt_id)[0])

    def state(self, claimed):
        return self.lab.state(claimed.experiment_id)

    def check(self):
        states = self.connection.execute("SELECT DISTINCT state FROM experiment").fetchall()
        self.reached.update(row["state"] for row in states)
        open_ones = self.connection.execute(
            "SELECT experiment_id, count(*) AS times FROM attempt WHERE outcome IS NULL"
            " GROUP BY experiment_id"
        ).fetchall()
        assert all(row["times"] == 1 for row in open_ones)
        running = self.connection.execute("SELECT id FROM experiment WHERE state = 'running'")
        assert {row["experiment_id"] for row in open_ones} == {row["id"] for row in running}
        for number in self.cancelled:
            assert self.lab.state(number) == "cancelled"
        wrong = self.connection.execute(
            "SELECT experiment.id FROM experiment WHERE state IN (?, ?, ?, ?) AND state <> ("
            " SELECT outcome FROM attempt WHERE experiment_id = experiment.id"
            " ORDER BY n DESC LIMIT 1)",
            FINAL,
        ).fetchall()
        assert wrong == []
        numbered = self.connection.execute(
            "SELECT experiment_id FROM attempt GROUP BY experiment_id HAVING max(n) <> count(*)"
        ).fetchall()
        assert numbered == []


def walk_of(lab, seed):
    lab.connection.execute("PRAGMA synchronous = OFF")
    walk = Walk(lab, seed)
    steps = {
        walk.submit: 5,
        walk.claim: 8,
        walk.answer: 6,
        walk.beat: 2,
        walk.return_it: 1,
        walk.lapse: 1,
        walk.pin: 2,
        walk.move: 2,
        walk.change: 2,
        walk.cancel: 1,
        walk.invalid: 1,
        walk.score: 1,
    }
    walk.submit()
    for _ in range(STEPS):
        (step,) = walk.dice.choices(list(steps), list(steps.values()))
        step()
        walk.check()
    return walk


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_rules_hold(lab, seed):
    walk = walk_of(lab, seed)
    assert {"done", "incorrect", "cancelled", "paused", "running"} <= walk.reached


def unfenced(connection, attempt_id, *answer):
    connection.execute("UPDATE attempt SET outcome = NULL WHERE id = ?", (attempt_id,))
    return write_answer(connection, attempt_id, *answer)


def by_age(connection, campaign_id, study_id, devices, now):
    return connection.execute(
        "SELECT experiment.*, title, problem_id, problem.kind AS problem_kind, spec"
        " FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " JOIN problem ON problem.id = problem_id WHERE state = 'queued' ORDER BY experiment.id"
    ).fetchone()


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [(endings, "write_answer", unfenced), (claims, "_first", by_age)],
)
def test_the_walk_finds_a_queue_that_breaks_a_rule(lab, monkeypatch, module, name, wrong):
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises((AssertionError, sqlite3.IntegrityError)):
        walk_of(lab, seed=0)
