"""Every sample of a timing, block by block."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from onetrip.core.units import time_text
from onetrip.lab.web.charts.axes import Axis, Key, plane, whole
from onetrip.lab.web.charts.figure import Cell, Figure, figure, nothing_yet
from onetrip.lab.web.charts.scale import span
from onetrip.lab.web.charts.svg import element, group


@dataclass(frozen=True, slots=True)
class Strip:
    """The samples of one contender, and when each was taken.

    A place counts blocks: 2.25 is a quarter through the third block. There is one a sample.
    """

    name: str
    samples_ms: Sequence[float]
    median_ms: float
    low_ms: float
    high_ms: float
    places: Sequence[float]


def strip_chart(title: str, strips: Sequence[Strip], *, floor_ms: float | None = None) -> Figure:
    """Samples over the order of blocks, a line at each median, another at the floor."""
    drawn_strips = [strip for strip in strips if strip.samples_ms]
    if not drawn_strips:
        return nothing_yet(title, "No sample was taken: the candidate was not timed.")
    values = [value for strip in drawn_strips for value in strip.samples_ms]
    values += [floor_ms] if floor_ms else []
    low, high = span(values, log=True, margin=0.1)
    last = math.ceil(max(max(strip.places) for strip in drawn_strips))
    legend = [Key(strip.name, f"s{n}") for n, strip in enumerate(drawn_strips)]
    if floor_ms:
        legend.append(Key(f"floor {time_text(floor_ms)}", "ceiling", line=True))

    def draw(width: float) -> tuple[float, list[Markup]]:
        frame = plane(
            Axis("blocks of the run", 0, last, text=whole),
            Axis("time of a call", low, high, log=True, text=time_text),
            width,
            legend=legend,
            inner_px=200,
        )
        drawn = list(frame.back)
        for n, strip in enumerate(drawn_strips):
            y = frame.y.at(strip.median_ms)
            drawn.append(
                element(
                    "line",
                    x1=frame.inner.left,
                    y1=y,
                    x2=frame.inner.right,
                    y2=y,
                    class_=f"median s{n}",
                )
            )
            drawn.append(
                group(
                    (
                        element(
                            "circle",
                            cx=frame.x.at(place),
                            cy=frame.y.at(value),
                            r=2.4,
                        )
                        for place, value in zip(strip.places, strip.samples_ms, strict=True)
                    ),
                    class_=f"samples s{n}",
                )
            )
        if floor_ms:
            y = frame.y.at(floor_ms)
            drawn.append(
                element(
                    "line", x1=frame.inner.left, y1=y, x2=frame.inner.right, y2=y, class_="ceiling"
                )
            )
        return frame.height, drawn

    rows = [
        (
            Cell(strip.name),
            time_text(strip.median_ms),
            f"{time_text(strip.low_ms)} to {time_text(strip.high_ms)}",
            time_text(min(strip.samples_ms)),
            time_text(max(strip.samples_ms)),
            str(len(strip.samples_ms)),
        )
        for strip in drawn_strips
    ]
    return figure(
        title,
        "Time of each call, in the blocks in which the contenders took turns.",
        draw,
        ("contender", "median", "95 % interval", "fastest", "slowest", "samples"),
        rows,
    )
