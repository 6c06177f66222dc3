"""Every public name is documented: what it takes, what it raises, an example that runs."""

import doctest
import importlib
import inspect
from types import ModuleType

import pytest

import onetrip
from tree import PACKAGE, ROOT, name_of

NAMES = [name for name in onetrip.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_public_name_exists(name):
    assert getattr(onetrip, name) is not None


@pytest.mark.parametrize("name", NAMES)
def test_public_name_has_an_example(name):
    examples = doctest.DocTestParser().get_examples(getattr(onetrip, name).__doc__ or "")
    assert any("onetrip." in example.source for example in examples), f"no doctest calls {name}"


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_every_parameter(name):
    function = getattr(onetrip, name)
    if inspect.isclass(function):
        function = function.__init__
    documented = inspect.getdoc(getattr(onetrip, name)) or ""
    missing = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
        and not any(
            parameter.name in line.partition(" : ")[0].replace("*", "").replace(",", " ").split()
            for line in documented.splitlines()
            if " : " in line
        )
    ]
    assert missing == []


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'no_such_operator'"):
        _ = onetrip.no_such_operator


def test_public_table_lists_every_operator():
    from onetrip.core.operators import operator_names

    assert set(operator_names()) <= set(NAMES)


def test_dir_shows_the_public_names():
    assert set(NAMES) <= set(dir(onetrip))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=name_of)
def test_no_package_hides_a_module_behind_a_name(path):
    """An export named as a module of the package is one or the other, by order of imports."""
    name = ".".join(path.parent.relative_to(ROOT / "src").parts)
    exported = vars(importlib.import_module(name))
    modules = [p.stem for p in path.parent.iterdir() if p.suffix == ".py" or p.is_dir()]
    clashes = [m for m in modules if m in exported and not isinstance(exported[m], ModuleType)]
    assert clashes == []
