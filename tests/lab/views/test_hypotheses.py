"""Hypotheses with their evidence, learnings with their scope."""

import json

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.knowledge.hypotheses import STATUSES
from onetrip.lab.views.hypotheses import hypothesis, list_hypotheses
from onetrip.lab.views.learnings import list_learnings


def test_made_up_lab_has_every_status(lab):
    assert {row["status"] for row in list_hypotheses(lab)} == set(STATUSES)
    assert "hypothesis.reopened" in {
        row[0] for row in lab.execute("SELECT DISTINCT type FROM event")
    }


def test_list_by_status_and_problem(lab):
    refuted = list_hypotheses(lab, "refuted")
    assert refuted
    assert {row["status"] for row in refuted} == {"refuted"}
    assert all(row["refutes"] and not row["supports"] for row in refuted)
    assert {row["problem_id"] for row in list_hypotheses(lab, problem_id=2)} == {2}
    with pytest.raises(ArgumentError, match="one of open"):
        list_hypotheses(lab, "true")


def test_one_hypothesis_tells_its_evidence(lab):
    found = hypothesis(lab, 3)
    assert found is not None
    assert json.loads(json.dumps(found)) == found
    assert found["status"] == "supported"
    assert found["as_declared"]
    assert found["prediction"] == "latency_ms decreases by at least 5 % on all workloads"
    assert [effect["says"] for effect in found["effects"]] == ["supports"] * 2
    assert found["effects"][0]["gain"] == pytest.approx(0.12)
    assert all("seed" not in effect for effect in found["effects"])
    assert [row["purpose"] for row in found["experiments"]] == ["search", "confirm"]
    assert [child["id"] for child in found["children"]] == [4]
    assert found["learnings"][0]["status"] == "superseded"
    assert found["spent"]["gpu_s"] > 0
    assert found["events"][0]["type"] == "hypothesis.declared"
    assert hypothesis(lab, 999) is None


def test_learnings_stand_by_what_they_are_worth(lab):
    found = list_learnings(lab)
    assert found[0]["confidence"] == 0.95
    assert {row["status"] for row in found} == {"active", "superseded", "retracted"}
    assert [row["status"] for row in found][-2:] == ["superseded", "retracted"]
    assert found[0]["about"][0]["key"].startswith(("hypothesis:", "experiment:"))
    with pytest.raises(ArgumentError, match="one of active"):
        list_learnings(lab, "true")
