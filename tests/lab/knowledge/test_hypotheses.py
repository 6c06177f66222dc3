"""A status follows from evidence and from nothing else."""

import sqlite3
import time

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.knowledge import effects, graph, hypotheses


def test_nothing_tests_it_yet(bench):
    hypothesis = bench.declare()
    assert bench.status(hypothesis) == "open"
    assert bench.events("hypothesis.%") == ["hypothesis.declared"]


def test_waiting_experiments_make_it_testing(bench):
    hypothesis = bench.declare()
    bench.queue(hypothesis)
    assert bench.status(hypothesis) == "testing"
    assert bench.events("hypothesis.testing") == ["hypothesis.testing"]


def test_search_alone_does_not_support(bench):
    hypothesis = bench.declare()
    bench.test(hypothesis, 1.2)
    assert bench.status(hypothesis) == "inconclusive"
    assert "no run with another seed confirms it" in bench.why(hypothesis)
    assert bench.evidence(hypothesis) == {(1, "supports")}


def test_search_and_confirmation_support(bench):
    hypothesis, candidate = bench.declare(), bench.candidate()
    bench.test(hypothesis, 1.2, candidate=candidate)
    bench.test(hypothesis, 1.18, candidate=candidate, purpose="confirm")
    assert bench.status(hypothesis) == "supported"
    assert "by 14.5 % to 17.4 %" in bench.why(hypothesis)
    assert bench.evidence(hypothesis) == {(1, "supports"), (2, "supports")}
    assert bench.events("hypothesis.supported") == ["hypothesis.supported"]
    assert bench.events("edge.added") == ["edge.added"] * 2


def test_confirmation_with_the_same_seed_confirms_nothing(bench):
    hypothesis, candidate = bench.declare(), bench.candidate()
    bench.test(hypothesis, 1.2, candidate=candidate, seed=7)
    bench.test(hypothesis, 1.2, candidate=candidate, purpose="confirm", seed=7)
    assert bench.status(hypothesis) == "inconclusive"


def test_confirmation_of_another_candidate_confirms_nothing(bench):
    hypothesis = bench.declare()
    bench.test(hypothesis, 1.2)
    bench.test(hypothesis, 1.2, purpose="confirm")
    assert bench.status(hypothesis) == "inconclusive"


def test_two_searches_do_not_make_a_confirmation(bench):
    hypothesis, candidate = bench.declare(), bench.candidate()
    bench.test(hypothesis, 1.2, candidate=candidate)
    bench.test(hypothesis, 1.2, candidate=candidate)
    assert bench.status(hypothesis) == "inconclusive"


def test_confirmation_that_was_queued_for_the_search_counts(bench):
    """The queue's own confirmation names its parent, not the hypothesis."""
    hypothesis, candidate = bench.declare(), bench.candidate()
    bench.test(hypothesis, 1.2, candidate=candidate)
    confirm = bench.queue(None, candidate, purpose="confirm", parent_id=1)
    assert bench.status(hypothesis) == "testing"
    bench.compare(bench.answer(confirm), 1.2)
    hypotheses.recompute_for(bench.connection, confirm)
    assert bench.status(hypothesis) == "supported"


@pytest.mark.parametrize("speedup", [1.0, 0.8, 1.03])
def test_interval_short_of_the_least_effect_refutes(bench, speedup):
    hypothesis = bench.declare()
    bench.test(hypothesis, speedup)
    assert bench.status(hypothesis) == "refuted"
    assert bench.evidence(hypothesis) == {(1, "refutes")}
    assert "predicted: latency_ms decreases by at least 5 %" in bench.why(hypothesis)


def test_interval_that_holds_the_least_effect_decides_nothing(bench):
    hypothesis = bench.declare()
    bench.test(hypothesis, 1.06, width=0.04)
    assert bench.status(hypothesis) == "inconclusive"
    assert bench.evidence(hypothesis) == set()


def test_refutes_only_once_nothing_waits(bench):
    hypothesis = bench.declare()
    bench.test(hypothesis, 0.9)
    waiting = bench.queue(hypothesis)
    assert bench.status(hypothesis) == "testing"
    bench.connection.execute("UPDATE experiment SET state = 'cancelled' WHERE id = ?", (waiting,))
    assert bench.status(hypothesis) == "refuted"


