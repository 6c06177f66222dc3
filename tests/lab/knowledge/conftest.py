"""A bench: problems, candidates and answered experiments in a few words."""

import itertools
import time

import pytest

from onetrip.lab.knowledge import hypotheses
from onetrip.lab.store.blobs import put_blob


class Bench:
    """Writes rows as the queue would, with what a judge would have found."""

    def __init__(self, connection):
        self.connection = connection
        self.numbers = itertools.count(1)
        self.problem = self.insert_problem("vectoradd")

    def insert(self, table, **values):
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        query = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        return self.connection.execute(query, tuple(values.values())).lastrowid

    def insert_problem(self, name, brief=""):
        return self.insert(
            "problem", fingerprint=name, kind="folder", name=name, spec='{"location":"x"}',
            brief=brief, created_at=time.time(),
        )  # fmt: skip

    def candidate(self, title="", source="pass", problem=None):
        number = next(self.numbers)
        sha256 = put_blob(self.connection, source.encode())
        return self.insert(
            "candidate", fingerprint=f"c{number}", problem_id=problem or self.problem,
            kind="source", config="{}", source_sha256=sha256, title=title, created_at=time.time(),
        )  # fmt: skip

    def declare(self, **changes):
        values = {
            "title": "one pass is enough",
            "rationale": "each row is read twice",
            "problem_id": self.problem,
            "metric": "latency_ms",
            "direction": "decrease",
            "least_effect": 0.05,
            "by": "person",
        }
        return hypotheses.declare(self.connection, **values | changes)

    def queue(self, hypothesis=None, candidate=None, state="queued", **values):
        values = {"purpose": "search", "proposer": "person", "why": "to see"} | values
        now = time.time()
        return self.insert(
            "experiment", candidate_id=candidate or self.candidate(), hypothesis_id=hypothesis,
            state=state, created_at=now, updated_at=now, **values,
        )  # fmt: skip

    def answer(self, experiment, outcome="done", *, seed=None, n=1, started_at=None, **values):
        at = time.time() if started_at is None else started_at
        self.connection.execute(
            "UPDATE experiment SET state = ? WHERE id = ?", (outcome, experiment)
        )
        return self.insert(
            "attempt", experiment_id=experiment, n=n, started_at=at, ended_at=at, outcome=outcome,
            seed=str(next(self.numbers) if seed is None else seed), **values,
        )  # fmt: skip

    def compare(self, attempt, speedup, *, width=0.01, workload="", baseline="baseline", **values):
        return self.insert(
            "comparison", attempt_id=attempt, workload=workload, baseline=baseline,
            speedup=speedup, low=speedup - width, high=speedup + width, **values,
        )  # fmt: skip

    def peak(self, attempt, peak_bytes, *, subject="candidate", workload=""):
        return self.insert(
            "measurement", attempt_id=attempt, subject=subject, workload=workload,
            samples_ms="[1.0]", median_ms=1.0, low_ms=1.0, high_ms=1.0, peak_bytes=peak_bytes,
        )  # fmt: skip

    def test(self, hypothesis, speedup, *, purpose="search", candidate=None, seed=None, width=0.01):
        """An experiment under a hypothesis, answered with this speedup; return its attempt."""
        experiment = self.queue(hypothesis, candidate, purpose=purpose)
        attempt = self.answer(experiment, seed=seed)
        self.compare(attempt, speedup, width=width)
        return attempt

    def status(self, hypothesis):
        return hypotheses.recompute(self.connection, hypothesis)

    def why(self, hypothesis):
        query = "SELECT status_why FROM hypothesis WHERE id = ?"
        return self.connection.execute(query, (hypothesis,)).fetchone()[0]

    def evidence(self, hypothesis):
        """{(experiment, relation)} of the edges that end at a hypothesis."""
        found = self.connection.execute(
            "SELECT source_id, relation FROM edge WHERE source_type = 'experiment'"
            " AND target_type = 'hypothesis' AND target_id = ?",
            (hypothesis,),
        )
        return {tuple(row) for row in found}

    def events(self, like):
        query = "SELECT type FROM event WHERE type LIKE ? ORDER BY seq"
        return [row[0] for row in self.connection.execute(query, (like,))]


@pytest.fixture
def bench(connection):
    return Bench(connection)
