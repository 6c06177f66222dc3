"""Show source code: highlighted, with line numbers, and what changed from one to another."""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from onetrip.lab.web.charts.svg import element
from onetrip.lab.web.markup import plain

# Highlighting takes a second a mebibyte; what is longer than any kernel is shown as it is.
_LARGEST_HIGHLIGHTED = 200_000
_MOST_LINES = 5000
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


def code(source: str) -> Markup:
    """A Python source as lines; their numbers are the style sheet's, so that copying leaves them.

    >>> code("x = 1").count('class="line"')
    1
    """
    lines = _lines(source)
    shown = [element("span", line, class_="line") for line in lines[:_MOST_LINES]]
    return _block(shown, len(lines) - len(shown), "code numbered")


def diff(text: str, before: str | None = None, after: str | None = None) -> Markup:
    r"""A unified diff, its lines coloured as in the two sources when these are given.

    >>> "added" in diff("@@ -0,0 +1 @@\n+x = 1", "", "x = 1")
    True
    """
    sides = (_lines_or_none(before), _lines_or_none(after))
    numbers = [0, 0]
    shown = []
    for line in plain(text).splitlines()[:_MOST_LINES]:
        hunk = _HUNK.match(line)
        if hunk:
            numbers = [int(hunk[1]) - 1, int(hunk[2]) - 1]
            shown.append(element("span", line, class_="line hunk"))
        elif line.startswith(("--- ", "+++ ")) and not any(numbers):
            shown.append(element("span", line, class_="line file"))
        else:
            shown.append(_changed(line, sides, numbers))
    return _block(shown, 0, "code diff")


def _changed(
    line: str, sides: tuple[Sequence[Markup] | None, Sequence[Markup] | None], numbers: list[int]
) -> Markup:
    sign = line[:1] or " "
    class_ = {"+": "line added", "-": "line removed"}.get(sign, "line")
    side = 0 if sign == "-" else 1
    inside = _at(sides[side], numbers[side], line[1:])
    if sign != "+":
        numbers[0] += 1
    if sign != "-":
        numbers[1] += 1
    return element("span", element("span", sign, class_="sign"), inside, class_=class_)


def _at(lines: Sequence[Markup] | None, number: int, text: str) -> Markup:
    return escape(text) if lines is None or number >= len(lines) else lines[number]


def _lines_or_none(source: str | None) -> list[Markup] | None:
    return None if source is None else _lines(source)


def _lines(source: str) -> list[Markup]:
    source = plain(source)
    if len(source) > _LARGEST_HIGHLIGHTED:
        return [escape(line) for line in source.splitlines()]
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    # The formatter closes and opens its spans at each end of a line.
    marked = highlight(source, lexer, HtmlFormatter(nowrap=True, classprefix="tok-"))
    return [Markup(line) for line in marked.rstrip("\n").split("\n")]


def _block(shown: list[Markup], left_out: int, class_: str) -> Markup:
    if left_out:
        shown.append(element("span", f"… {left_out} more lines", class_="line hunk"))
    return element("pre", element("code", Markup("\n").join(shown)), class_=class_, tabindex="0")
