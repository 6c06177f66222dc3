"""The races on a device: a wrong answer of ours is never timed, a peer's is marked."""

import importlib
from dataclasses import replace

import pytest
import torch

import device_bars
import generators.races
import generators.results
from device_races.protocol import Race
from onetrip.bench.results import append_results, results_path
from onetrip.core.device import DEVICES
from onetrip.lab.verdict import Outcome

# The peer ran on the first day only.
LEFT_OUT = ("peer", "2026-11-21")
SIZES = {"N": 64, "D": 8, "C": 3}


def missing(inputs):
    raise ImportError("No module named 'nowhere'", name="nowhere")


def sums(inputs):
    return inputs["x"].sum(1)


def errors(inputs, answer):
    return {"off": float((answer - inputs["x"].sum(1)).abs().max())}


RACE = Race(
    "tiny",
    SIZES,
    lambda: {"x": torch.ones(64, 8)},
    {"onetrip": sums, "peer": lambda inputs: sums(inputs) + 1, "absent": missing},
    errors,
    {"off": 1e-6},
)


def run(race):
    return device_bars.run_race(race, samples=5, seconds=0.1, device="cpu")


def test_lines_have_the_outcome_of_each_contender(monkeypatch):
    monkeypatch.setattr(device_bars, "environment", lambda device: {})
    report, found, absent = run(RACE)
    assert absent == {"absent": "no module nowhere"}
    rows = device_bars.rows_of("multinomial_nb", RACE, report, found, DEVICES["h100"])
    assert {row["contender"]: row["outcome"] for row in rows} == {
        "onetrip": Outcome.DONE,
        "peer": Outcome.INCORRECT,
    }
    for row in rows:
        assert row["floor_ms"] > 0
        assert row["latency_ms"]["low"] <= row["latency_ms"]["median"] <= row["latency_ms"]["high"]


def test_the_table_of_races_marks_what_is_wrong_and_leaves_other_runs_out(tmp_path, monkeypatch):
    monkeypatch.setattr(generators.results, "FOLDER", tmp_path / "results")
    path = results_path("multinomial_nb", "h100", tmp_path / "results")
    known = {"device": "A device", "torch": "2.11.0", "triton": "3.6.0"}
    report, found, _ = run(RACE)
    for day in ("2026-11-20", "2026-11-21"):
        monkeypatch.setattr(device_bars, "environment", lambda _, day=day: {**known, "time": day})
        rows = device_bars.rows_of("multinomial_nb", RACE, report, found, DEVICES["h100"])
        append_results(path, [row for row in rows if (row["contender"], day) != LEFT_OUT])
    table = generators.races.races_table("h100", "multinomial_nb")
    assert "peer" not in table.replace("peers:", "")
    append_results(path, rows)
    table = generators.races.races_table("h100", "multinomial_nb")
    assert table.count("wrong") == 1
    assert "| tiny | N=64 D=8 C=3 | **" in table


@pytest.mark.parametrize("wrong", [lambda inputs: sums(inputs) * torch.nan, missing])
def test_no_time_is_taken_where_ours_is_wrong_or_missing(wrong):
    with pytest.raises(RuntimeError):
        run(replace(RACE, contenders={**RACE.contenders, "onetrip": wrong}))


@pytest.mark.parametrize("operator", device_bars.race_files())
def test_every_race_names_the_axes_of_its_operator(operator):
    races = importlib.import_module(f"device_races.{operator}").RACES
    assert len({race.name for race in races}) == len(races)
    for race in races:
        assert {"onetrip"} <= set(race.contenders)
        answer = device_bars.estimate(
            operator, dtype=race.dtype, backward=False, options=dict(race.options), **race.axes
        )
        assert answer.floor_ms > 0