def test_what_went_the_other_way_is_called_so(bench):
    hypothesis = bench.declare()
    bench.test(hypothesis, 0.8)
    assert bench.status(hypothesis) == "refuted"
    assert "shows an increase of latency_ms by 2" in bench.why(hypothesis)
    assert "-" not in bench.why(hypothesis)


def test_one_candidate_that_leaves_it_possible_keeps_it_undecided(bench):
    hypothesis = bench.declare()
    bench.test(hypothesis, 0.9)
    bench.test(hypothesis, 1.06, width=0.04)
    assert bench.status(hypothesis) == "inconclusive"


def test_confirmation_has_the_last_word(bench):
    hypothesis, candidate = bench.declare(), bench.candidate()
    bench.test(hypothesis, 1.2, candidate=candidate)
    bench.test(hypothesis, 0.98, candidate=candidate, purpose="confirm")
    assert bench.status(hypothesis) == "refuted"


@pytest.mark.parametrize("outcome", ["incorrect", "crashed", "compile_error", "timeout", "hacked"])
def test_failed_candidates_refute_nothing(bench, outcome):
    hypothesis = bench.declare()
    attempt = bench.answer(bench.queue(hypothesis), outcome)
    bench.compare(attempt, 0.5)
    assert bench.status(hypothesis) == "inconclusive"
    assert f"no valid evidence: 1 {outcome}" in bench.why(hypothesis)


@pytest.mark.parametrize("column", ["invalid", "quarantined"])
def test_invalid_and_quarantined_answers_count_for_nothing(bench, column):
    hypothesis, candidate = bench.declare(), bench.candidate()
    bench.test(hypothesis, 1.2, candidate=candidate)
    attempt = bench.test(hypothesis, 1.2, candidate=candidate, purpose="confirm")
    assert bench.status(hypothesis) == "supported"
    bench.connection.execute(f"UPDATE attempt SET {column} = 'why' WHERE id = ?", (attempt,))
    assert bench.status(hypothesis) == "inconclusive"
    assert bench.evidence(hypothesis) == {(1, "supports")}
    assert bench.events("hypothesis.reopened") == ["hypothesis.reopened"]


def test_measured_before_the_declaration_is_no_prediction(bench):
    hypothesis = bench.declare()
    experiment = bench.queue(hypothesis)
    bench.compare(bench.answer(experiment, started_at=time.time() - 60), 0.9)
    assert bench.status(hypothesis) == "inconclusive"
    assert "taken after the declaration" in bench.why(hypothesis)


def test_link_afterwards_is_no_evidence(bench):
    hypothesis = bench.declare()
    bench.test(None, 1.5)
    with pytest.raises(ArgumentError, match="not computed from results"):
        graph.link(
            bench.connection, ("experiment", 1), "supports", ("hypothesis", hypothesis), "agent"
        )
    bench.insert(
        "edge", source_type="experiment", source_id=1, relation="supports",
        target_type="hypothesis", target_id=hypothesis, created_by="agent", created_at=0.0,
    )  # fmt: skip
    assert bench.status(hypothesis) == "open"
    assert bench.evidence(hypothesis) == set()


def test_other_problems_candidates_prove_nothing(bench):
    hypothesis = bench.declare()
    candidate = bench.candidate(problem=bench.insert_problem("softmax"))
    bench.test(hypothesis, 0.9, candidate=candidate)
    assert bench.status(hypothesis) == "inconclusive"


def test_baseline_runs_are_no_evidence(bench):
    hypothesis = bench.declare()
    bench.test(hypothesis, 0.9, purpose="baseline")
    assert bench.status(hypothesis) == "inconclusive"


def test_every_named_workload_must_hold(bench):
    hypothesis = bench.declare(workloads=["small", "large"])
    candidate = bench.candidate()
    for purpose in ("search", "confirm"):
        attempt = bench.answer(bench.queue(hypothesis, candidate, purpose=purpose))
        bench.compare(attempt, 1.2, workload="small")
        bench.compare(attempt, 0.5, workload="unnamed")
    assert bench.status(hypothesis) == "inconclusive"
    for attempt in (1, 2):
        bench.compare(attempt, 1.2, workload="large")
    assert bench.status(hypothesis) == "supported"
    bench.connection.execute("UPDATE comparison SET high = 1.01, low = 1 WHERE workload = 'large'")
    assert bench.status(hypothesis) == "refuted"


