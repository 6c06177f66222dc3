"""What can be said of the look without looking: contrast, and that no state is colour alone."""

import re

import pytest

from onetrip.lab.store.database import connect
from onetrip.lab.web.frame import STATIC_DIR
from onetrip.lab.web.render import templates

TOKENS = (STATIC_DIR / "tokens.css").read_text("utf-8")
PAIRS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", TOKENS
    )
}
TEXTS = ("ink", "ink-soft", "accent", "good", "bad", "warn", "odd", "calm")


def luminance(colour):
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_the_guideline_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("paper", ["paper", "raised", "sunken", "accent-soft"])
@pytest.mark.parametrize("text", TEXTS)
def test_text_can_be_read(text, paper, theme):
    assert contrast(PAIRS[text][theme], PAIRS[paper][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "paper"), [("good", "good-soft"), ("bad", "bad-soft"),
                                             ("on-accent", "accent")])  # fmt: skip
def test_text_on_colour_can_be_read(text, paper, theme):
    assert contrast(PAIRS[text][theme], PAIRS[paper][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_lines_of_charts_stand_out(theme):
    for name, pair in PAIRS.items():
        if name.startswith("series-"):
            assert contrast(pair[theme], PAIRS["paper"][theme]) >= 3, name


def test_every_state_has_a_drawing_of_its_own(tmp_path):
    """Those of experiments and hypotheses, as the schema closes their sets."""
    connection = connect(tmp_path / "lab.sqlite")
    schema = "\n".join(row[0] for row in connection.execute(
        "SELECT sql FROM sqlite_schema WHERE name IN ('experiment', 'hypothesis', 'learning')"
    ))  # fmt: skip
    connection.close()
    closed = re.findall(r"(?:state|status) IN \(([^)]*)\)", schema)
    states = set(re.findall(r"'(\w+)'", " ".join(closed)))
    assert {"done", "hacked", "refuted", "retracted"} <= states
    icon = templates().get_template("parts.html").make_module({}).icon

    def drawing(state):
        return str(icon(state)).partition(">")[2]

    drawings = {state: drawing(state) for state in states}
    assert [state for state in states if drawings[state] == drawing("no such state")] == []
    wrong = {"incorrect", "compile_error", "crashed", "timeout", "out_of_memory", "hacked"}
    assert len({drawings[state] for state in wrong | {"done", "running", "queued", "paused"}}) == 10
