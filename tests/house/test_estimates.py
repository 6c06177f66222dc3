"""What `onetrip estimate` says of a device, time and memory, is within 30 % of every line."""

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


# Races of a whole estimator, whose lines name no implementation: the estimator, its words for axes.
WHOLE = {
    "hdbscan": ("HDBSCAN", {"N": "n_samples", "D": "n_features"}),
    "multinomial_nb": (
        "MultinomialNB",
        {"N": "n_samples", "D": "n_features", "C": "n_classes"},
    ),
}


def measured_whole():
    """The newest line of each problem of each estimator that was raced as a whole."""
    found = {}
    for operator in WHOLE:
        for row in latest(read_results(RESULTS / operator / "h100.jsonl")):
            if row["contender"] == "onetrip" and row["outcome"] == "done" and not row.get("impl"):
                found[operator, row["workload"]] = row
    return found


LINES = measured()
WHOLE_LINES = measured_whole()


def test_there_are_lines():
    assert {operator for operator, *_ in LINES} >= {"linear_cross_entropy"}


def estimated(key):
    """The answer for a line's problem, and what it says of the implementation that ran."""
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
    return answer, {one.impl: one for one in answer.predictions}[row["impl"]]


@pytest.mark.parametrize("key", LINES, ids="-".join)
def test_prediction_is_near(key):
    predicted_ms = estimated(key)[1].latency_ms
    assert predicted_ms is not None
    # A line whose samples fell into two groups knows its own median no better than its interval.
    time = LINES[key]["latency_ms"]
    nearest_ms = min(max(predicted_ms, time["low"]), time["high"])
    assert abs(predicted_ms / nearest_ms - 1) <= SHARE, f"{predicted_ms} for {time['median']} ms"


@pytest.mark.parametrize("key", LINES, ids="-".join)
def test_memory_is_near(key):
    """Measured is what a call takes beyond its inputs: workspace and outputs."""
    row = LINES[key]
    answer, prediction = estimated(key)
    assert prediction.workspace_bytes is not None
    predicted_bytes = prediction.workspace_bytes + answer.cost.bytes_written
    if row["operator"] == "multinomial_nb":
        # This race makes the counts that it starts from in the call.
        predicted_bytes += 8 * row["axes"]["C"] * (row["axes"]["D"] + 1)
    measured = row["peak_bytes"]
    assert measured is not None
    assert abs(predicted_bytes / measured - 1) <= SHARE, f"{predicted_bytes} for {measured} bytes"


@pytest.mark.parametrize("key", WHOLE_LINES, ids="-".join)
def test_nothing_ran_below_its_floor(key):
    row = WHOLE_LINES[key]
    estimator, words = WHOLE[row["operator"]]
    sizes = {words[axis]: size for axis, size in row["axes"].items()}
    answer = onetrip.estimate_pipeline(estimator, device="h100", dtype=row["dtype"], **sizes)
    assert 0 < answer.floor_ms <= row["latency_ms"]["median"]
