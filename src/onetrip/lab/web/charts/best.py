"""The best so far, as a staircase through all that was tried."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from onetrip.lab.web.charts.axes import Axis, Key, Plane, plane, whole
from onetrip.lab.web.charts.figure import Cell, Figure, figure, nothing_yet
from onetrip.lab.web.charts.labels import Box, place
from onetrip.lab.web.charts.scale import span
from onetrip.lab.web.charts.svg import dots, element, group, link, path

# Labels of the staircase that a phone and a screen can hold.
_LABELS = 12
# Beyond so many, what was tried is drawn as one cloud whose dots lead nowhere: the list does.
MOST_LINKED = 300


@dataclass(frozen=True, slots=True)
class Tried:
    """One measured experiment: its place in the order, what was measured, with the interval.

    `best` says that it was the best when it ended; `champion`, that it was confirmed as such.
    """

    order: int
    label: str
    href: str
    value: float
    low: float
    high: float
    best: bool = False
    champion: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """What is compared: its name, how a value of it is written, a floor where one is known."""

    name: str
    text: Callable[[float], str]
    floor: float | None = None


def best_chart(title: str, tried: Sequence[Tried], measure: Measure) -> Figure:
    """A staircase through the experiments that were the best when they ended."""
    if not tried:
        return nothing_yet(
            title, "The curve starts with the first experiment that is right and was measured."
        )
    steps = [one for one in tried if one.best]
    others = [one for one in tried if not one.best]
    values = [value for one in steps for value in (one.low, one.high)]
    values += [one.value for one in tried]
    values += [measure.floor] if measure.floor else []
    log = min(values) > 0
    low, high = span(values, log=log, margin=0.08)
    last = max(one.order for one in tried)

    def draw(width: float) -> tuple[float, list[Markup]]:
        frame = plane(
            Axis("experiments that were measured", 0, last + 1, text=whole),
            Axis(measure.name, low, high, log=log, text=measure.text),
            width,
            legend=_legend(measure),
        )
        return frame.height, [
            *frame.back,
            *_floor(frame, measure.floor),
            *_bands(frame, steps, last),
            _cloud(frame, others, measure),
            element("path", d=path(_stairs(frame, steps, last)), class_="best-line"),
            *(_dot(frame, one, measure, _class(one), 4.5) for one in steps),
            *_labels(frame, steps, _boxes(_stairs(frame, steps, last))),
        ]

    rows = [
        (
            Cell(one.label, one.href),
            measure.text(one.value),
            f"{measure.text(one.low)} to {measure.text(one.high)}",
            "champion" if one.champion else "best so far",
        )
        for one in steps
    ]
    description = (
        f"{len(tried)} experiments were measured; {len(steps)} were the best when they ended."
    )
    columns = ("experiment", measure.name, "95 % interval", "as")
    return figure(title, description, draw, columns, rows)


def _legend(measure: Measure) -> list[Key]:
    keys = [
        Key("tried", "tried"),
        Key("best so far, 95 % interval", "best-line", line=True),
        Key("champion", "champion"),
    ]
    if measure.floor:
        keys.append(Key(f"floor {measure.text(measure.floor)}", "ceiling", line=True))
    return keys


def _class(one: Tried) -> str:
    return "champion" if one.champion else "best-dot"


def _cloud(frame: Plane, others: Sequence[Tried], measure: Measure) -> Markup:
    if len(others) > MOST_LINKED:
        places = ((frame.x.at(one.order), frame.y.at(one.value)) for one in others)
        return dots(places, "tried-dots")
    return group(_dot(frame, one, measure, "tried", 2.6) for one in others)


def _dot(frame: Plane, one: Tried, measure: Measure, class_: str, radius: float) -> Markup:
    dot = element(
        "circle", cx=frame.x.at(one.order), cy=frame.y.at(one.value), r=radius, class_=class_
    )
    return link(one.href, dot, label=f"{one.label}: {measure.text(one.value)}")


def _stairs(frame: Plane, steps: Sequence[Tried], last: int) -> list[tuple[float, float]]:
    corners = []
    for step, following in pairwise([*steps, None]):
        if step is None:
            continue
        y = frame.y.at(step.value)
        end = last + 1 if following is None else following.order
        corners += [(frame.x.at(step.order), y), (frame.x.at(end), y)]
    return corners


def _bands(frame: Plane, steps: Sequence[Tried], last: int) -> list[Markup]:
    ends = [step.order for step in steps[1:]] + [last + 1]
    return [
        element(
            "rect",
            x=frame.x.at(step.order),
            y=frame.y.at(step.high),
            width=frame.x.at(end) - frame.x.at(step.order),
            height=max(1.0, frame.y.at(step.low) - frame.y.at(step.high)),
            class_="band",
        )
        for step, end in zip(steps, ends, strict=True)
    ]


def _floor(frame: Plane, floor: float | None) -> list[Markup]:
    if not floor:
        return []
    y = frame.y.at(floor)
    return [
        element("line", x1=frame.inner.left, y1=y, x2=frame.inner.right, y2=y, class_="ceiling")
    ]


def _boxes(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """What the line takes, so that no label stands on it."""
    return [
        Box(min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1)
        for (x0, y0), (x1, y1) in pairwise(corners)
    ]


def _labels(frame: Plane, steps: Sequence[Tried], taken: Sequence[Box]) -> list[Markup]:
    wanted = [*reversed([one for one in steps if one.champion]), *reversed(steps)]
    points = [
        (frame.x.at(one.order), frame.y.at(one.value), one.label)
        for one in list(dict.fromkeys(wanted))[:_LABELS]
    ]
    return [
        element(
            "text", label.text, x=label.x, y=label.y, text_anchor=label.anchor, class_="point-name"
        )
        for label in place(points, frame.inner, taken)
    ]
