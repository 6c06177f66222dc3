"""The judge on problems of other projects' formats: what is right passes, what is wrong does not.

What the judge defends against is tested beside it; here it is the way from a format to a verdict.
"""

import pytest

from onetrip.lab.judge.isolated import judge_isolated
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender

pytestmark = pytest.mark.slow

HANDED_IN = """
import torch

def ref_kernel(data):
    x, out = data
    torch.mul(x, 2, out=out)
    return out

def generate_input(size, seed):
    x = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    return x, torch.empty(size, size)
"""

INTO_THE_OUTPUT = """
import torch

def custom_kernel(data):
    x, out = data
    torch.add(x, x, out=out)
    return out
"""

INTO_THE_INPUT = """
def custom_kernel(data):
    x, out = data
    x *= 2
    return x
"""

LAYER = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return self.linear(x)

width = 64

def get_inputs():
    return [torch.randn(32, width)]

def get_init_inputs():
    return [width]
"""

OTHER_PARAMETERS = """
from torch import nn

class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def load_state_dict(self, state):
        return None

    def forward(self, x):
        return self.linear(x)
"""


def judged(problem, source):
    job = TrialJob(problem.ref, Contender("source", source=source), seed=2**63 + 9, seconds=200.0)
    return judge_isolated(job)


def test_output_that_was_handed_in_may_be_written_and_an_input_may_not(folder):
    problem = folder(HANDED_IN, types=None)
    right = judged(problem, INTO_THE_OUTPUT)
    assert right.outcome == "done", (right.reason, right.evidence)
    wrong = judged(problem, INTO_THE_INPUT)
    assert wrong.outcome in ("hacked", "incorrect"), wrong.reason
    assert right.timing("candidate") is not None


def test_parameters_are_those_of_the_oracle(kernelbench):
    problem = kernelbench(LAYER)
    own = LAYER.replace("class Model", "class ModelNew")
    assert judged(problem, own).outcome == "done"
    wrong = judged(problem, OTHER_PARAMETERS)
    assert wrong.outcome == "incorrect", wrong.reason
    assert "`output` exceeds its budget" in wrong.reason
