"""Intervals side by side: ratios to a peer, effects against what was predicted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from onetrip.lab.web.charts.axes import plain
from onetrip.lab.web.charts.figure import Cell, Figure, figure, nothing_yet
from onetrip.lab.web.charts.scale import Scale, apart, span
from onetrip.lab.web.charts.svg import element, group, link, shortened, text_px

_ROW_PX = 30.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval. `mark` is "for", "against" or "noise" and decides the colour."""

    label: str
    value: float
    low: float
    high: float
    mark: str = "noise"
    href: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A value that the intervals are held against: "1 = as fast", "predicted: −5 %"."""

    value: float
    text: str
    class_: str = "reference"


def interval_chart(
    title: str,
    rows: Sequence[Interval],
    *,
    lines: Sequence[Line],
    name: str,
    text: Callable[[float], str] = plain,
    wanted: tuple[float, float] | None = None,
    log: bool = False,
    empty: str = "Nothing has been measured yet.",
) -> Figure:
    """One row an interval; `wanted` shades where a prediction wants it to lie.

    `wanted` may end at infinity, which is the chart's edge.
    """
    if not rows:
        return nothing_yet(title, empty)
    ends = [end for row in rows for end in (row.low, row.high)]
    low, high = span([*ends, *(line.value for line in lines)], log=log, margin=0.1)

    def draw(width: float) -> tuple[float, list[Markup]]:
        room = min(max(text_px(row.label) for row in rows) + 14, width * 0.38)
        top, bottom = 24.0, 24.0 + _ROW_PX * len(rows)
        scale = Scale(low, high, room, width - 16, log)
        drawn = [
            *_shade(wanted, scale, top, bottom),
            *(
                _tick(scale, tick, text(tick), top, bottom)
                for tick in apart(scale.ticks(5), scale, lambda tick: text_px(text(tick), 11) + 10)
            ),
            *_lines(lines, scale, top, bottom, width),
            *(_row(row, scale, top + _ROW_PX * n, room, text) for n, row in enumerate(rows)),
            element(
                "text", name, x=width - 16, y=bottom + 34, text_anchor="end", class_="axis-name"
            ),
        ]
        return bottom + 42, drawn

    table = [(Cell(row.label, row.href), *_numbers(row, text)) for row in rows]
    against = "; ".join(line.text for line in lines)
    description = f"{len(rows)} values with their intervals, {name}. {against}"
    return figure(title, description, draw, ("what", "value", "interval"), table)


def _numbers(row: Interval, text: Callable[[float], str]) -> tuple[str, str]:
    return text(row.value), f"{text(row.low)} to {text(row.high)}"


def _shade(
    wanted: tuple[float, float] | None, scale: Scale, top: float, bottom: float
) -> list[Markup]:
    if wanted is None:
        return []
    left, right = (scale.inside(end) for end in wanted)
    return [
        element(
            "rect",
            x=left,
            y=top,
            width=max(0.0, right - left),
            height=bottom - top,
            class_="wanted",
        )
    ]


def _tick(scale: Scale, tick: float, text: str, top: float, bottom: float) -> Markup:
    x = scale.at(tick)
    return group(
        (
            element("line", x1=x, y1=top, x2=x, y2=bottom, class_="grid"),
            element("text", text, x=x, y=bottom + 16, text_anchor="middle", class_="tick"),
        )
    )


def _lines(
    lines: Sequence[Line], scale: Scale, top: float, bottom: float, width: float
) -> list[Markup]:
    drawn: list[Markup] = []
    taken_until = -1.0
    for line in sorted(lines, key=lambda line: line.value):
        x = scale.at(line.value)
        drawn.append(element("line", x1=x, y1=top - 4, x2=x, y2=bottom, class_=line.class_))
        half = text_px(line.text, 11) / 2
        middle = min(max(x, half), width - half)
        if middle - half > taken_until:
            drawn.append(
                element("text", line.text, x=middle, y=12, text_anchor="middle", class_="line-name")
            )
            taken_until = middle + half + 6
    return drawn


def _row(
    row: Interval, scale: Scale, top: float, room: float, text: Callable[[float], str]
) -> Markup:
    y = top + _ROW_PX / 2
    left, right = scale.at(row.low), scale.at(row.high)
    label = element(
        "text",
        shortened(row.label, room - 12),
        element("title", row.label),
        x=room - 8,
        y=y + 4,
        text_anchor="end",
        class_="row-name",
    )
    value, interval = _numbers(row, text)
    marks = group(
        (
            element("line", x1=left, y1=y, x2=right, y2=y, class_="whisker"),
            element("line", x1=left, y1=y - 5, x2=left, y2=y + 5, class_="whisker"),
            element("line", x1=right, y1=y - 5, x2=right, y2=y + 5, class_="whisker"),
            element("circle", cx=scale.at(row.value), cy=y, r=4.5, class_="middle"),
        ),
        class_=f"interval {row.mark}",
    )
    sentence = f"{row.label}: {value} [{interval}]"
    if row.href:
        return link(row.href, label, marks, label=sentence)
    return group((element("title", sentence), label, marks))
