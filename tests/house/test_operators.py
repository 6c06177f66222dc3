"""Every operator folder is complete, and its parts agree with each other."""

import importlib
import inspect
import re

import pytest
from tree import PACKAGE, ROOT, name_of

import onetrip
from onetrip.core.operators import (
    load_spec,
    load_workloads,
    operator_module,
    operator_names,
)
from onetrip.core.selection import Problem

REQUIRED = (
    "__init__.py",
    "spec.py",
    "workloads.py",
    "cost.py",
    "reference.py",
    "api.py",
    "select.py",
    "torch_impl.py",
    "README.md",
)
ANSWERS_OF_SELECT = (
    "unsupported_reason",
    "choose",
    "default_config",
    "search_space",
    "workspace_bytes",
    "predict_ms",
)
TAGS = {"smoke", "cpu", "bench"}

pytestmark = pytest.mark.parametrize("operator", operator_names())


def folder_of(operator):
    return PACKAGE / "ops" / operator


def test_folder_is_complete(operator):
    present = {path.name for path in folder_of(operator).iterdir()}
    assert sorted(set(REQUIRED) - present) == []


def test_spec_is_named_as_the_folder(operator):
    assert load_spec(operator).name == operator


def test_public_function_is_named_as_the_folder(operator):
    function = getattr(onetrip, operator)
    assert inspect.isfunction(function)
    assert function.__module__ == f"onetrip.ops.{operator}.api"
    assert "impl" in inspect.signature(function).parameters


def test_no_module_hides_behind_its_own_name(operator):
    """`cost.cost` could be the file or the function, and an export decides which."""
    for path in folder_of(operator).glob("*.py"):
        if path.stem != "__init__":
            module = importlib.import_module(f"onetrip.ops.{operator}.{path.stem}")
            assert not hasattr(module, path.stem), name_of(path)


def test_spec_uses_the_letters_that_it_declares(operator):
    spec = load_spec(operator)
    used = {letter for tensor in (*spec.inputs, *spec.outputs) for letter in tensor.axes}
    assert used <= set(spec.axes)


def test_every_implementation_has_its_file(operator):
    implementations = set(load_spec(operator).implementations)
    kernels = {
        word
        for path in folder_of(operator).glob("kernel_*.py")
        for word in path.stem.split("_")[1:]
    }
    assert {"reference", "torch"} <= implementations
    assert implementations - {"reference", "torch"} <= kernels
    assert implementations <= {"reference", "torch", "triton", "gluon"}


def test_select_answers_every_question(operator):
    select = operator_module(operator, "select")
    assert [name for name in ANSWERS_OF_SELECT if not hasattr(select, name)] == []


def test_choice_is_an_implementation_that_may_run(operator):
    spec, select = load_spec(operator), operator_module(operator, "select")
    for workload in load_workloads(operator):
        for kind, arch in (("cpu", 0), ("cuda", 80), ("cuda", 90)):
            problem = Problem(
                workload.axes, workload.dtype, kind, arch, options=dict(workload.options)
            )
            choice = select.choose(problem)
            assert choice.impl in spec.implementations
            assert select.unsupported_reason(choice.impl, problem, choice.config) is None
            assert choice.why


def test_unknown_implementation_is_no_answer(operator):
    """An implementation that the spec does not name may run nowhere."""
    select = operator_module(operator, "select")
    problem = Problem(load_workloads(operator)[0].axes, "float32")
    assert select.unsupported_reason("no-such-implementation", problem)


def test_workloads_are_named_tagged_and_explained(operator):
    spec, workloads = load_spec(operator), load_workloads(operator)
    names = [workload.name for workload in workloads]
    assert len(names) == len(set(names))
    assert {"smoke", "cpu", "bench"} <= set().union(*(workload.tags for workload in workloads))
    optional = {tensor.name for tensor in spec.inputs if tensor.optional}
    for workload in workloads:
        assert workload.axes.keys() == spec.axes.keys(), workload.name
        assert workload.tags, workload.name
        assert workload.tags <= TAGS, workload.name
        assert len(workload.why.split()) >= 3, workload.name
        assert set(workload.optional_inputs) <= optional, workload.name


def test_workload_options_are_arguments(operator):
    arguments = set(inspect.signature(getattr(onetrip, operator)).parameters)
    for workload in load_workloads(operator):
        assert set(workload.options) <= arguments, workload.name


def test_inputs_are_the_first_arguments(operator):
    """The spec's tensors, and the function's arguments, by the same names."""
    arguments = set(inspect.signature(getattr(onetrip, operator)).parameters)
    assert {tensor.name for tensor in load_spec(operator).inputs} <= arguments


def test_readme_speaks_of_traffic_and_of_failures(operator):
    page = (folder_of(operator) / "README.md").read_text("utf-8")
    headings = " ".join(re.findall(r"^#+ (.+)$", page, re.MULTILINE)).lower()
    for word in ("mathematics", "traffic", "measured", "failed"):
        assert word in headings, f"no heading with {word!r} in {operator}/README.md"


def test_operator_has_its_tests_and_its_page(operator):
    assert list((ROOT / "tests" / "ops").glob(f"**/test_{operator}*.py")) or list(
        (ROOT / "tests" / "ops" / operator).glob("test_*.py")
    )
    assert (ROOT / "docs" / "ops" / f"{operator}.md").is_file()
