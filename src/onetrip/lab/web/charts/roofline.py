"""The roofline: what the device allows at each arithmetic intensity, and what was reached."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from onetrip.core.units import rate_text, three_digits
from onetrip.lab.web.charts.axes import Axis, Key, Plane, plain, plane
from onetrip.lab.web.charts.best import MOST_LINKED
from onetrip.lab.web.charts.figure import Cell, Figure, figure, nothing_yet
from onetrip.lab.web.charts.labels import Box, place
from onetrip.lab.web.charts.scale import span
from onetrip.lab.web.charts.svg import dots, element, group, link, path, text_px

_ROWS = 40


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The greatest rate of one dtype."""

    name: str
    tflops: float


@dataclass(frozen=True, slots=True)
class Reached:
    """What one contender reached; `mark` is "tried", "champion" or "peer"."""

    label: str
    href: str
    flops_per_byte: float
    tflops: float
    mark: str = "tried"


def roofline_chart(
    title: str,
    points: Sequence[Reached],
    ceilings: Sequence[Ceiling],
    bandwidth_gbps: float,
    *,
    empty: str = "",
) -> Figure:
    """Both axes logarithmic: a slope where memory is the limit, a roof where arithmetic is."""
    if not points or not ceilings or bandwidth_gbps <= 0:
        return nothing_yet(title, empty or _MISSING)
    slope = bandwidth_gbps * 1e-3
    ridges = [ceiling.tflops / slope for ceiling in ceilings]
    left, right = span([*(point.flops_per_byte for point in points), *ridges], log=True, margin=0.2)
    left, right = left / 2, right * 2
    low, high = span(
        [*(point.tflops for point in points), *(ceiling.tflops for ceiling in ceilings)],
        log=True,
        margin=0.12,
    )
    names = {"tried": "tried", "peer": "peer", "champion": "champion"}
    marks = {point.mark for point in points}
    legend = [Key(name, mark) for mark, name in names.items() if mark in marks]
    legend.append(Key("ceiling, measured on the device", "ceiling", line=True))

    def draw(width: float) -> tuple[float, list[Markup]]:
        frame = plane(
            Axis("operations per compulsory byte", left, right, log=True),
            Axis("rate", low, high, log=True, text=operations_text),
            width,
            legend=legend,
            inner_px=280,
        )
        roofs = [_roof(frame, ceiling, slope) for ceiling in ceilings]
        names = _ceiling_names(frame, ceilings)
        return frame.height, [
            *frame.back,
            *roofs,
            *(mark for mark, _ in names),
            *_marks(frame, sorted(points, key=_loudness)),
            *_labels(frame, points, [box for _, box in names]),
        ]

    rows = [
        (
            Cell(point.label, point.href),
            plain(point.flops_per_byte),
            operations_text(point.tflops),
            share_text(point, ceilings, slope),
        )
        for point in _loudest(points)
    ]
    roofs = ", ".join(f"{ceiling.name} {operations_text(ceiling.tflops)}" for ceiling in ceilings)
    description = f"Memory allows {plain(bandwidth_gbps)} GB/s; arithmetic allows {roofs}."
    columns = ("contender", "operations per byte", "rate", "share of the roof")
    return figure(title, description, draw, columns, rows)


_MISSING = (
    "The roofline needs a measured device, a problem that states its cost, and one experiment "
    "that was timed."
)


def operations_text(tflops: float) -> str:
    """A rate in the unit that fits, a slow machine's too.

    >>> operations_text(788.0), operations_text(0.016), operations_text(0.0000164)
    ('788 TFLOP/s', '16.0 GFLOP/s', '16.4 MFLOP/s')
    """
    if tflops >= 1:
        return rate_text(tflops)
    if tflops >= 1e-3:
        return f"{three_digits(tflops * 1e3)} GFLOP/s"
    return f"{three_digits(tflops * 1e6)} MFLOP/s"


def share_text(point: Reached, ceilings: Sequence[Ceiling], slope: float) -> str:
    """How much of the highest roof above its intensity a point reached.

    >>> share_text(Reached("#1", "", 1.0, 0.5), [Ceiling("float32", 10.0)], slope=1.0)
    '50 %'
    """
    roof = min(max(ceiling.tflops for ceiling in ceilings), slope * point.flops_per_byte)
    return f"{100 * point.tflops / roof:.0f} %"


def _roof(frame: Plane, ceiling: Ceiling, slope: float) -> Markup:
    ridge = min(max(ceiling.tflops / slope, frame.x.low), frame.x.high)
    start = max(frame.x.low, frame.y.low / slope)
    corners = [
        (frame.x.at(start), frame.y.inside(start * slope)),
        (frame.x.at(ridge), frame.y.inside(min(ridge * slope, ceiling.tflops))),
        (frame.inner.right, frame.y.inside(ceiling.tflops)),
    ]
    return element("path", d=path(corners), class_="ceiling")


def _ceiling_names(frame: Plane, ceilings: Sequence[Ceiling]) -> list[tuple[Markup, Box]]:
    named = []
    for ceiling in ceilings:
        text = f"{ceiling.name} {operations_text(ceiling.tflops)}"
        x, y = frame.inner.right - 4, frame.y.at(ceiling.tflops) - 5
        box = Box(x - text_px(text, 11), y - 11, x, y + 4)
        mark = element("text", text, x=x, y=y, text_anchor="end", class_="line-name")
        named.append((mark, box))
    return named


def _loudness(point: Reached) -> int:
    return ("tried", "peer", "champion").index(point.mark)


def _loudest(points: Sequence[Reached]) -> list[Reached]:
    """Champions and peers, and of what was tried the fastest."""
    ordered = sorted(points, key=lambda point: (-_loudness(point), -point.tflops))
    return ordered[:_ROWS]


def _marks(frame: Plane, points: Sequence[Reached]) -> list[Markup]:
    if len(points) <= MOST_LINKED:
        return [_dot(frame, point) for point in points]
    places = (
        (frame.x.at(point.flops_per_byte), frame.y.at(point.tflops))
        for point in points
        if point.mark == "tried"
    )
    loud = [_dot(frame, point) for point in points if point.mark != "tried"]
    return [dots(places, "tried-dots"), *loud]


def _dot(frame: Plane, point: Reached) -> Markup:
    x, y = frame.x.at(point.flops_per_byte), frame.y.at(point.tflops)
    radius = 3.0 if point.mark == "tried" else 5.0
    dot = element("circle", cx=x, cy=y, r=radius, class_=point.mark)
    sentence = f"{point.label}: {operations_text(point.tflops)}"
    if point.href:
        return link(point.href, dot, label=sentence)
    return group((element("title", sentence), dot))


def _labels(frame: Plane, points: Sequence[Reached], taken: Sequence[Box]) -> list[Markup]:
    named = sorted((point for point in points if point.mark != "tried"), key=_loudness)
    places = [
        (frame.x.at(point.flops_per_byte), frame.y.at(point.tflops), point.label)
        for point in reversed(named)
    ]
    return [
        element(
            "text", label.text, x=label.x, y=label.y, text_anchor=label.anchor, class_="point-name"
        )
        for label in place(places, frame.inner, taken)
    ]
