"""From raw samples to times, comparisons and suspicions; no process is needed for that."""

import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from onetrip.core.device import Device
from onetrip.lab.judge import findings
from onetrip.lab.judge.company import Company
from onetrip.lab.judge.race import Race
from onetrip.lab.judge.ruling import Ruling
from onetrip.lab.judge.side import Sample
from onetrip.lab.problems.problem import Contender
from onetrip.lab.verdict import Outcome

MS = 1_000_000
LAPTOP = Device("laptop", "cpu", 0, {"float32": 0.1}, 20.0, 2**33, measured=True, source="test")
CALL = Sample("a", "cold", 0, 2 * MS, 2 * MS, 11 * MS, 0, 0, 0, 4)


def noisy(draw, sample, block, load=0.25):
    """A call on a loaded machine: now and then something else has the core."""
    late = 5 * MS if draw.random() < load else 0
    return replace(
        sample,
        block=block,
        elapsed_ns=int(sample.elapsed_ns * draw.uniform(0.9, 1.2)),
        wall_ns=int(sample.wall_ns * draw.uniform(0.9, 1.2)) + late,
        given_ns=sample.given_ns + late,
    )


def side(name, sample, *, kind="source", overhead_ns=MS // 2, seed=1, load=0.25):
    draw = random.Random(seed)
    with_overhead = replace(sample, wall_ns=sample.wall_ns + overhead_ns)
    empty = replace(CALL, elapsed_ns=1000, wall_ns=overhead_ns)
    return SimpleNamespace(
        name=name,
        contender=Contender(kind),
        sandboxed=kind == "source",
        samples=[noisy(draw, with_overhead, turn // 2, load) for turn in range(12)],
        empty=[noisy(draw, empty, -1, load) for _ in range(8)],
        company=Company((1,)),
        peak_bytes={"a": 4096},
        failure="",
    )


def trial(*sides, device="cpu", cost=None):
    about = {"case": {"name": "a", "timed": True}, "cost": cost, "dtype": "float32"}
    return SimpleNamespace(
        job=SimpleNamespace(seed=1 << 63, device=device),
        sides={one.name: one for one in sides},
        racing=lambda: list(sides),
        about=lambda case: about,
    )


CHECKS = [findings.hold_clocks_together, findings.refuse_work_ahead, findings.refuse_slow_taking,
          findings.refuse_helpers_ahead]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("check", CHECKS)
def test_an_honest_side_on_a_loaded_machine_raises_no_suspicion(check, seed):
    check(trial(side("candidate", CALL, seed=seed), side("eager", CALL, kind="definition")))


@pytest.mark.parametrize(
    ("check", "change", "rule"),
    [
        (findings.hold_clocks_together, {"elapsed_ns": MS // 20}, "clock disagreement"),
        (findings.refuse_work_ahead, {"ahead_ns": 2 * MS}, "work ahead"),
        (findings.refuse_slow_taking, {"given_ns": 22 * MS}, "work ahead"),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_hidden_time_is_found(check, change, rule, seed):
    cheat = side("candidate", replace(CALL, **change), seed=seed, load=0.02)
    with pytest.raises(Ruling) as ruling:
        check(trial(cheat))
    assert ruling.value.outcome is Outcome.HACKED
    assert ruling.value.evidence["rule"] == rule


def test_what_a_rival_of_the_problems_own_waits_for_too_is_explained():
    slow = replace(CALL, wall_ns=CALL.wall_ns + 20 * MS)
    findings.hold_clocks_together(
        trial(side("candidate", slow), side("eager", slow, kind="definition"))
    )
    # A rival that is somebody's source explains nothing: it could be the same somebody's.
    with pytest.raises(Ruling, match="clock disagreement"):
        findings.hold_clocks_together(trial(side("candidate", slow), side("baseline", slow)))


def test_load_before_the_trial_does_not_excuse_what_is_hidden_beside_a_rival():
    cheat = side("candidate", replace(CALL, elapsed_ns=1000, wall_ns=5 * MS), load=0.02)
    cheat.empty = [replace(empty, wall_ns=12 * MS) for empty in cheat.empty[1:]] + cheat.empty[:1]
    # Alone it is believed: nothing tells that the load is gone.
    findings.hold_clocks_together(trial(cheat))
    with pytest.raises(Ruling, match="clock disagreement"):
        findings.hold_clocks_together(trial(cheat, side("eager", CALL, kind="definition")))


def test_helpers_that_worked_ahead_are_found():
    one = side("candidate", CALL)
    one.company.others = frozenset({7})
    one.company.ahead_ns = 60 * MS
    with pytest.raises(Ruling, match="1 other processes"):
        findings.refuse_helpers_ahead(trial(one))


def test_times_and_ratios_come_from_the_samples():
    fast, slow = side("candidate", CALL), side("eager", replace(CALL, elapsed_ns=6 * MS), seed=2)
    race = Race(blocks={("a", "cold"): [{"block": 0}]})
    contest = trial(fast, slow, cost={"flops": 0, "bytes_read": 10**7, "bytes_written": 10**7})
    timings = findings.timings_of(contest, race, LAPTOP)
    assert [timing.subject for timing in timings] == ["candidate", "eager"]
    assert timings[0].median_ms == pytest.approx(2.0, rel=0.2)
    assert timings[0].low_ms <= timings[0].median_ms <= timings[0].high_ms
    assert timings[0].floor_ms == pytest.approx(1.0)
    assert timings[0].peak_bytes == 4096
    (pair,) = findings.comparisons_of(contest, race)
    assert pair.baseline == "eager"
    assert 2 < pair.low < 3 < pair.high < 4.5


def test_blocks_that_only_one_side_ran_are_left_out():
    fast, slow = side("candidate", CALL), side("eager", CALL, seed=2)
    slow.samples = [sample for sample in slow.samples if sample.block != 3]
    race = Race(blocks={("a", "cold"): []})
    (pair,) = findings.comparisons_of(trial(fast, slow), race)
    assert pair.low < pair.speedup < pair.high


@pytest.mark.parametrize(("elapsed_ms", "believed"), [(0.4, False), (0.7, True), (3.0, True)])
def test_times_far_below_the_floor_are_not_believed(elapsed_ms, believed):
    one = side("candidate", replace(CALL, elapsed_ns=int(elapsed_ms * MS)))
    contest = trial(one, cost={"flops": 0, "bytes_read": 10**7, "bytes_written": 10**7})
    timings = findings.timings_of(contest, Race(blocks={("a", "cold"): []}), LAPTOP)
    reason = findings.below_the_floor(timings, contest, LAPTOP)
    assert (reason == "") is believed
    if not believed:
        assert "20000000 bytes at 20 GB/s take 1 ms" in reason


def test_without_ceilings_there_is_no_floor():
    assert findings.floor_of({"cost": None, "dtype": "float32"}, LAPTOP) is None
    cost = {"flops": 1, "bytes_read": 1, "bytes_written": 1}
    assert findings.floor_of({"cost": cost, "dtype": "float32"}, None) is None
