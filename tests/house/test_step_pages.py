"""Pages of steps: every parameter is told once, every preset is shown, nothing is left over."""

from dataclasses import fields

import pytest

from generators.steps import presets_table, step_page, steps_table
from onetrip.data.registry import known
from onetrip.data.step import Step
from onetrip.data.steps.antibody.published import PUBLISHED
from tree import ROOT

STEPS = known(Step)


def rows(page, heading):
    """First cells of the table under a heading."""
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [line.split("`")[1] for line in lines]


@pytest.mark.parametrize("name", STEPS)
def test_page_tells_every_parameter(name):
    page = step_page(name)
    wanted = sorted(field.name for field in fields(STEPS[name]))
    assert sorted(rows(page, "Parameters")) == wanted, f"class docstring of {STEPS[name]}"
    assert f"- {name}" in page


def test_page_tells_what_columns_come():
    assert {"v_gene", "donor_id", "hash128"} <= set(rows(step_page("derive"), "Columns"))
    assert "`ANARCI_status`" in step_page("standardise").partition("These go:")[2]
    assert "no column comes" in step_page("filter")


def test_every_step_and_every_preset_is_listed():
    assert all(f"[`{name}`](steps/{name}.md)" in steps_table() for name in STEPS)
    table = presets_table()
    for name, published in PUBLISHED.items():
        assert f"### `{name}`" in table
        assert all(f"| `{rule}` | `{one.keep}` |" in table for rule, one in published.rules.items())


def test_no_page_is_of_a_step_that_is_gone():
    pages = {path.stem for path in (ROOT / "docs" / "data" / "steps").glob("*.md")}
    assert pages == set(STEPS)
