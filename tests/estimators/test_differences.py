"""Each page's "Differences from scikit-learn" names every name and default that differs."""

import inspect
import re
from pathlib import Path

import pytest
from estimator_pairs import NAMES, PAIRS, make, samples, targets

PAGES = Path(__file__).parents[2] / "docs" / "estimators"
_LINK = re.compile(r"\]\(([a-z_]+\.md)#differences-from-scikit-learn\)")


def page_of(name):
    """The page of an estimator is called like it, words apart."""
    (page,) = [page for page in PAGES.glob("*.md") if page.stem.replace("_", "") == name.lower()]
    return page


def differences(page):
    """The section, and that of the page that it refers to."""
    _, _, section = page.read_text("utf-8").partition("## Differences from scikit-learn\n")
    assert section, f"{page.name} has no such section"
    others = [differences(PAGES / other) for other in _LINK.findall(section)]
    return section.partition("\n## ")[0] + "".join(others)


def public(owner):
    return {name for name in dir(owner) if not name.startswith("_")}


def attributes(model):
    return {name for name in public(model) if name.endswith("_")} | {
        name for name in vars(model) if name.endswith("_") and not name.startswith("_")
    }


def parameters(function):
    return inspect.signature(function).parameters


def differing(ours, theirs):
    """Parameters that only one has, stand elsewhere, or have another default."""
    found = {name for name in {*ours} ^ {*theirs}}
    for name in {*ours} & {*theirs}:
        one, other = ours[name], theirs[name]
        if one.default is not other.default and one.default != other.default:
            found.add(name)
        if one.kind != other.kind:
            found.add(name)
    return found


def fitted(kind, name):
    options = make(name).get_params()
    known = {*parameters(kind.__init__)}
    options = {word: value for word, value in options.items() if word in known}
    return kind(**options).fit(samples(), targets())


@pytest.mark.parametrize("name", NAMES)
def test_every_difference_of_names_and_defaults_is_told(name):
    ours, theirs = PAIRS[name]
    found = differing(parameters(ours.__init__), parameters(theirs.__init__))
    found |= public(ours) ^ public(theirs)
    found |= attributes(fitted(ours, name)) ^ attributes(fitted(theirs, name))
    # scikit-learn makes these from the signatures of `fit` and its kin.
    found = {word for word in found if not word.endswith("_request")}
    section = differences(page_of(name))
    told = {
        word for quoted in re.findall(r"`([^`]+)`", section) for word in re.findall(r"\w+", quoted)
    }
    assert found <= told, f"{page_of(name).name} does not tell of {sorted(found - told)}"


@pytest.mark.parametrize("name", NAMES)
def test_methods_are_called_as_in_scikit_learn(name):
    ours, theirs = PAIRS[name]
    for method in sorted(public(ours) & public(theirs)):
        one, other = getattr(ours, method), getattr(theirs, method)
        if callable(other) and not method.endswith("_request"):
            assert not differing(parameters(one), parameters(other)), method


@pytest.mark.parametrize("name", NAMES)
def test_positional_parameters_come_in_the_same_order(name):
    ours, theirs = (
        [
            word
            for word, parameter in parameters(kind.__init__).items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        for kind in PAIRS[name]
    )
    assert ours == theirs
