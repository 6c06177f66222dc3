"""Runs: pairs beside the baseline, bounds in every run, and every way to fail."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.bounds import read_bound
from onetrip.lab.problems.facts import facts_of
from onetrip.lab.problems.problem import Contender
from onetrip.lab.problems.run import judge_run
from onetrip.lab.problems.run_spec import read_run
from onetrip.lab.search.knobs import read_knobs, with_values
from onetrip.lab.verdict import verdict_from

COMMAND = """
name = "square"
summary = "Speed is the parameter, loss its square."
command = ["{python}", "work.py", "{speed}", "{seed}", "{metrics}"]
objective = "speed"
direction = "maximize"
bounds = ["loss <= 20", "loss <= 5 * baseline"]
repeats = 3
seconds = 20
units = {speed = "tokens/s"}
[parameters.speed]
low = 0
high = 100
[parameters.mode]
choices = ["fast", "slow", 1, true]
[baseline]
speed = 2
mode = "fast"
"""

WORK = """
import json, os, sys, time
speed, seed, metrics = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
print("loss: 0 speed: 1e9", {"speed": 1e9})
if speed == 50:
    sys.exit(3)
if speed == 51:
    os.kill(os.getpid(), 11)
if speed == 52:
    time.sleep(60)
if speed == 53:
    sys.exit(0)
if speed == 54:
    open(metrics, "w").write("not JSON")
    sys.exit(0)
if speed == 55:
    kept = bytearray(700 << 20)
    for place in range(0, len(kept), 4096):
        kept[place] = 1
    time.sleep(60)
with open(metrics, "w") as file:
    file.write(json.dumps({"loss": speed * speed}) + "\\n")
    file.write(json.dumps({"speed": speed * (1 + seed % 7 / 1000)}) + "\\n")
"""

FUNCTION = (
    COMMAND.replace(
        'command = ["{python}", "work.py", "{speed}", "{seed}", "{metrics}"]',
        'function = "work:run"',
    )
    .replace("[parameters.mode]", "[parameters.mode] # of the function")
    .replace("repeats = 3", "repeats = 4")
)

FUNCTION_WORK = """
import os
calls = 0

def run(parameters, seed):
    global calls
    calls += 1
    speed = parameters["speed"]
    if speed == 50:
        raise ValueError("no such speed")
    if speed == 51:
        os._exit(0)
    if speed == 52:
        return {"speed": 1.0}
    if speed == 53:
        return {"speed": float("nan"), "loss": 1.0}
    if speed == 54:
        return {"speed": 1.0, "loss": 30.0 if calls == 4 else 1.0}
    if speed == 55:
        raise MemoryError
    return {"speed": speed, "loss": speed * speed, "pid": os.getpid(), "calls": calls,
            "seed": seed}
