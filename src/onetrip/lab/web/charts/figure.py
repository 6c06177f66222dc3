"""A chart as a template shows it: one drawing for a screen, one for a phone, and its numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from onetrip.lab.web.charts.svg import element

# Two charts stand side by side on a screen.
WIDE_PX = 600
NARROW_PX = 358


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a chart's table; with `href` it leads to a page."""

    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart. `wide` and `narrow` are the same drawing; `empty` says what is missing, if so."""

    title: str
    description: str
    wide: Markup
    narrow: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str = ""


Draw = Callable[[float], tuple[float, Sequence[Markup]]]


def figure(
    title: str,
    description: str,
    draw: Draw,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell | str]],
) -> Figure:
    """Draw for both widths. `draw` takes a width and returns a height and what is drawn."""
    wide, narrow = (_svg(title, description, width, *draw(width)) for width in (WIDE_PX, NARROW_PX))
    cells = tuple(
        tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows
    )
    return Figure(title, description, wide, narrow, tuple(columns), cells)


def nothing_yet(title: str, empty: str) -> Figure:
    """A chart without data, which says what will appear in it."""
    return Figure(title, "", Markup(""), Markup(""), (), (), empty)


def _svg(
    title: str, description: str, width: float, height: float, drawn: Sequence[Markup]
) -> Markup:
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        class_="chart",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_label=title,
    )
