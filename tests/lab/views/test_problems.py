"""The brief holds what one must know before proposing, and nothing that must stay hidden."""

import json

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.store.study import canonical
from onetrip.lab.views.problems import brief, learnings_in_scope, list_problems
from onetrip.lab.views.studies import floors


def test_list_knows_champions_and_refusals(lab):
    found = {row["name"]: row for row in list_problems(lab)}
    assert found["mla_decode/loose"]["refused"].startswith("it accepts an output of zeros")
    assert found["mla_decode/loose"]["champion"] is None
    leader = found["linear_cross_entropy/gpt2"]["champion"]
    assert leader["device"] == "h200"
    assert leader["median_ms"] > 0.803
    assert leader["ratio"]["low"] > 1
    assert sum(found["row_softmax"]["counts_by_state"].values()) > 100
    assert found["row_softmax"]["hypotheses"]["testing"] == 1


def test_brief_is_whole(lab):
    found = brief(lab, 1)
    assert json.loads(json.dumps(found)) == found
    assert found["entry"] == {"function": "run", "convention": "destination"}
    (floor,) = found["devices"][0]["floors"]
    assert floor["bound"] == "compute"
    assert floor["floor_ms"] == pytest.approx(632_429_150_208 / 788e12 * 1e3)
    assert found["champions"][0]["source_sha256"]
    assert len({row["candidate_id"] for row in found["best"]}) == 5
    assert found["best"][0]["median_ms"] == min(row["median_ms"] for row in found["best"])
    assert {idea["status"] for idea in found["hypotheses"]} <= {"open", "testing", "inconclusive"}
    assert {idea["status"] for idea in found["decided"]} >= {"supported", "refuted"}
    (campaign,) = found["campaigns"]
    assert campaign["left"]["gpu_s"] == pytest.approx(7200 - campaign["committed"]["gpu_s"])
    for part in ("## Floor", "## Device", "## Best so far", "## What failed", "## Budget"):
        assert part in found["markdown"]
    assert "[learning" in found["markdown"]


def test_failures_that_are_alike_are_told_once(lab):
    failures = brief(lab, 1)["failures"]
    assert [group["count"] for group in failures] == sorted(
        (group["count"] for group in failures), reverse=True
    )
    assert len({(group["state"], group["reason"]) for group in failures}) == len(failures)
    (beyond,) = [group for group in failures if "beyond the budget" in group["reason"]]
    assert beyond["reason"] == "output: … of … values beyond the budget, worst at [… …]"
    assert "4,096" in beyond["example"]
    assert beyond["experiments"] == sorted(beyond["experiments"], reverse=True)


def test_refusal_stands_first(lab):
    text = brief(lab, 4)["markdown"]
    assert "**Refused: it accepts an output of zeros" in text


def test_there_is_no_such_problem(lab):
    with pytest.raises(ArgumentError, match="the number of a problem"):
        brief(lab, 99)


def test_hidden_cases_are_counted_and_not_told(connection):
    cases = [
        {"name": "seen", "arguments": {"N": 1000}, "timed": True, "hidden": False},
        {"name": "secret", "arguments": {"N": 977}, "timed": False, "hidden": True},
    ]
    connection.execute(
        "INSERT INTO problem (fingerprint, kind, name, spec, created_at)"
        " VALUES ('f', 'folder', 'p', ?, 0)",
        (canonical({"location": "x", "cases": cases}),),
    )
    found = brief(connection, 1)
    assert found["hidden_cases"] == 1
    assert "977" not in json.dumps(found)
    assert "secret" not in json.dumps(found)


def test_floor_is_told_before_anything_was_measured(lab):
    """The refused problem has no study: the devices of the lab stand in."""
    found = brief(lab, 4)
    assert {place["device"] for place in found["devices"]} == {"h200", "laptop"}
    assert {place["study_id"] for place in found["devices"]} == {None}
    assert "with torch 2.13.0" in found["markdown"]
    spec = {
        "cases": [{"name": "a", "cost": {"flops": 10**12, "bytes_read": 8, "bytes_written": 8}}]
    }
    h200 = next(place for place in found["devices"] if place["device"] == "h200")
    (floor,) = floors(spec, h200)
    assert floor["floor_ms"] == pytest.approx(1e12 / 51e12 * 1e3)


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        ({}, True),
        ({"problem": "linear_cross_entropy/gpt2"}, True),
        ({"problem": "row_softmax"}, False),
        ({"operator": "linear_cross_entropy"}, True),
        ({"operator": "rms_norm"}, False),
        ({"device": "H200"}, True),
        ({"device": "a100"}, False),
        ({"dtype": "bfloat16"}, True),
        ({"dtype": "float16"}, False),
        ({"arch": 90}, True),
        ({"impl": "triton"}, True),
        ({"device": "h200", "problem": "row_softmax"}, False),
    ],
)
def test_scope_decides_where_a_learning_is_told(lab, scope, holds, monkeypatch):
    from onetrip.lab.views import problems

    learning = {"id": 1, "scope": scope, "about": []}
    monkeypatch.setattr(problems, "list_learnings", lambda *_: [learning])
    spec = {"location": "linear_cross_entropy", "cases": [{"name": "a", "dtype": "bfloat16"}]}
    problem = {"id": 1, "name": "linear_cross_entropy/gpt2"}
    studies = [{"device": "h200", "arch": 90}]
    assert bool(learnings_in_scope(lab, problem, spec, studies)) is holds
    learning["about"] = [{"type": "problem", "id": 1}]
    assert learnings_in_scope(lab, problem, spec, studies)
