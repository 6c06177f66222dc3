"""Every operator folder is complete. What its parts promise is the contract suite's to check."""

import inspect
import re

import pytest

import onetrip
from onetrip.core.operators import load_spec, operator_module, operator_names
from tree import PACKAGE, ROOT

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


def test_readme_speaks_of_traffic_and_of_failures(operator):
    page = (folder_of(operator) / "README.md").read_text("utf-8")
    headings = " ".join(re.findall(r"^#+ (.+)$", page, re.MULTILINE)).lower()
    for word in ("mathematics", "traffic", "measured", "failed"):
        assert word in headings, f"no heading with {word!r} in {operator}/README.md"


def test_operator_has_its_tests_and_its_page(operator):
    tests = ROOT / "tests" / "ops"
    assert [*tests.glob(f"test_{operator}*.py"), *tests.glob(f"{operator}/test_*.py")]
    assert (ROOT / "docs" / "ops" / f"{operator}.md").is_file()
