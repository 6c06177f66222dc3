"""A lab with one problem, a worker, and ways to bring an experiment to any state."""

import itertools
import sqlite3

import pytest

from onetrip.core.device import Device
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.claims import claim, finish, register_worker
from onetrip.lab.queue.submit import ProblemFacts, add_problem, submit
from onetrip.lab.store.study import Sources, place_study
from onetrip.lab.verdict import Comparison, Outcome, Timing, Verdict


def facts(name="vectoradd", **changes):
    values = {
        "kind": "folder",
        "name": name,
        "fingerprint": f"fingerprint of {name}",
        "spec": {"location": f"problems/{name}", "options": {"size": 8}},
        "brief": "Add two vectors.",
        "tolerance": {"factor": 2.0},
    }
    return ProblemFacts(**values | changes)


def won(speedup=1.2, *, width=0.05, median_ms=2.0, floor_ms=1.0, **changes):
    """A verdict that is right, timed, and `speedup` times as fast as the baseline."""

    def timing(subject, middle):
        samples = (middle * 0.99, middle, middle * 1.01)
        return Timing(subject, "", {}, samples, middle, *samples[::2], 1000, floor_ms=floor_ms)

    values = {
        "timings": (timing("candidate", median_ms), timing("baseline", median_ms * speedup)),
        "comparisons": (Comparison("baseline", speedup, speedup - width, speedup + width),),
    }
    return Verdict(Outcome.DONE, **values | changes)


class Lab:
    """Short words for what the tests do over and over."""

    def __init__(self, connection: sqlite3.Connection, device: Device) -> None:
        self.connection = connection
        self.problem_id = add_problem(connection, facts())
        self.study_id = place_study(
            connection,
            self.problem_id,
            device,
            {"torch": "2.13.0"},
            Sources("harness", {"judge.py": "h"}, "0.1.0"),
            Sources("subject", {}, "0.1.0"),
        )
        self.worker_id = register_worker(connection, "test worker", "local", {"devices": ["cpu"]})
        self._numbers = itertools.count(1)

    def queue(self, source=None, *, problem_id=None, **values):
        """Queue a source; return the experiment's number."""
        text = source or f"def kernel(x): return x + {next(self._numbers)}\n"
        defaults = {"proposer": "person", "why": "it may be faster"}
        submitted = submit(
            self.connection,
            problem_id or self.problem_id,
            Contender("source", text),
            **defaults | values,
        )
        return submitted.experiment_id

    def claim(self, **values):
        """Claim the next."""
        return claim(self.connection, self.worker_id, **{"seed": 7} | values)

    def answer(self, verdict, claimed=None):
        """Finish a claim, by default of the next experiment."""
        claimed = claimed or self.claim()
        assert claimed is not None
        assert finish(
            self.connection, claimed.attempt_id, claimed.n, verdict, study_id=self.study_id
        )
        return claimed

    def run(self, verdict, **values):
        """Queue an experiment, pin it, and answer it."""
        experiment_id = self.queue(**values)
        self.connection.execute(
            "UPDATE experiment SET pinned = 1000 WHERE id = ?", (experiment_id,)
        )
        assert self.answer(verdict).experiment_id == experiment_id
        return experiment_id

    def state(self, experiment_id):
        query = "SELECT state FROM experiment WHERE id = ?"
        return self.connection.execute(query, (experiment_id,)).fetchone()["state"]

    def events(self):
        rows = self.connection.execute("SELECT type FROM event ORDER BY seq")
        return [row["type"] for row in rows]

    def one(self, query, *values):
        return self.connection.execute(query, values).fetchone()

    facts = staticmethod(facts)
    won = staticmethod(won)


@pytest.fixture
def lab(connection, make):
    return Lab(connection, make.device)
