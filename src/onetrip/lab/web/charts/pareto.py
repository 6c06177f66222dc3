"""What cannot be bettered in one thing without losing in another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from onetrip.core.units import time_text
from onetrip.lab.web.charts.axes import Axis, Key, Plane, plane
from onetrip.lab.web.charts.best import MOST_LINKED
from onetrip.lab.web.charts.figure import Cell, Figure, figure, nothing_yet
from onetrip.lab.web.charts.labels import place
from onetrip.lab.web.charts.scale import span
from onetrip.lab.web.charts.svg import dots, element, group, link, path


@dataclass(frozen=True, slots=True)
class Trade:
    """An experiment's time beside another figure of it; `front` says it is on the front."""

    label: str
    href: str
    median_ms: float
    other: float
    front: bool


def pareto_chart(
    title: str, trades: Sequence[Trade], *, name: str, text: Callable[[float], str]
) -> Figure:
    """Time across, the other figure up: nothing on the front has another to its lower left."""
    shown = [trade for trade in trades if trade.median_ms > 0 and trade.other > 0]
    if not shown:
        return nothing_yet(title, f"No experiment has a time and the {name} yet.")
    left, right = span((trade.median_ms for trade in shown), log=True, margin=0.1)
    low, high = span((trade.other for trade in shown), log=True, margin=0.12)
    front = sorted((trade for trade in shown if trade.front), key=lambda trade: trade.median_ms)
    legend = [Key("tried", "tried"), Key("on the front", "champion")]

    def draw(width: float) -> tuple[float, list[Markup]]:
        frame = plane(
            Axis("median time", left, right, log=True, text=time_text),
            Axis(name, low, high, log=True, text=text),
            width,
            legend=legend,
            inner_px=230,
        )
        return frame.height, [
            *frame.back,
            _cloud(frame, [trade for trade in shown if not trade.front], text),
            element("path", d=path(_stairs(frame, front)), class_="front-line"),
            *(_dot(frame, trade, text) for trade in front),
            *_labels(frame, front),
        ]

    rows = [
        (Cell(trade.label, trade.href), time_text(trade.median_ms), text(trade.other))
        for trade in front
    ]
    description = f"{len(shown)} experiments; {len(front)} are bettered by none in both."
    return figure(title, description, draw, ("on the front", "median", name), rows)


def _stairs(frame: Plane, front: Sequence[Trade]) -> list[tuple[float, float]]:
    """From each point right, then down to the next: all above and right of it is bettered."""
    corners: list[tuple[float, float]] = []
    for trade in front:
        x, y = frame.x.at(trade.median_ms), frame.y.at(trade.other)
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def _cloud(frame: Plane, others: Sequence[Trade], text: Callable[[float], str]) -> Markup:
    if len(others) > MOST_LINKED:
        places = ((frame.x.at(trade.median_ms), frame.y.at(trade.other)) for trade in others)
        return dots(places, "tried-dots")
    return group(_dot(frame, trade, text) for trade in others)


def _dot(frame: Plane, trade: Trade, text: Callable[[float], str]) -> Markup:
    dot = element(
        "circle",
        cx=frame.x.at(trade.median_ms),
        cy=frame.y.at(trade.other),
        r=5.0 if trade.front else 2.6,
        class_="champion" if trade.front else "tried",
    )
    sentence = f"{trade.label}: {time_text(trade.median_ms)}, {text(trade.other)}"
    return link(trade.href, dot, label=sentence)


def _labels(frame: Plane, front: Sequence[Trade]) -> list[Markup]:
    points = [
        (frame.x.at(trade.median_ms), frame.y.at(trade.other), trade.label) for trade in front
    ]
    return [
        element(
            "text", label.text, x=label.x, y=label.y, text_anchor=label.anchor, class_="point-name"
        )
        for label in place(points, frame.inner)
    ]
