"""A problem is on trial too: wrong results that it accepts, inputs that do not matter."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

from onetrip.core.errors import DataError
from onetrip.core.operators import load_workloads, operator_names
from onetrip.lab.problems.describe import describe_problem
from onetrip.lab.problems.facts import facts_of
from onetrip.lab.problems.load import load_problem
from onetrip.lab.problems.mutations import mutants
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.problems.screen import screen

# Averages over more and more values shrink, and the tolerance does not: at 64 even zero passes.
SHRINKING = """
import torch

def ref_kernel(data):
    return data.mean(dim=1)

def generate_input(size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, size ** 2 if size > 40 else 8, generator=generator)

def check_implementation(data, output):
    return torch.allclose(output, ref_kernel(data), rtol=0.02, atol=0.08)
"""

DEFINITION = """
import torch

def ref_kernel(data):
    {definition}

def generate_input(size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, size, generator=generator), torch.randn(size, generator=generator)

def check_implementation(data, output):
    return {check}
"""


def defined(definition, check="True"):
    return DEFINITION.format(definition=definition, check=check)


def test_tolerance_under_which_zero_passes_at_large_sizes(folder):
    """As in a real problem, whose values shrink with the length of the sequence."""
    found = screen(folder(SHRINKING, types=None, judge="own"))
    assert "benchmark size=64: `output` all zero is accepted" in found.refused
    assert "size=33: `output` all zero" not in found.refused, "there zero is far from right"
    assert "largest true value is 0.0" in found.refused


def test_same_folder_is_sound_under_the_error_budget(folder):
    found = screen(folder(SHRINKING, types=None))
    assert found.refused == ""
    assert any("own check accepts `output` all zero" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("check", "accepted"),
    [
        ("bool(output.std() > 0.5)", "noise of its mean and deviation"),
        ("bool((output.mean() - ref_kernel(data).mean()).abs() < 1e-5)", "its mean everywhere"),
        ("bool((output.sum() - ref_kernel(data).sum()).abs() < 1e-2)", "rows shuffled"),
        ("torch.equal(output[:8], ref_kernel(data)[:8])", "last rows missing"),
        ("torch.allclose(output, ref_kernel(data), rtol=1e-2)", "rounded to bfloat16"),
        ("bool(output.std() > 0.5)", "the result for other inputs"),
        ("True", "all zero"),
    ],
)
def test_each_wrong_result_is_tried(folder, check, accepted, monkeypatch):
    monkeypatch.setattr("onetrip.lab.problems.screen._TOLD", 100)
    problem = folder(defined("return 2 * data[0] + data[1]", check), types=None, judge="own")
    assert f"test size=33: `output` {accepted} is accepted" in screen(problem).refused


def test_sound_problem_refuses_all_of_them(folder):
    found = screen(folder(defined("return 2 * data[0] + data[1]"), types=None))
    assert found.refused == ""
    assert found.tried >= 14
    assert found.cases == ("test size=33", "benchmark size=64")


def test_large_rows_hide_small_ones_even_from_a_budget(folder):
    """The budget is relative to the largest value: rows that vanish beside it are not judged."""
    definition = "return data[0] * torch.logspace(0, -12, len(data[1]))[:, None]"
    found = screen(folder(defined(definition), types=None))
    assert "last rows missing is accepted" in found.refused


def test_constant_result_is_refused(folder):
    found = screen(folder(defined("return torch.softmax(data[0][:, :1], -1)"), types=None))
    assert "`output` its mean everywhere is accepted" in found.refused
    assert "`output` all zero" not in found.refused


def test_input_that_does_not_matter_is_noted(folder):
    found = screen(folder(defined("return data[0] * 3"), types=None))
    assert found.refused == ""
    assert "test size=33: no output depends on input tensor 1." in found.warnings


def test_input_without_a_seed_is_noted(folder):
    source = defined("return data[0] * data[1]").replace(
        "torch.randn(size, generator=generator)", "torch.ones(size)"
    )
    found = screen(folder(source, types=None))
    assert "test size=33: input tensor 1 is the same for every seed." in found.warnings


def test_output_that_hardly_varies_is_noted(folder):
    found = screen(folder(defined("return 1000 + 1e-3 * data[0].double()"), types=None))
    assert any("hardly varies" in warning for warning in found.warnings)


def test_check_that_refuses_its_own_definition(folder):
    found = screen(folder(defined("return data[0] * 3", "False"), types=None))
    assert "does not accept its own definition" in found.refused


def test_precision_that_plain_torch_lacks_is_not_asked(folder):
    """A definition that rounds to bfloat16 on its way excuses a result rounded so."""
    found = screen(folder(defined("return data[0].bfloat16().float() * 3"), types=None))
    assert found.refused == ""


def test_screening_leaves_out_large_cases_when_time_is_up(folder):
    found = screen(folder(defined("return data[0] * 3 + data[1]"), types=None), seconds=0.0)
    assert (found.cases, found.left_out) == (("test size=33",), ("benchmark size=64",))


def test_size_of_a_large_device_is_not_screened_on_a_cpu():
    ref = ProblemRef("operator", "linear_cross_entropy", {"workload": "gemma2-2b"})
    found = screen(load_problem(ref))
    assert (found.refused, found.left_out) == ("", ("gemma2-2b",))
    assert len(found.cases) == 2
    alone = ProblemRef(
        "operator", "linear_cross_entropy", {"workload": "gemma2-2b", "hidden": False}
    )
    assert screen(load_problem(alone)).warnings == (
        "Every case is too large to be screened on cpu.",
    )


@pytest.mark.parametrize("workload", ["ragged", "one-token", "half", "everything"])
def test_workloads_stand(workload):
    ref = ProblemRef("operator", "linear_cross_entropy", {"workload": workload})
    assert screen(load_problem(ref)).refused == ""


@pytest.mark.parametrize("name", operator_names())
def test_every_operator_is_a_problem(name):
    """Those too whose definition looks at values, and those that count their iterations."""
    ref = ProblemRef("operator", name, {"workload": load_workloads(name)[0].name})
    problem = load_problem(ref)
    assert screen(problem, seconds=3.0).refused == ""
    case = problem.cases[0]
    eager = problem.eager(case, None, problem.inputs(case, 1, "cpu"))
    for output in problem.outputs(case):
        found = eager[output.name]
        assert (tuple(found.shape), str(found.dtype)[6:]) == (output.shape, output.dtype)


def test_a_count_that_never_varies_is_no_flaw_but_the_only_output_that_never_does_is(folder):
    counted = "return (data[0] + data[1], torch.tensor(2))"
    assert screen(folder(defined(counted))).refused == ""
    assert "is accepted" in screen(folder(defined("return torch.tensor(2)"))).refused


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
def test_mutants_are_wrong(dtype):
    generator = torch.Generator().manual_seed(1)
    drawn = [9 * torch.randn(16, 4, generator=generator) for _ in range(2)]
    right, stale = (one > 0 if dtype == torch.bool else one.to(dtype) for one in drawn)
    made = mutants(right, stale, 1)
    assert len(made) >= 5
    for what, wrong in made.items():
        assert wrong.dtype == dtype, what
        assert wrong.shape == right.shape, what
        assert not torch.equal(wrong, right), what


def test_mutants_of_a_single_value():
    made = mutants(torch.tensor(2.5), torch.tensor(1.5), 1)
    assert set(made) == {
        "all zero",
        "noise of its mean and deviation",
        "the result for other inputs",
    } | ({"rounded to bfloat16"} & made.keys())


def test_facts_of_a_flawed_problem_say_why_it_is_refused(folder):
    problem = folder(SHRINKING, types=None, judge="own")
    stages = []
    facts = facts_of(problem.ref, weight=0.25, on_stage=stages.append)
    assert "all zero is accepted" in facts.refused
    assert (facts.name, facts.weight, facts.kind) == ("small", 0.25, "folder")
    assert facts.fingerprint == problem.fingerprint
    assert facts.spec["location"] == problem.ref.location
    assert facts.spec["options"] == {"judge": "own"}
    assert stages == ["reading the problem", "screening the problem"]


def test_facts_without_torch_in_this_process(folder):
    place = folder(defined("return data[0] * 3"), types=None).ref.location
    code = (
        "import sys, json\n"
        "from onetrip.lab.problems.facts import facts_of\n"
        "from onetrip.lab.problems.problem import ProblemRef\n"
        f"facts = facts_of(ProblemRef('folder', {place!r}))\n"
        "print(json.dumps([facts.name, 'torch' in sys.modules]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert json.loads(run.stdout) == ["small", False]


def test_mistake_in_a_folder_reaches_the_caller(tmp_path):
    with pytest.raises(DataError, match=r"task.yml does not exist"):
        facts_of(ProblemRef("folder", str(tmp_path)))


def test_hidden_sizes_are_not_in_the_brief(folder):
    def with_hidden(text):
        return text + 'hidden:\n  - {"size": 37, "seed": 3}\n'

    problem = folder(defined("return data[0] * 3"), types=None, task_text=with_hidden)
    described: Any = describe_problem(problem.ref)
    assert any("size=37" in warning for warning in described["spec"]["screening"]["warnings"])
    assert "size=37" not in described["brief"]
    assert "1 more case of other sizes must be right." in described["brief"]
