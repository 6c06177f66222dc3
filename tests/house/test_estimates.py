"""What `onetrip estimate` says of a device, time and memory, is within 30 % of every line."""

from pathlib import Path

import pytest

import onetrip
from device_races.protocol import stages_of
from fit_estimates import runs_of
from onetrip.bench.results import latest, read_results
from onetrip.core.cost import ITEMSIZE
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


def measured_whole():
    """The newest line of each problem of each estimator, or of a stage, that was raced alone."""
    found = {}
    for path in sorted(RESULTS.glob("*/h100.jsonl")):
        for row in latest(read_results(path)):
            if row["contender"] == "onetrip" and row["outcome"] == "done" and not row.get("impl"):
                found[row["operator"], row["workload"]] = row
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


def stages(row):
    return stages_of(
        runs_of(row),
        row["operator"],
        row["axes"],
        row["options"],
        device="h100",
        dtype=row["dtype"],
    )


@pytest.mark.parametrize("key", WHOLE_LINES, ids="-".join)
def test_whole_estimator_is_near(key):
    row = WHOLE_LINES[key]
    known = [stage.latency_ms for stage in stages(row)]
    assert known
    assert None not in known
    predicted_ms = sum(known)
    time = row["latency_ms"]
    nearest_ms = min(max(predicted_ms, time["low"]), time["high"])
    off = abs(predicted_ms / nearest_ms - 1)
    assert off <= SHARE, f"{predicted_ms} for {time['median']} ms: tools/fit_estimates.py"


# Mini-batches are estimated with samples on the host, and raced where they are on the device.
HELD_LINES = [key for key, row in WHOLE_LINES.items() if "MiniBatch" not in runs_of(row)]


@pytest.mark.parametrize("key", HELD_LINES, ids="-".join)
def test_memory_of_a_whole_estimator_is_near(key):
    """Measured is what it takes beyond the samples, and beyond labels that were given."""
    row = WHOLE_LINES[key]
    axes = row["axes"]
    given_bytes = axes["N"] * axes["D"] * ITEMSIZE[row["dtype"]]
    if row["operator"] == "kneighbors":
        # Queries, distances and indices too, and a number of each sample for each output.
        given_bytes += axes["Q"] * (axes["D"] * ITEMSIZE[row["dtype"]] + 16 * axes["K"])
        given_bytes += 8 * axes["N"] * row["options"].get("n_outputs", 1)
    beyond = [
        (stage.peak_bytes or 0)
        - given_bytes
        - (8 * axes["N"] if "C" in axes and stage.does != "predict" else 0)
        for stage in stages(row)
    ]
    measured = row["peak_bytes"]
    assert abs(max(beyond) / measured - 1) <= SHARE, f"{beyond} for {measured} bytes"


@pytest.mark.parametrize("key", WHOLE_LINES, ids="-".join)
def test_nothing_ran_below_its_floor(key):
    row = WHOLE_LINES[key]
    floor_ms = sum(stage.floor_ms for stage in stages(row))
    assert 0 < floor_ms <= row["latency_ms"]["median"]
