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

    def ask(purpose):
        return submit(
            connection,
            problem,
            contender,
            proposer="agent:x",
            why=f"{purpose} of one pass",
            title="swizzled loads",
            hypothesis_id=hypothesis,
            purpose=purpose,
        )

    first = ask("search")
    assert status(connection, hypothesis) == "testing"
    answer(connection, worker, 1, verdict(1.3))
    settled(connection, first.experiment_id)
    assert status(connection, hypothesis) in ("testing", "inconclusive")
    second = ask("confirm")
    waiting = connection.execute("SELECT count(*) FROM experiment WHERE state = 'queued'")
    for seed in range(2, 2 + waiting.fetchone()[0]):
        claim = answer(connection, worker, seed, verdict(1.3))
        settled(connection, claim.experiment_id)
    assert status(connection, hypothesis) == "supported"
    shown = experiment(connection, second.experiment_id)
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


def settled(connection, experiment_id):
    """What the worker's loop does after `finish`."""
    from onetrip.lab.queue.after import settle

    settle(connection, experiment_id)
