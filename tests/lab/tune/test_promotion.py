"""A candidate takes the default's place only on a confirmed difference."""

import dataclasses

import pytest

from onetrip.core.selection import Problem
from onetrip.lab.search.ranking import Score
from onetrip.lab.store.history import Trial
from onetrip.lab.tune.promotion import CONFIRMATIONS, Standing, decide, tuned_entry
from onetrip.lab.verdict import Comparison


def score(verdict, purpose="confirm"):
    trial = Trial(
        7, "torch", {"size": 8}, purpose, "confirm", "", None, "done", "", 1, 1.0, verdict
    )
    own = verdict.timing("candidate")
    return Score(trial, own.median_ms, own.peak_bytes)


def with_current(verdict, speedup, width=0.05):
    default = verdict.timing("default")
    return dataclasses.replace(
        verdict,
        timings=(*verdict.timings, dataclasses.replace(default, subject="current")),
        comparisons=(
            *verdict.comparisons,
            Comparison("current", speedup, speedup - width, speedup + width),
        ),
    )


def standing(leader, objective="latency", **changes):
    values = {"is_default": False, "is_current": False}
    return decide(leader, objective, **values | changes).standing


@pytest.mark.parametrize(
    ("speedup", "width", "expected"),
    [
        (1.10, 0.05, Standing.PROMOTED),
        (1.10, 0.10, Standing.DEFAULT_STAYS),
        (1.10, 0.30, Standing.DEFAULT_STAYS),
        (1.00, 0.00, Standing.DEFAULT_STAYS),
        (0.80, 0.05, Standing.DEFAULT_STAYS),
    ],
)
def test_the_interval_must_exclude_one(make, speedup, width, expected):
    assert standing(score(make.done(speedup, width=width))) is expected


def test_a_search_result_is_not_enough(make):
    leader = score(make.done(3.0), purpose="search")
    assert standing(leader) is Standing.NOT_CONFIRMED
    assert standing(leader, fallen=CONFIRMATIONS) is Standing.DEFAULT_STAYS


def test_nothing_right_is_no_result():
    assert standing(None) is Standing.NOTHING_MEASURED


def test_the_default_itself_stays(make):
    assert standing(score(make.done(1.2)), is_default=True) is Standing.DEFAULT_STAYS


def test_what_runs_already_is_not_written_again(make):
    assert standing(score(make.done(1.2)), is_current=True) is Standing.IN_TABLE


def test_todays_choice_must_be_beaten_too(make):
    assert standing(score(with_current(make.done(1.5), 1.2))) is Standing.PROMOTED
    assert standing(score(with_current(make.done(1.5), 1.02))) is Standing.TABLE_STAYS
    assert standing(score(with_current(make.done(1.5), 0.7))) is Standing.TABLE_STAYS


def test_a_default_without_a_time_promotes_nobody(make):
    verdict = make.done(1.5)
    alone = dataclasses.replace(
        verdict,
        timings=tuple(timing for timing in verdict.timings if timing.subject != "default"),
        comparisons=(),
        evidence={"default failed": "out of memory"},
    )
    decision = decide(score(alone), "latency", is_default=False, is_current=False)
    assert decision.standing is Standing.DEFAULT_STAYS
    assert "out of memory" in decision.why


def test_memory_is_promoted_on_memory(make):
    # The default's peak is 1000.
    assert standing(score(make.done(0.9, peak_bytes=500)), "memory") is Standing.PROMOTED
    assert standing(score(make.done(2.0, peak_bytes=999)), "memory") is Standing.DEFAULT_STAYS


def test_pareto_is_promoted_on_time_at_no_more_memory(make):
    assert standing(score(make.done(1.2, peak_bytes=1000)), "pareto") is Standing.PROMOTED
    assert standing(score(make.done(1.2, peak_bytes=1100)), "pareto") is Standing.DEFAULT_STAYS
    assert standing(score(make.done(1.0, peak_bytes=500)), "pareto") is Standing.DEFAULT_STAYS


def test_the_entry_carries_its_evidence(make):
    problem = Problem({"N": 8}, "float32", device_name="laptop")
    leader = score(make.done(1.25, latency_ms=2.0))
    entry = tuned_entry(leader, "toy", problem, objective="latency", campaign_id=3)
    assert (entry.config, entry.axes, entry.device) == ({"size": 8}, {"N": 8}, "laptop")
    assert (entry.latency_ms, entry.baseline_ms) == (2.0, 2.5)
    for words in ("session 3", "experiment 7", "1.250 times", "1.200 to 1.300", "all rows"):
        assert words in entry.evidence
