"""What `onetrip estimate` says of a device is within 30 % of every line measured on it."""

from pathlib import Path

import pytest

import onetrip
from onetrip.bench.results import latest, read_results
from onetrip.core.operators import operator_module
from onetrip.core.units import read_bytes

RESULTS = Path(__file__).parents[2] / "results"
SHARE = 0.3


def measured():
    """The newest line of each problem of each implementation of ours."""
    found = {}
    for path in sorted(RESULTS.glob("*/h100.jsonl")):
        for row in latest(read_results(path)):
            known = operator_module(row["operator"], "spec").SPEC.implementations
            if row["outcome"] == "done" and row.get("impl") in known:
                names = ("operator", "workload", "passes", "contender")
                found[tuple(row[name] for name in names)] = row
    return found


LINES = measured()


def test_there_are_lines():
    assert {operator for operator, *_ in LINES} >= {"linear_cross_entropy"}


@pytest.mark.parametrize("key", LINES, ids="-".join)
def test_prediction_is_near(key):
    row = LINES[key]
    _, _, budget = row["contender"].partition("@")
    answer = onetrip.estimate(
        row["operator"],
        device="h100",
        dtype=row["dtype"],
        backward="backward" in row["passes"],
        options=row["options"] | ({"memory_budget": read_bytes(budget)} if budget else {}),
        **row["axes"],
    )
    predicted_ms = {one.impl: one.latency_ms for one in answer.predictions}[row["impl"]]
    assert predicted_ms is not None
    # A line whose samples fell into two groups knows its own median no better than its interval.
    time = row["latency_ms"]
    nearest_ms = min(max(predicted_ms, time["low"]), time["high"])
    assert abs(predicted_ms / nearest_ms - 1) <= SHARE, f"{predicted_ms} for {time['median']} ms"
