"""Small problems of every format, written where a test wants them."""

from pathlib import Path

import pytest
import torch

from onetrip.lab.problems.load import load_problem
from onetrip.lab.problems.problem import ProblemRef

EXAMPLES = Path(__file__).parents[3] / "examples" / "problems"

TASK = """
files:
  - {"name": "submission.py", "source": "@SUBMISSION@"}
  - {"name": "task.py", "source": "task.py"}
  - {"name": "utils.py", "source": "../utils.py"}
  - {"name": "reference.py", "source": "reference.py"}
  - {"name": "eval.py", "source": "../eval.py"}
lang: "py"
description: |
  A small problem.
config:
  main: "eval.py"
tests:
  - {"size": 33, "seed": 4242}
benchmarks:
  - {"size": 64, "seed": 31232}
test_timeout: 180
ranking_by: "geom"
"""

TYPES = """
from typing import TypedDict, TypeVar
import torch

input_t = TypeVar("input_t", bound=tuple[torch.Tensor, torch.Tensor])
output_t = TypeVar("output_t", bound=torch.Tensor)


class TestSpec(TypedDict):
    size: int
    seed: int
"""

# In the manner of the real ones: a GPU's name in every line, `utils`, a float16 result.
ADD = """
from utils import DeterministicContext, make_match_reference
import torch
from task import input_t, output_t


def ref_kernel(data: input_t) -> output_t:
    with DeterministicContext():
        first, second = data
        return (first.float() + second.float()).to(torch.float16)


def generate_input(size: int, seed: int) -> input_t:
    generator = torch.Generator(device="cuda")
    generator.manual_seed(seed)
    first = torch.randn(size, size, device="cuda", dtype=torch.float16, generator=generator)
    second = torch.randn(size, size, dtype=torch.float16, generator=generator, device="cuda")
    return first.cuda(), second.contiguous()


check_implementation = make_match_reference(ref_kernel, rtol=1e-2, atol=1e-2)
"""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def example():
    """One of the problems that ship."""

    def load(name, kind="folder", **options):
        return load_problem(ProblemRef(kind, str(EXAMPLES / name), options))

    return load


@pytest.fixture
def folder(tmp_path):
    """Write a folder and load it; its name is "small"."""

    def write(reference=ADD, types=TYPES, name="small", task_text=lambda text: text, **options):
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        (place / "task.yml").write_text(task_text(TASK))
        (place / "reference.py").write_text(reference)
        if types is not None:
            (place / "task.py").write_text(types)
        return load_problem(ProblemRef("folder", str(place), options))

    return write


@pytest.fixture
def kernelbench(tmp_path):
    """Write a file and load it; its name is "layer"."""

    def write(source, **options):
        path = tmp_path / "layer.py"
        path.write_text(source)
        return load_problem(ProblemRef("kernelbench", str(path), options))

    return write


@pytest.fixture
def verdict_of():
    """Hold a change of the definition's own result against the truth: failed tensors by message."""

    def judge(problem, change=lambda outputs: outputs, case=None, seed=3):
        case = case or problem.cases[0]
        setup, inputs = problem.setup(case, seed, "cpu"), problem.inputs(case, seed, "cpu")
        eager, truth = problem.eager(case, setup, inputs), problem.truth(case, setup, inputs)
        outputs = change({name: tensor.clone() for name, tensor in eager.items()})
        checks = problem.check(case, inputs, outputs, eager, truth)
        return {check.tensor: check.message for check in checks if not check.passed}

    return judge


@pytest.fixture
def run_file(tmp_path):
    """Write a run's file and a Python file beside it; returns the reference."""

    def write(text, source="", **options):
        place = tmp_path / "a_run"
        place.mkdir(exist_ok=True)
        (place / "run.toml").write_text(text)
        (place / "work.py").write_text(source)
        return ProblemRef("run", str(place), options)

    return write
