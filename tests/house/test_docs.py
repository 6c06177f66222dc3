"""Documentation that cannot drift: generated parts, links, snippets, conventions of the pages."""

import doctest
import json
import re
import shlex
import subprocess
import sys

import pytest

import check_docs
import generators.results
from generators.cli import command_table
from onetrip.bench.results import append_results, results_path
from onetrip.core.errors import DataError
from onetrip.core.settings import SETTINGS
from pages import anchors, blocks, broken_links
from tree import ROOT, markdown_files, name_of

GUIDES = [path for path in markdown_files() if "src" not in path.parts]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def test_generated_parts_are_current():
    assert [name_of(page) for page in check_docs.stale(ROOT)] == []


def test_generated_part_that_drifted_is_found():
    page = "<!-- generated:settings -->\n| setting |\n<!-- /generated -->\n"
    written = check_docs.regenerated(page, "page.md")
    assert "ONETRIP_CACHE_DIR" in written
    assert check_docs.regenerated(written, "page.md") == written


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- generated:tarot -->\n<!-- /generated -->", "no generator 'tarot'"),
        ("<!-- generated:settings -->\n", "not closed"),
    ],
)
def test_impossible_part_is_named(page, message):
    with pytest.raises(check_docs.DocsError, match=message):
        check_docs.regenerated(page, "page.md")


def test_single_races_are_picked_from_the_lines():
    page = "<!-- generated:races h100 {} -->\n<!-- /generated -->"
    all_of_it = check_docs.regenerated(page.format("kneighbors"), "page.md")
    written = check_docs.regenerated(page.format("kneighbors/wide tsne/20k-128"), "page.md")
    (wide,) = [line for line in all_of_it.splitlines() if line.startswith("| wide ")]
    rows = [line for line in written.splitlines() if "onetrip" in line or "**" in line]
    assert rows[0] == wide.replace("| wide", "| kneighbors wide")
    assert [row.split(" | ")[0] for row in rows] == ["| kneighbors wide", "| tsne 20k-128"]
    with pytest.raises(DataError, match="There is no race kneighbors/tall of h100"):
        check_docs.regenerated(page.format("kneighbors/tall"), "page.md")


def test_table_of_results_comes_from_the_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(generators.results, "FOLDER", tmp_path / "results")
    environment = {
        "device": "A device",
        "torch": "2.11.0",
        "triton": "3.6.0",
        "time": "2026-11-22T1",
    }
    row = {
        "workload": "gemma2-2b",
        "dtype": "bfloat16",
        "contender": "eager",
        "outcome": "done",
        "floor_ms": 10.0,
        "peak_bytes": 1 << 30,
        "worst_share": 0.5,
        "environment": environment,
    }
    append_results(
        results_path("linear_cross_entropy", "h100", tmp_path / "results"),
        [
            {**row, "passes": "forward", "latency_ms": {"median": 99.0}},
            {**row, "passes": "forward", "latency_ms": {"median": 12.0}},
            {**row, "passes": "both", "latency_ms": {"median": 36.0}},
        ],
    )
    page = (
        "<!-- generated:results linear_cross_entropy h100 passes={} -->\nold\n<!-- /generated -->"
    )
    written = check_docs.regenerated(page.format("forward"), "page.md")
    assert "| gemma2-2b | eager | 12.0 ms | 1.20 | 1.00 GiB | 0.5 |" in written
    assert "Measured on A device, torch 2.11.0, Triton 3.6.0, 2026-11-22." in written
    assert "99" not in written
    assert "36" not in written
    with pytest.raises(DataError, match="onetrip bench linear_cross_entropy --save"):
        check_docs.regenerated(page.format("sideways"), "page.md")


@pytest.mark.parametrize("path", markdown_files(), ids=name_of)
def test_links_lead_somewhere(path):
    assert broken_links(path) == []


