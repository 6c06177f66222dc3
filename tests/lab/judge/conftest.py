"""A judge whose oracle lives as long as a test file, and trials on small problems."""

from pathlib import Path

import pytest

from onetrip.lab.judge.isolated import Judge
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender, ProblemRef

ADD = ProblemRef("folder", str(Path(__file__).parent / "problems" / "add"))
HONEST = """
import torch

def custom_kernel(data):
    a, b = data
    return torch.add(a, b, alpha=2)
"""


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


@pytest.fixture(scope="module")
def add():
    """The problem y = a + 2 b."""
    return ADD


@pytest.fixture(scope="module")
def honest():
    """Source of a right candidate."""
    return HONEST


@pytest.fixture
def attempt(judge):
    """Judge a source on the small problem, alone."""

    def run(source, *, problem=ADD, seconds=60.0, **values):
        job = TrialJob(problem, Contender("source", source), seed=20261122, seconds=seconds)
        from dataclasses import replace

        return judge.judge(replace(job, **values))

    return run
