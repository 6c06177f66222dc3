"""What `onetrip.estimate` predicts, against every line of ours in `results/`."""

import statistics

import pytest

import onetrip
from onetrip.bench.results import latest, read_results, results_path
from onetrip.core.units import read_bytes


def relative_errors():
    for row in latest(read_results(results_path("linear_cross_entropy", "h100"))):
        if not row["impl"] or row["outcome"] != "done":
            continue
        budget_bytes = read_bytes(row["contender"].partition("@")[2])
        answer = onetrip.estimate(
            "linear_cross_entropy",
            device="h100",
            dtype=row["dtype"],
            backward=row["passes"] != "forward",
            options={"memory_budget": budget_bytes},
            **row["axes"],
        )
        found = next(p for p in answer.predictions if p.impl == row["impl"])
        assert found.latency_ms is not None
        yield found.latency_ms / row["latency_ms"]["median"] - 1


def test_predictions_hold_against_the_results(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    errors = [abs(error) for error in relative_errors()]
    assert len(errors) > 50
    assert max(errors) < 0.35
    assert statistics.median(errors) < 0.08


@pytest.mark.parametrize("mib", [32, 256, 4096])
def test_no_prediction_undercuts_the_floor(mib):
    answer = onetrip.estimate(
        "linear_cross_entropy",
        device="h100",
        options={"memory_budget": mib << 20},
        N=8192,
        D=2304,
        V=256000,
    )
    assert all(p.latency_ms > answer.floor_ms for p in answer.predictions if p.latency_ms)
