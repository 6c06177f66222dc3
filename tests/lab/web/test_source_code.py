"""Sources and their changes as markup: whole, escaped, aligned."""

import re

from hypothesis import given
from hypothesis import strategies as st

from onetrip.lab.web.source_code import code, diff

BEFORE = 'def f(x):\n    """Say."""\n    y = x + 1\n    return y\n'
AFTER = BEFORE.replace("x + 1", "x + 2")


def words(markup):
    import html

    return html.unescape(re.sub(r"<[^>]+>", "", str(markup)))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=200))
def test_code_shows_all_of_a_source_and_only_that(text):
    shown = code(text)
    assert [line.rstrip() for line in words(shown).split("\n")] == [
        line.rstrip() for line in text.split("\n")
    ]
    assert not re.search(r"<(?!/?(pre|code|span)\b)", shown)


def test_highlighting_has_classes_and_no_styles():
    shown = str(code("import os  # </span><script>\n"))
    assert '<span class="tok-kn">import</span>' in shown
    assert "<script" not in shown
    assert "style=" not in shown


def test_diff_lines_are_those_of_the_two_sources():
    from onetrip.lab.views.experiments import diff_of

    def candidate(id, source):
        return {"id": id, "source": source}

    text = diff_of(candidate(1, BEFORE), candidate(2, AFTER))
    shown = str(diff(text, BEFORE, AFTER))
    changed = re.findall(r'<span class="line (added|removed)">(.*)</span>', shown)
    assert [(kind, words(line)) for kind, line in changed] == [
        ("removed", "-    y = x + 1"),
        ("added", "+    y = x + 2"),
    ]
    # Coloured as Python: the mutation that counts lines wrong shows another line here.
    assert 'class="tok-mi">1</span>' in changed[0][1]
    assert 'class="tok-mi">2</span>' in changed[1][1]
    assert words(shown).count("return y") == 1


def test_a_hostile_log_of_escapes_is_plain():
    assert "\x1b" not in str(code("x = 1 \x1b[31m# red\x1b[0m"))


def test_a_source_too_long_to_colour_is_shown_all_the_same():
    shown = str(code("x = 1\n" * 60_000))
    assert "tok-" not in shown
    assert "more lines" in shown