"""


def pairs_of(verdict) -> Any:
    return verdict.evidence["pairs"]


def judged(ref, config, **changes):
    values = {"seed": 11, "seconds": 60.0} | changes
    verdict = judge_run(TrialJob(ref, Contender("config", config=config), **values))
    assert verdict_from(json.loads(json.dumps(verdict.as_dict()))).outcome == verdict.outcome
    return verdict


def test_command_is_compared_with_its_baseline_pair_by_pair(run_file):
    ref = run_file(COMMAND, WORK)
    started = []
    verdict = judge_run(
        TrialJob(ref, Contender("config", config={"speed": 4}), seed=1, seconds=60.0),
        on_start=lambda pid, at: started.append((pid, at)),
    )
    assert verdict.outcome == "done", verdict.reason
    (pair,) = verdict.comparisons
    assert (pair.baseline, round(pair.speedup, 3)) == ("baseline", 2.0)
    assert pair.low == pytest.approx(2.0)
    assert {metric.name: metric.unit for metric in verdict.metrics} == {
        "loss": "",
        "speed": "tokens/s",
    }
    assert [check.tensor for check in verdict.checks] == ["loss <= 20", "loss <= 5 * baseline"]
    assert [check.allowance for check in verdict.checks] == [20.0, 20.0]
    pairs = pairs_of(verdict)
    assert len(pairs) == 3
    assert len({pair["seed"] for pair in pairs}) == 3
    assert len(started) == 6
    for timing in verdict.timings:
        assert len(timing.samples_ms) == 3


def test_order_within_pairs_follows_the_secret_seed(run_file):
    ref = run_file(FUNCTION, FUNCTION_WORK)
    orders = {
        seed: [tuple(pair["order"]) for pair in pairs_of(judged(ref, {"speed": 3}, seed=seed))]
        for seed in (1, 2)
    }
    assert orders[1] != orders[2]
    again = [tuple(p["order"]) for p in pairs_of(judged(ref, {"speed": 3}, seed=1))]
    assert again == orders[1]


def test_smaller_is_better_where_the_file_says_so(run_file):
    ref = run_file(FUNCTION.replace("maximize", "minimize"), FUNCTION_WORK)
    (pair,) = judged(ref, {"speed": 4}).comparisons
    assert pair.speedup == pytest.approx(0.5)
    assert pair.slower


def test_function_is_imported_once_a_side_and_warmed_up(run_file):
    ref = run_file(FUNCTION, FUNCTION_WORK)
    verdict = judged(ref, {"speed": 3})
    calls = [pair["candidate"]["metrics"]["calls"] for pair in pairs_of(verdict)]
    assert calls == [2, 3, 4, 5]
    pids = {
        side: {pair[side]["metrics"]["pid"] for pair in pairs_of(verdict)}
        for side in ("candidate", "baseline")
    }
    assert all(len(found) == 1 for found in pids.values())
    assert pids["candidate"] != pids["baseline"]
    seeds = [
        (pair["candidate"]["metrics"]["seed"], pair["baseline"]["metrics"]["seed"])
        for pair in pairs_of(verdict)
    ]
    assert all(own == other for own, other in seeds)
    for found in pids.values():
        assert not Path(f"/proc/{int(found.pop())}").exists()


def test_confirming_takes_twice_the_pairs(run_file):
    ref = run_file(FUNCTION, FUNCTION_WORK)
    assert len(pairs_of(judged(ref, {"speed": 3}, purpose="confirm"))) == 8


def test_champion_takes_the_place_of_the_baseline(run_file):
    ref = run_file(FUNCTION, FUNCTION_WORK)
    rivals = {"baseline": Contender("config", config={"speed": 4})}
    (pair,) = judged(ref, {"speed": 3}, rivals=rivals).comparisons
    assert pair.speedup == pytest.approx(0.75)


def test_baseline_itself_is_run_alone(run_file):
    ref = run_file(FUNCTION, FUNCTION_WORK)
    verdict = judged(ref, {})
    assert verdict.outcome == "done"
    assert verdict.comparisons == ()
    assert [timing.subject for timing in verdict.timings] == ["candidate"]


@pytest.mark.parametrize(
    ("speed", "outcome", "reason"),
    [
        (10, "incorrect", "`loss` is 100, and the bound is `loss <= 20`: 20"),
        (50, "crashed", "left with exit status 3"),
        (51, "crashed", "killed by SIGSEGV"),
        (53, "crashed", "no metrics"),
        (54, "crashed", "no JSON"),
        (200, "crashed", "`speed` must be a whole number from 0 to 100"),
    ],
)
def test_command_fails_with_its_reason(run_file, speed, outcome, reason):
    verdict = judged(run_file(COMMAND, WORK), {"speed": speed})
    assert verdict.outcome == outcome
    assert reason in verdict.reason


def test_command_that_hangs_is_killed(run_file):
    ref = run_file(COMMAND.replace("seconds = 20", "seconds = 1.5"), WORK)
    begin = time.monotonic()
    verdict = judged(ref, {"speed": 52})
    assert verdict.outcome == "timeout"
    assert time.monotonic() - begin < 20


def test_command_that_takes_too_much_memory_is_killed(run_file):
    verdict = judged(run_file(COMMAND, WORK), {"speed": 55}, memory_bytes=300 << 20)
    assert verdict.outcome == "out_of_memory"


@pytest.mark.parametrize(
    ("speed", "outcome", "reason"),
    [
        (50, "crashed", "no such speed"),
        (51, "crashed", "no metrics"),
        (52, "crashed", "it gave no metric loss"),
        (53, "incorrect", "`speed` is nan"),
        (54, "incorrect", "`loss` is 30"),
        (55, "out_of_memory", "MemoryError"),
    ],
)
def test_function_fails_with_its_reason(run_file, speed, outcome, reason):
    verdict = judged(run_file(FUNCTION, FUNCTION_WORK), {"speed": speed})
    assert verdict.outcome == outcome, verdict.reason
    assert reason in verdict.reason or reason in json.dumps(dict(verdict.evidence))


def test_failure_of_the_baseline_is_not_the_candidates(run_file):
    ref = run_file(COMMAND.replace("speed = 2", "speed = 50"), WORK)
    verdict = judged(ref, {"speed": 4})
    assert verdict.outcome == "infra_lost"
    assert "baseline" in verdict.reason


def test_lab_can_stop_a_run(run_file):
    job = TrialJob(run_file(COMMAND, WORK), Contender("config", config={"speed": 52}), seconds=60.0)
    begin = time.monotonic()
    verdict = judge_run(job, should_stop=lambda: time.monotonic() - begin > 1)
    assert verdict.outcome == "infra_lost"
    assert time.monotonic() - begin < 20


def test_source_of_constants_is_a_configuration(run_file):
    ref = run_file(FUNCTION, FUNCTION_WORK)
    facts: Any = facts_of(ref)
    source = facts.spec["source"]
    assert source in facts.brief
    knobs = read_knobs(source)
    assert knobs.values == {"speed": 2, "mode": "fast"}
    assert {0, 100} <= set(knobs.choices["speed"])
    faster = with_values(source, {"speed": 4})
    verdict = judge_run(TrialJob(ref, Contender("source", source=faster), seed=1, seconds=60.0))
    assert verdict.outcome == "done", verdict.reason
    assert verdict.comparisons[0].speedup == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os\nos._exit(0)", "constants only, as in `batch = 4`, got line 1: import os"),
        ("speed = __import__('os').getpid()", "constants only"),
        ("speed = 200", "from 0 to 100"),
        ("sped = 2", "some of"),
        ("speed = (", "must be Python"),
    ],
)
def test_source_of_a_run_is_read_and_not_run(run_file, source, reason):
    verdict = judge_run(TrialJob(run_file(COMMAND, WORK), Contender("source", source=source)))
    assert verdict.outcome == "crashed"
    assert reason in verdict.reason


def test_values_are_told_apart_by_type(run_file):
    spec = read_run(run_file(COMMAND, WORK))
    assert spec.config({"mode": True})["mode"] is True
    with pytest.raises(ArgumentError, match="mode"):
        spec.config({"mode": 2})
    with pytest.raises(ArgumentError, match="speed"):
        spec.config({"speed": 2.5})
    with pytest.raises(ArgumentError, match="some of"):
        spec.config({"sped": 2})


def test_facts_come_from_the_file(run_file):
    facts: Any = facts_of(run_file(COMMAND, WORK), weight=0.5)
    assert (facts.kind, facts.name, facts.weight, facts.refused) == ("run", "square", 0.5, "")
    assert facts.spec["parameters"]["speed"]["kind"] == "int"
    assert facts.spec["objective"] == "speed"
    assert facts.tolerance == {"bounds": ["loss <= 20", "loss <= 5 * baseline"]}
    assert "Maximize `speed` (tokens/s)" in facts.brief
    fixed = facts_of(run_file(COMMAND, WORK, mode="slow"))
    assert fixed.name == "square/mode=slow"
    assert "mode" not in fixed.spec["parameters"]
    assert fixed.fingerprint != facts.fingerprint
    # Other code is another problem.
    assert facts_of(run_file(COMMAND, WORK + "\n")).fingerprint != facts.fingerprint


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('name = "square"\n', "", r"missing \['name'\]"),
        ("repeats = 3", "repeats = 0", "1 at least"),
        ("maximize", "more", "direction"),
        ("loss <= 20", "loss is small", "bound such as"),
        ("low = 0", "lowest = 0", "choices"),
        ("low = 0", "low = 200", "above its `high`"),
        ("speed = 2", "speed = 200", "speed"),
        ('mode = "fast"', "", "says nothing of mode"),
        ("[parameters.speed]", "[parameters.speed", "not TOML"),
        ("summary", "abstract", r"unknown \['abstract'\]"),
    ],
)
def test_file_that_is_wrong_says_where(run_file, before, after, message):
    with pytest.raises((DataError, ArgumentError), match=message):
        read_run(run_file(COMMAND.replace(before, after, 1), WORK))


def test_bound_against_the_baseline():
    bound = read_bound("loss < baseline - 0.5")
    assert bound.holds({"loss": 1.4}, {"loss": 2.0})
    assert not bound.holds({"loss": 1.5}, {"loss": 2.0})
    assert not bound.holds({"loss": float("nan")}, {"loss": 2.0})
