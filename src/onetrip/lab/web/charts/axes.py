"""A plane with two axes: grid, ticks, names of the axes, a legend."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from onetrip.core.units import three_digits
from onetrip.lab.web.charts.labels import Box
from onetrip.lab.web.charts.scale import Scale, apart
from onetrip.lab.web.charts.svg import element, group, text_px

_TICK_PX = 11.0
_LEGEND_LINE_PX = 20.0


def plain(value: float) -> str:
    """Write a number of any size briefly.

    >>> plain(0.0), plain(250.0), plain(1500000.0), plain(0.00021), plain(2.5)
    ('0', '250', '1.5M', '2.1e-04', '2.5')
    """
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-3:
        return f"{value:.1e}"
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.4g}{letter}"
    return f"{value:.4g}" if size < 100 else three_digits(value)


def whole(value: float) -> str:
    """Write a count; a tick between two counts is left out.

    >>> whole(2.0), whole(2.5)
    ('2', '')
    """
    return f"{value:.0f}" if value == round(value) else ""


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows: its name, the values at its ends, how a tick is written, "" for none."""

    name: str
    low: float
    high: float
    log: bool = False
    text: Callable[[float], str] = plain


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: a word and the class that its mark has."""

    text: str
    class_: str
    line: bool = False


@dataclass(frozen=True, slots=True)
class Plane:
    """Two scales in a frame of `width` by `height`, and what is drawn behind the marks."""

    x: Scale
    y: Scale
    inner: Box
    height: float
    back: tuple[Markup, ...]


def plane(
    x: Axis, y: Axis, width: float, *, legend: Sequence[Key] = (), inner_px: float = 250
) -> Plane:
    """Lay out a chart `width` wide; the legend takes as many lines as it needs on top."""
    keys, legend_px = _legend(legend, width)
    top = legend_px + 26
    bottom = top + inner_px
    y_scale = Scale(y.low, y.high, bottom, top, y.log)
    y_ticks = [(tick, y.text(tick)) for tick in y_scale.ticks(6)]
    left = max((text_px(text, _TICK_PX) for _, text in y_ticks), default=0) + 14
    right = width - 14
    x_scale = Scale(x.low, x.high, left, right, x.log)
    ticks = [tick for tick in x_scale.ticks(_count(right - left, x, x_scale)) if x.text(tick)]
    apart_ticks = apart(ticks, x_scale, lambda tick: text_px(x.text(tick), _TICK_PX) + 8)
    x_ticks = [(tick, x.text(tick)) for tick in apart_ticks]
    back = [
        *keys,
        element("text", y.name, x=2, y=top - 10, class_="axis-name"),
        group(_y_tick(y_scale.at(tick), text, left, right) for tick, text in y_ticks),
        group(_x_tick(x_scale.at(tick), text, top, bottom, width) for tick, text in x_ticks),
        element("line", x1=left, y1=bottom, x2=right, y2=bottom, class_="axis"),
        element("text", x.name, x=right, y=bottom + 36, text_anchor="end", class_="axis-name"),
    ]
    return Plane(x_scale, y_scale, Box(left, top, right, bottom), bottom + 44, tuple(back))


def _count(room_px: float, axis: Axis, scale: Scale) -> int:
    """Ticks that fit: as wide as the widest of a first try, and some air."""
    widest = max((text_px(axis.text(tick), _TICK_PX) for tick in scale.ticks(5)), default=30)
    return max(2, min(10, int(room_px / (widest + 24))))


def _y_tick(y: float, text: str, left: float, right: float) -> Markup:
    return group(
        (
            element("line", x1=left, y1=y, x2=right, y2=y, class_="grid"),
            element("text", text, x=left - 6, y=y + 4, text_anchor="end", class_="tick"),
        )
    )


def _x_tick(x: float, text: str, top: float, bottom: float, width: float) -> Markup:
    half = text_px(text, _TICK_PX) / 2
    middle = min(max(x, half), width - half)
    return group(
        (
            element("line", x1=x, y1=top, x2=x, y2=bottom, class_="grid"),
            element("text", text, x=middle, y=bottom + 17, text_anchor="middle", class_="tick"),
        )
    )


def _legend(keys: Sequence[Key], width: float) -> tuple[list[Markup], float]:
    drawn: list[Markup] = []
    x, line = 2.0, 0
    for key in keys:
        room = text_px(key.text) + 34
        if x > 2 and x + room > width:
            x, line = 2.0, line + 1
        y = 12 + line * _LEGEND_LINE_PX
        mark = (
            element("line", x1=x, y1=y, x2=x + 16, y2=y, class_=key.class_)
            if key.line
            else element("circle", cx=x + 8, cy=y, r=4.5, class_=key.class_)
        )
        drawn += [mark, element("text", key.text, x=x + 21, y=y + 4, class_="legend")]
        x += room
    return drawn, (line + 1) * _LEGEND_LINE_PX if keys else 0.0