def test_slower_can_be_predicted(bench):
    hypothesis, candidate = bench.declare(direction="increase"), bench.candidate()
    for purpose in ("search", "confirm"):
        bench.test(hypothesis, 0.8, candidate=candidate, purpose=purpose)
    assert bench.status(hypothesis) == "supported"
    found = effects.effects_of(bench.connection, hypothesis)[0]
    assert found.gain == pytest.approx(0.25)
    assert found.low == pytest.approx(1 / 0.81 - 1)
    assert found.high == pytest.approx(1 / 0.79 - 1)


def test_gain_of_a_speedup(bench):
    """Twice as fast takes half the time: a decrease by 0.5, not by 1."""
    hypothesis = bench.declare()
    bench.test(hypothesis, 2.0, width=0.5)
    found = effects.effects_of(bench.connection, hypothesis)[0]
    assert (found.low, found.gain, found.high) == pytest.approx((1 - 1 / 1.5, 0.5, 1 - 1 / 2.5))


def test_cold_times_count_where_there_are_both(bench):
    hypothesis = bench.declare()
    attempt = bench.test(hypothesis, 1.2)
    bench.compare(attempt, 0.5, regime="warm")
    assert [effect.says for effect in effects.effects_of(bench.connection, hypothesis)] == [
        "supports"
    ]


@pytest.mark.parametrize(("peak_bytes", "status"), [(400, "supported"), (990, "refuted")])
def test_peak_memory_is_compared_within_the_attempt(bench, peak_bytes, status):
    hypothesis = bench.declare(metric="peak_bytes", least_effect=0.5)
    candidate = bench.candidate()
    for purpose in ("search", "confirm"):
        attempt = bench.answer(bench.queue(hypothesis, candidate, purpose=purpose))
        bench.peak(attempt, peak_bytes)
        bench.peak(attempt, 1000, subject="baseline")
    assert bench.status(hypothesis) == status


def test_own_metric_is_held_against_all_values_of_the_baseline(bench):
    hypothesis = bench.declare(metric="tokens_per_s", direction="increase", least_effect=0.1)
    baseline, candidate = bench.candidate("baseline"), bench.candidate("new")
    for value in (90.0, 100.0):
        attempt = bench.answer(bench.queue(None, baseline, purpose="baseline"))
        bench.insert("metric", attempt_id=attempt, name="tokens_per_s", value=value)
    for purpose in ("search", "confirm"):
        experiment = bench.queue(hypothesis, candidate, purpose=purpose, baseline_id=baseline)
        attempt = bench.answer(experiment)
        bench.insert("metric", attempt_id=attempt, name="tokens_per_s", value=120.0)
    found = effects.effects_of(bench.connection, hypothesis)[0]
    assert (found.low, found.high) == pytest.approx((0.2, 120 / 90 - 1))
    assert bench.status(hypothesis) == "supported"


def test_baseline_that_turns_out_invalid_reopens_those_compared_with_it(bench):
    hypothesis = bench.declare(metric="tokens_per_s", direction="increase", least_effect=0.1)
    baseline, candidate = bench.candidate("baseline"), bench.candidate("new")
    base = bench.answer(bench.queue(None, baseline, purpose="baseline"))
    bench.insert("metric", attempt_id=base, name="tokens_per_s", value=90.0)
    for purpose in ("search", "confirm"):
        experiment = bench.queue(hypothesis, candidate, purpose=purpose, baseline_id=baseline)
        bench.insert("metric", attempt_id=bench.answer(experiment), name="tokens_per_s", value=120)
    assert bench.status(hypothesis) == "supported"
    bench.connection.execute("UPDATE attempt SET invalid = 'hot' WHERE id = ?", (base,))
    hypotheses.recompute_for(bench.connection, 1)
    assert bench.events("hypothesis.reopened") == ["hypothesis.reopened"]


def test_errors_are_held_against_the_baselines(bench):
    hypothesis = bench.declare(metric="max_error", least_effect=0.5)
    baseline, candidate = bench.candidate(), bench.candidate()
    for purpose, owner, error in (("baseline", baseline, 1e-3), ("search", candidate, 1e-4)):
        experiment = bench.queue(hypothesis, owner, purpose=purpose, baseline_id=baseline)
        bench.insert(
            "check_result", attempt_id=bench.answer(experiment), tensor="output", passed=1,
            max_error=error, allowance=1.0,
        )  # fmt: skip
    found = effects.effects_of(bench.connection, hypothesis)
    assert [(effect.gain, effect.says) for effect in found] == [(pytest.approx(0.9), "supports")]


