"""Every public name is documented: what it takes, what it raises, an example that runs."""

import doctest
import inspect

import pytest

import onetrip

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