def test_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One door\n[a](#one-door) [b](#two) [c](missing.md) [d](https://x.org)\n")
    assert anchors(page.read_text()) == {"one-door"}
    assert broken_links(page) == ["#two", "missing.md"]


@pytest.mark.parametrize("command", command_table())
def test_command_is_in_the_guide(command):
    guide = "".join(path.read_text("utf-8") for path in ROOT.glob("docs/guide/*.md"))
    assert f"`onetrip {command}`" in guide


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting_is_in_the_guide(setting):
    assert setting.variable in (ROOT / "docs" / "guide" / "cli.md").read_text("utf-8")


def snippets():
    for path in GUIDES:
        if blocks(path.read_text("utf-8"), "python"):
            yield pytest.param(path, id=name_of(path))


@pytest.mark.parametrize("path", list(snippets()))
def test_python_snippets_run(path, tmp_path, monkeypatch):
    """In the order of the page and in one namespace, as a reader types them."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(path.read_text("utf-8"), "python"):
        if "gpu" in block.info.split()[1:]:
            continue
        place = f"{name_of(path)}, line {block.line}"
        if ">>>" in block.body:
            test = doctest.DocTestParser().get_doctest(block.body, names, place, place, block.line)
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            runner = doctest.DocTestRunner(optionflags=flags)
            report: list[str] = []
            runner.run(test, out=report.append, clear_globs=False)
            assert not runner.failures, "".join(report)
            names.update(test.globs)
        else:
            exec(compile(block.body, place, "exec"), names)


def shell_lines():
    for path in GUIDES:
        for language in ("sh", "shell", "console", "bash"):
            for block in blocks(path.read_text("utf-8"), language):
                for line in block.body.splitlines():
                    yield name_of(path), line.strip().removeprefix("$ ")


def test_shell_lines_name_commands_that_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    unknown = []
    for page, line in shell_lines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            unknown += [(page, w) for w in words[1:2] if w not in targets and "=" not in w]
        if words[:1] == ["onetrip"]:
            unknown += [
                (page, w) for w in words[1:2] if w not in command_table() and not w.startswith("-")
            ]
    assert unknown == []


def test_changelog_has_its_sections():
    page = (ROOT / "CHANGELOG.md").read_text("utf-8")
    unreleased = page.partition("## Unreleased")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.+)$", unreleased, re.MULTILINE) == [
        "Added",
        "Changed",
        "Fixed",
        "Numerics",
        "Performance",
    ]


def test_decisions_are_numbered_short_and_dated():
    assert [path.name[:4] for path in DECISIONS] == [
        f"{n:04}" for n in range(1, len(DECISIONS) + 1)
    ]
    for path in DECISIONS:
        page = path.read_text("utf-8")
        assert len(page.splitlines()) <= 40, path.name
        assert page.startswith(f"# {path.name[:4]} "), path.name
        status = r"^\d{4}-\d{2}-\d{2}, (accepted|superseded)\b"
        assert re.search(status, page, re.MULTILINE), f"{path.name} has no line of date and status"
        assert re.search(r"^(## Decision|\*\*Choice)", page, re.MULTILINE), path.name


def test_log_entries_are_dated_and_say_what_came_of_it():
    page = (ROOT / "docs" / "log.md").read_text("utf-8")
    entries = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        title = entry.partition("\n")[0]
        assert re.match(r"\d{4}-\d{2}-\d{2} ", title), title
        for word in ("**Expected.**", "**Found.**", "**So.**"):
            assert word in entry, f"{title!r} lacks {word}"


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) <= 150


def test_results_lines_carry_their_environment():
    for path in ROOT.glob("results/**/*.jsonl"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            record = json.loads(line)
            place = f"{name_of(path)}:{number}"
            assert isinstance(record, dict), place
            assert record.get("environment"), f"{place} has no environment block"


EXAMPLES = sorted(ROOT.glob("examples/**/*.py"))
PROGRAMS = [path for path in EXAMPLES if '__name__ == "__main__"' in path.read_text("utf-8")]

# In one process, as torch takes longer than they do; each finds what lies beside it and no other.
RUN_DEFINITIONS = """
import os, runpy, sys

for path in sys.argv[1:]:
    sys.path[0] = os.path.dirname(path)
    runpy.run_path(path, run_name="__main__")
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(sys.path[0]):
            del sys.modules[name]
"""


def run_python(folder, *arguments):
    command = [sys.executable, *map(str, arguments)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", PROGRAMS, ids=name_of)
def test_example_runs(path, tmp_path):
    run_python(tmp_path, path)


def test_examples_that_only_define_run(tmp_path):
    definitions = [path for path in EXAMPLES if path not in PROGRAMS]
    assert len(definitions) >= 8
    run_python(tmp_path, "-c", RUN_DEFINITIONS, *definitions)
