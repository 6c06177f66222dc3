"""The best time so far, as a staircase under all that was tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from onetrip.core.units import time_text
from onetrip.lab.web.charts.axes import Axis, Key, Plane, plane
from onetrip.lab.web.charts.figure import Cell, Figure, figure, nothing_yet
from onetrip.lab.web.charts.labels import place
from onetrip.lab.web.charts.scale import span
from onetrip.lab.web.charts.svg import element, group, link, path

# Labels of the staircase that a phone and a screen can hold.
_LABELS = 12


@dataclass(frozen=True, slots=True)
class Tried:
    """One measured experiment: its place in the order, its time with the interval.

    `best` says that it was the best when it ended; `champion`, that it was confirmed as such.
    """

    order: int
    label: str
    href: str
    median_ms: float
    low_ms: float
    high_ms: float
    best: bool = False
    champion: bool = False


def best_chart(title: str, tried: Sequence[Tried], *, floor_ms: float | None = None) -> Figure:
    """A staircase through the experiments that were the best when they ended."""
    if not tried:
        return nothing_yet(
            title, "The curve starts with the first experiment that is right and was timed."
        )
    steps = [one for one in tried if one.best]
    values = [value for one in steps for value in (one.low_ms, one.high_ms)]
    values += [one.median_ms for one in tried]
    values += [floor_ms] if floor_ms else []
    low, high = span(values, log=True, margin=0.08)
    last = max(one.order for one in tried)
    legend = [
        Key("tried", "tried"),
        Key("best so far, 95 % interval", "best-line", line=True),
        Key("champion", "champion"),
    ]
    if floor_ms:
        legend.append(Key(f"floor {time_text(floor_ms)}", "ceiling", line=True))

    def draw(width: float) -> tuple[float, list[Markup]]:
        frame = plane(
            Axis("experiments that were timed", 0, last + 1),
            Axis("median time", low, high, log=True, text=time_text),
            width,
            legend=legend,
        )
        return frame.height, [
            *frame.back,
            *_floor(frame, floor_ms),
            *_bands(frame, steps, last),
            group(_dot(frame, one, "tried", 2.6) for one in tried if not one.best),
            element("path", d=path(_stairs(frame, steps, last)), class_="best-line"),
            *(_dot(frame, one, _class(one), 4.5) for one in steps),
            *_labels(frame, steps),
        ]

    rows = [
        (
            Cell(one.label, one.href),
            time_text(one.median_ms),
            f"{time_text(one.low_ms)} to {time_text(one.high_ms)}",
            "champion" if one.champion else "best so far",
        )
        for one in steps
    ]
    description = (
        f"{len(tried)} experiments were timed; {len(steps)} of them were the best when they ended."
    )
    return figure(title, description, draw, ("experiment", "median", "95 % interval", "as"), rows)


def _class(one: Tried) -> str:
    return "champion" if one.champion else "best-dot"


def _dot(frame: Plane, one: Tried, class_: str, radius: float) -> Markup:
    sentence = f"{one.label}: {time_text(one.median_ms)}"
    dot = element(
        "circle",
        cx=frame.x.at(one.order),
        cy=frame.y.at(one.median_ms),
        r=radius,
        class_=class_,
    )
    return link(one.href, dot, label=sentence)


def _stairs(frame: Plane, steps: Sequence[Tried], last: int) -> list[tuple[float, float]]:
    corners = []
    for step, following in pairwise([*steps, None]):
        if step is None:
            continue
        y = frame.y.at(step.median_ms)
        end = last + 1 if following is None else following.order
        corners += [(frame.x.at(step.order), y), (frame.x.at(end), y)]
    return corners


def _bands(frame: Plane, steps: Sequence[Tried], last: int) -> list[Markup]:
    ends = [step.order for step in steps[1:]] + [last + 1]
    return [
        element(
            "rect",
            x=frame.x.at(step.order),
            y=frame.y.at(step.high_ms),
            width=frame.x.at(end) - frame.x.at(step.order),
            height=max(1.0, frame.y.at(step.low_ms) - frame.y.at(step.high_ms)),
            class_="band",
        )
        for step, end in zip(steps, ends, strict=True)
    ]


def _floor(frame: Plane, floor_ms: float | None) -> list[Markup]:
    if not floor_ms:
        return []
    y = frame.y.at(floor_ms)
    return [
        element("line", x1=frame.inner.left, y1=y, x2=frame.inner.right, y2=y, class_="ceiling")
    ]


def _labels(frame: Plane, steps: Sequence[Tried]) -> list[Markup]:
    wanted = [*reversed([one for one in steps if one.champion]), *reversed(steps)][:_LABELS]
    points = [
        (frame.x.at(one.order), frame.y.at(one.median_ms), one.label)
        for one in dict.fromkeys(wanted)
    ]
    return [
        element(
            "text", label.text, x=label.x, y=label.y, text_anchor=label.anchor, class_="point-name"
        )
        for label in place(points, frame.inner)
    ]
