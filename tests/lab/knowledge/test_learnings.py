"""Learnings are added, replaced and retracted; none is edited or deleted."""

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.knowledge import learnings
from onetrip.lab.views.learnings import list_learnings

SURE = {"text": "Split K pays.", "scope": {}, "confidence": 0.7, "by": "agent:x"}


def test_learning_knows_what_it_is_about(bench):
    experiment = bench.queue()
    hypothesis = bench.declare()
    number = learnings.add(
        bench.connection,
        **SURE,
        about=[("experiment", experiment), ("hypothesis", hypothesis)],
    )
    (found,) = list_learnings(bench.connection, about=("hypothesis", hypothesis))
    assert found["id"] == number
    assert [node["key"] for node in found["about"]] == ["experiment:1", "hypothesis:1"]
    assert bench.events("learning.%") == ["learning.added"]


def test_better_learning_takes_the_place(bench):
    old = learnings.add(bench.connection, **SURE | {"scope": {"device": "h200"}})
    new = learnings.supersede(
        bench.connection, old, text="Only below 2,048 rows.", confidence=0.9, by="person"
    )
    found = {learning["id"]: learning for learning in list_learnings(bench.connection)}
    assert found[old]["status"] == "superseded"
    assert found[old]["successor"] == new
    assert found[new]["scope"] == {"device": "h200"}
    assert [row["id"] for row in list_learnings(bench.connection, "active")] == [new]


def test_retracted_learning_stays_readable(bench):
    number = learnings.add(bench.connection, **SURE)
    learnings.retract(bench.connection, number, by="person", why="the clock was wrong")
    assert [row["status"] for row in list_learnings(bench.connection)] == ["retracted"]
    with pytest.raises(ArgumentError, match="which is retracted"):
        learnings.retract(bench.connection, number, by="person", why="again")
    with pytest.raises(ArgumentError, match="which is no learning"):
        learnings.supersede(bench.connection, 99, text="x", confidence=1.0, by="person")


@pytest.mark.parametrize(
    "changes",
    [
        {"text": " "},
        {"text": "x" * 20_001},
        {"confidence": 1.01},
        {"confidence": float("nan")},
        {"by": " "},
        {"scope": {"weather": "fair"}},
        {"about": [("experiment", 99)]},
        {"about": [("worker", 1)]},
    ],
)
def test_impossible_learning_leaves_nothing_behind(bench, changes):
    with pytest.raises(ArgumentError, match="`"):
        learnings.add(bench.connection, **SURE | changes)
    assert list_learnings(bench.connection) == []
    assert bench.events("learning.%") == []
