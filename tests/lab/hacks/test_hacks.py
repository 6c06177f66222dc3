"""Every hack of the catalogue before the judge: none may win."""

import sys

import pytest
from catalogue import HACKS, seed_of

from onetrip.lab.judge.isolated import Judge
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.sandbox.level import level

SECONDS = 60.0
# What only walls around files, network and processes stop.
NEEDS_WALLS = {14, 36, 37, 38, 39, 42}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="hacks of Linux")


@pytest.fixture(scope="module")
def judge():
    """One oracle for all: what it learned of a problem stays, the candidates' processes do not."""
    with Judge() as judge:
        yield judge


def problem_of(hack, folder):
    if hack.problem == "destination":
        return ProblemRef("operator", "linear_cross_entropy", {"workload": "one-token"})
    return ProblemRef("folder", str(folder / hack.problem))


@pytest.mark.parametrize("hack", HACKS, ids=lambda hack: hack.file.removesuffix(".py"))
def test_hack_is_caught(hack, judge, filled_in, problems, monkeypatch, record_property):
    if hack.number in NEEDS_WALLS and level().name == "limits":
        pytest.skip(f"no walls here: {level()}")
    monkeypatch.setenv("LAB_SECRET", "kept-in-the-lab-4711")
    job = TrialJob(
        problem_of(hack, problems),
        Contender("source", source=filled_in(hack)),
        rivals={"eager": Contender("definition")} if hack.rival else {},
        seed=seed_of(hack.file),
        seconds=SECONDS,
        memory_bytes=2 << 30,
    )
    for _ in range(hack.times):
        verdict = judge.judge(job)
        won = hack.verdict_on(verdict)
        record_property("outcome", str(verdict.outcome))
        record_property("reason", verdict.reason)
        assert won is None, f"{hack.number} {hack.title}: {won}\n{verdict.evidence}"