def test_declaration_cannot_be_changed(bench):
    hypothesis = bench.declare()
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        bench.connection.execute("UPDATE hypothesis SET least_effect = 0.01")
    assert hypotheses.is_as_declared(bench.connection, hypothesis)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("title", "'easier'"),
        ("rationale", "'other'"),
        ("metric", "'peak_bytes'"),
        ("direction", "'increase'"),
        ("least_effect", "0.001"),
        ("workloads", """'["easy"]'"""),
        ("prior", "0.99"),
        ("declared_by", "'x'"),
        ("declared_at", "0"),
    ],
)
def test_change_behind_the_triggers_back_voids_the_evidence(bench, column, value):
    hypothesis, candidate = bench.declare(), bench.candidate()
    for purpose in ("search", "confirm"):
        bench.test(hypothesis, 1.2, candidate=candidate, purpose=purpose)
    bench.connection.execute("DROP TRIGGER hypothesis_is_frozen")
    bench.connection.execute(f"UPDATE hypothesis SET {column} = {value}")
    assert not hypotheses.is_as_declared(bench.connection, hypothesis)
    assert bench.status(hypothesis) == "inconclusive"
    assert "altered" in bench.why(hypothesis)
    assert bench.evidence(hypothesis) == set()


def test_only_what_is_undecided_can_be_withdrawn(bench):
    idle, refuted = bench.declare(), bench.declare(title="other")
    bench.test(refuted, 0.9)
    bench.status(refuted)
    hypotheses.withdraw(bench.connection, idle, "person", "said twice")
    bench.queue(idle)
    assert bench.status(idle) == "withdrawn"
    with pytest.raises(ArgumentError, match="which is refuted"):
        hypotheses.withdraw(bench.connection, refuted, "person", "ugly")


def test_successor_ends_an_undecided_one_only(bench):
    old, refuted, new = bench.declare(), bench.declare(), bench.declare()
    bench.test(refuted, 0.9)
    for target in (old, refuted):
        graph.link(
            bench.connection, ("hypothesis", new), "supersedes", ("hypothesis", target), "person"
        )
    assert bench.status(old) == "superseded"
    assert bench.status(refuted) == "refuted"


def test_what_a_killed_process_left_behind_is_settled_by_the_next_result(bench):
    refuted, tested = bench.declare(), bench.declare()
    experiment = bench.queue(refuted)
    bench.status(refuted)
    bench.compare(bench.answer(experiment), 0.9)
    bench.queue(tested)
    # Nobody recomputed either: their processes were killed before they could.
    other = bench.queue()
    bench.answer(other)
    hypotheses.recompute_for(bench.connection, other)
    statuses = bench.connection.execute("SELECT status FROM hypothesis ORDER BY id").fetchall()
    assert [row[0] for row in statuses] == ["refuted", "testing"]


def test_same_result_twice_writes_nothing(bench):
    hypothesis = bench.declare()
    bench.test(hypothesis, 0.9)
    bench.status(hypothesis)
    before = bench.connection.total_changes
    bench.status(hypothesis)
    assert bench.connection.total_changes == before


@pytest.mark.parametrize(
    "changes",
    [
        {"title": " "},
        {"title": "x" * 201},
        {"direction": "faster"},
        {"least_effect": -0.1},
        {"least_effect": float("nan")},
        {"prior": 1.0},
        {"problem_id": 99},
        {"parent_id": 99},
        {"workloads": "gpt2"},
        {"metric": ""},
        {"by": ""},
    ],
)
def test_impossible_declaration_is_refused(bench, changes):
    with pytest.raises(ArgumentError, match="`"):
        bench.declare(**changes)
    assert bench.connection.execute("SELECT count(*) FROM hypothesis").fetchone()[0] == 0


def test_no_function_sets_a_status():
    """Only `recompute` and `withdraw` write one; all other public names declare or read."""
    public = {name for name in vars(hypotheses) if not name.startswith("_")}
    writers = {"declare", "recompute", "recompute_for", "withdraw"}
    readers = {"is_as_declared", "frozen_sha256"}
    ours = {
        name
        for name in public
        if getattr(vars(hypotheses)[name], "__module__", "") == hypotheses.__name__
    }
    assert ours == writers | readers
