"""Who is timed when, and what happens when the time is short; no process is needed for that."""

import random
import time
from types import SimpleNamespace

import pytest

from onetrip.lab.judge import isolated
from onetrip.lab.judge.race import Race, race
from onetrip.lab.judge.ruling import Ruling
from onetrip.lab.judge.telemetry import Telemetry
from onetrip.lab.problems.problem import Contender
from onetrip.lab.verdict import Outcome


class FakeTrial:
    """Notes what it is asked to do."""

    def __init__(self, *names, left_s=100.0, call_s=0.0, purpose="search"):
        self.job = SimpleNamespace(purpose=purpose, seconds=100.0, seed=1)
        self.deadline = SimpleNamespace(end_s=time.monotonic() + left_s)
        self.draw = random.Random(1)
        self.truth_s = 0.0
        self.longest_call_s = call_s
        self.made, self.called = [], []
        company = SimpleNamespace(look=lambda: None)
        self.sides = {
            name: SimpleNamespace(
                name=name, failure="", samples=[], company=company, contender=Contender("source")
            )
            for name in names
        }

    def enter(self, stage, share=None):
        pass

    def timed_cases(self):
        return ["a"]

    def about(self, case):
        return {"cost": None, "dtype": "float32"}

    def racing(self):
        return [side for side in self.sides.values() if not side.failure]

    def has_time_for(self, calls):
        return time.monotonic() + calls * self.longest_call_s < self.deadline.end_s

    def attempt(self, side, action):
        action()
        return True

    def change_case(self, side, case):
        pass

    def make(self, case, call):
        self.made.append(call)

    def call(self, side, *, cold, full, block=-1):
        self.called.append((side.name, self.made[-1], cold, full, block))
        return SimpleNamespace(case="a", regime="cold" if cold else "warm")


def raced(trial):
    return race(trial, Telemetry("cpu"))


def test_everybody_runs_twice_a_block_in_mirrored_order_on_the_same_data():
    trial = FakeTrial("candidate", "eager")
    found = raced(trial)
    assert len(found.blocks["a", "cold"]) == len(found.blocks["a", "warm"]) == 6
    for block in range(6):
        calls = [call for call in trial.called if call[2] and call[4] == block]
        names = [call[0] for call in calls]
        assert sorted(names[:2]) == ["candidate", "eager"]
        assert names == names[::-1]
        assert calls[0][1] == calls[1][1] != calls[2][1] == calls[3][1]


def test_no_two_timed_calls_of_one_side_see_the_same_data():
    trial = FakeTrial("candidate", "eager")
    raced(trial)
    for name in trial.sides:
        seen = [call[1] for call in trial.called if call[0] == name]
        assert len(seen) == len(set(seen))


def test_every_timed_result_of_the_candidate_is_verified_where_the_truth_is_cheap():
    trial = FakeTrial("candidate", "eager")
    raced(trial)
    assert all(full for name, _, _, full, block in trial.called if name == "candidate")
    trial = FakeTrial("candidate")
    trial.truth_s = 60.0
    raced(trial)
    verified = sum(full for _, _, _, full, _ in trial.called) / len(trial.called)
    assert 0.1 < verified < 0.7


def test_a_confirmation_takes_thirty_samples_and_more():
    trial = FakeTrial("candidate", purpose="confirm")
    raced(trial)
    assert len([call for call in trial.called if call[2]]) >= 30


def test_a_leg_without_time_for_a_block_is_left_out_and_named():
    trial = FakeTrial("candidate", "eager", left_s=50.0, call_s=6.0)
    found = raced(trial)
    # 4 calls of a cold block and 4 afterwards are 48 s; 8 of a warm one and 4 are 72.
    assert {call[2] for call in trial.called} == {True}
    assert "a, warm: 0 of 6 blocks" in found.cut_short


def test_who_is_right_but_too_slow_to_be_timed_is_told_so():
    trial = FakeTrial("candidate", left_s=1.0, call_s=6.0)
    found = raced(trial)
    assert not trial.called
    assert isinstance(found, Race)
    with pytest.raises(Ruling, match="none could be timed") as ruling:
        isolated._done(trial, found, None, 0.0)  # type: ignore[arg-type]
    assert ruling.value.outcome is Outcome.TIMEOUT
