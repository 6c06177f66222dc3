"""Every Python file keeps the rules of the house, and every rule catches what it is for."""

import pytest

import ratchets
from tree import ROOT, name_of, python_files

SOURCES = python_files("src")
TESTS = python_files("tests")
EVERYTHING = python_files("src", "tests", "tools", "examples")

# The one table of settings; and what a sandbox lets through to its process, by name.
READS_ENVIRONMENT = {
    "src/onetrip/core/settings.py",
    "src/onetrip/lab/sandbox/environment.py",
}

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

SOURCE_RULES = (
    ratchets.bare_asserts,
    ratchets.swallowed_errors,
    ratchets.environment_reads,
    ratchets.future_annotations_with_shapes,
    ratchets.unfinished_notes,
    ratchets.banner_comments,
)

PLANTED = {
    "bare_asserts": "def f(x):\n    assert x.dim() == 2\n",
    "swallowed_errors": "try:\n    f()\nexcept (ValueError, Exception):\n    pass\n",
    "environment_reads": "import os\nFAST = os.environ.get('FAST')\n",
    "future_annotations_with_shapes": (
        "from jaxtyping import Float\nfrom __future__ import annotations\n"
    ),
    "unfinished_notes": "x = 1\ny = 2  # TODO: three\n",
    "banner_comments": "x = 1\n# ---------- kernels ----------\n",
}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_source_keeps_the_rules(path):
    source = path.read_text(encoding="utf-8")
    broken = {
        rule.__name__: lines
        for rule in SOURCE_RULES
        if (lines := rule(source))
        and not (rule is ratchets.environment_reads and name_of(path) in READS_ENVIRONMENT)
    }
    assert not broken


@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.__name__)
def test_rule_catches_what_it_is_for(rule):
    assert rule(PLANTED[rule.__name__]) == [3 if rule is ratchets.swallowed_errors else 2]


def test_handler_that_raises_again_is_fine():
    source = "try:\n    f()\nexcept BaseException:\n    clean()\n    raise\n"
    assert ratchets.swallowed_errors(source) == []


@pytest.mark.parametrize(("paths", "limit"), [(SOURCES, 400), (TESTS, 500)], ids=["src", "tests"])
def test_files_are_short(paths, limit):
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in paths}
    assert {name: lines for name, lines in lengths.items() if lines > limit} == {}


def test_file_names_say_something():
    assert [name_of(path) for path in EVERYTHING if path.stem in VAGUE_NAMES] == []


def test_nothing_names_this_checkout():
    texts = (*EVERYTHING, *ROOT.glob("*.*"), *ROOT.glob("docs/**/*.md"))
    assert [
        name_of(path)
        for path in texts
        if path.is_file() and str(ROOT) in path.read_text("utf-8", errors="ignore")
    ] == []
