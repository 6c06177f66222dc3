"""From submission to status through the queue itself: nobody calls the knowledge by hand."""

import pytest

from onetrip.lab.knowledge import hypotheses
from onetrip.lab.knowledge.words import search
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue import claims
from onetrip.lab.queue.submit import ProblemFacts, add_problem, submit
from onetrip.lab.verdict import Comparison, Outcome, Timing, Verdict
from onetrip.lab.views.experiments import experiment
from onetrip.lab.views.problems import brief


def verdict(speedup):
    def timing(subject, middle_ms):
        return Timing(subject, "", {}, (middle_ms,) * 3, middle_ms, middle_ms, middle_ms, 1000)

    return Verdict(
        Outcome.DONE,
        timings=(timing("candidate", 1.0), timing("baseline", speedup)),
        comparisons=(Comparison("baseline", speedup, speedup - 0.01, speedup + 0.01),),
    )


@pytest.fixture
def problem(connection):
    facts = ProblemFacts("folder", "vectoradd", "f", {"location": "x", "options": {}}, "# Add\n")
    return add_problem(connection, facts)


@pytest.fixture
def hypothesis(connection, problem):
    return hypotheses.declare(
        connection,
        title="one pass",
        rationale="it is read twice",
        problem_id=problem,
        metric="latency_ms",
        direction="decrease",
        least_effect=0.05,
        by="agent:x",
    )


def status(connection, hypothesis):
    query = "SELECT status FROM hypothesis WHERE id = ?"
    return connection.execute(query, (hypothesis,)).fetchone()[0]


def answer(connection, worker, seed, found):
    claim = claims.claim(connection, worker, seed=seed)
    assert claim is not None
    assert claims.finish(connection, claim.attempt_id, claim.n, found)
    return claim


def test_status_follows_submissions_answers_and_invalidation(connection, problem, hypothesis):
    worker = claims.register_worker(connection, "here", "local", {"devices": ["cpu"]})
    contender = Contender("source", source="def run(inputs, outputs): pass")

    asked = submit(
        connection,
        problem,
        contender,
        proposer="agent:x",
        why="to test one pass",
        title="swizzled loads",
        hypothesis_id=hypothesis,
    )
    assert status(connection, hypothesis) == "testing"
    answer(connection, worker, 1, verdict(1.3))
    settled(connection, asked.experiment_id)
    assert status(connection, hypothesis) == "testing"
    confirmation = answer(connection, worker, 2, verdict(1.3))
    assert confirmation.purpose == "confirm"
    settled(connection, confirmation.experiment_id)
    assert status(connection, hypothesis) == "supported"
    shown = experiment(connection, confirmation.experiment_id)
    assert shown is not None
    assert shown["hypothesis_status"] == "supported"
    assert "one pass" in brief(connection, problem)["markdown"]
    assert {hit.type for hit in search(connection, "swizzled")} == {"candidate"}
    for row in connection.execute("SELECT id FROM attempt").fetchall():
        claims.invalidate(connection, row["id"], "the clock was wrong")
    assert status(connection, hypothesis) == "testing"
    types = [row[0] for row in connection.execute("SELECT type FROM event ORDER BY seq")]
    assert "hypothesis.supported" in types
    assert "hypothesis.reopened" in types
    # The queue asks for the confirmation before anybody can think that none will come.
    assert "hypothesis.inconclusive" not in types[: types.index("hypothesis.supported")]


def settled(connection, experiment_id):
    """What the worker's loop does after `finish`."""
    from onetrip.lab.queue.after import settle

    settle(connection, experiment_id)
