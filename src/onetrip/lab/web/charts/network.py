"""The knowledge graph: boxes that lead to pages, and what ties one to another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from onetrip.lab.web.charts.layers import layers
from onetrip.lab.web.charts.svg import element, group, path, shortened

_BOX_PX = (248.0, 46.0)
_PITCH_PX = (322.0, 58.0)
_MARGIN_PX = 16.0


@dataclass(frozen=True, slots=True)
class Box:
    """One node. `kind` decides its edge's colour, `state` is the word in its corner."""

    key: str
    kind: str
    name: str
    title: str
    state: str
    href: str
    here: bool = False


@dataclass(frozen=True, slots=True)
class Tie:
    """`source` `relation` `target`: an arrow from the one to the other."""

    source: str
    relation: str
    target: str


def network(title: str, boxes: Sequence[Box], ties: Sequence[Tie]) -> Markup:
    """Draw the graph: what others are about stands to the left, arrows lead there."""
    layout = layers([box.key for box in boxes], [(tie.target, tie.source) for tie in ties])
    corners = {
        key: (_MARGIN_PX + column * _PITCH_PX[0], _MARGIN_PX + height * _PITCH_PX[1])
        for key, (column, height) in layout.places.items()
    }
    drawn = []
    for tie in ties:
        bends = layout.bends.get((tie.target, tie.source))
        if bends is not None:
            middle = [
                (_MARGIN_PX + column * _PITCH_PX[0], _MARGIN_PX + height * _PITCH_PX[1])
                for column, height in bends
            ]
            drawn.append(_arrow(tie, corners[tie.target], middle, corners[tie.source]))
    drawn += [_box(box, corners[box.key]) for box in boxes]
    width = max((x for x, _ in corners.values()), default=0.0) + _BOX_PX[0] + _MARGIN_PX
    height = max((y for _, y in corners.values()), default=0.0) + _BOX_PX[1] + _MARGIN_PX
    return element(
        "svg",
        element("title", title),
        element("desc", f"{len(boxes)} nodes, {len(ties)} ties. The same stands in the list."),
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        class_="network",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="group",
        aria_label=title,
    )


def _box(box: Box, corner: tuple[float, float]) -> Markup:
    x, y = corner
    width, height = _BOX_PX
    state_px = len(box.state) * 6.4
    return element(
        "a",
        element("title", f"{box.name}: {box.title}" + (f" ({box.state})" if box.state else "")),
        element("rect", x=x, y=y, width=width, height=height, rx=6, class_="box"),
        element("rect", x=x, y=y, width=5, height=height, rx=2.5, class_="edge-of-box"),
        element("text", box.name, x=x + 14, y=y + 18, class_="box-name"),
        element("text", box.state, x=x + width - 9, y=y + 18, text_anchor="end", class_="box-state")
        if state_px
        else None,
        element(
            "text",
            shortened(box.title, width - 24, 11.5),
            x=x + 14,
            y=y + 36,
            class_="box-title",
        ),
        href=box.href,
        class_=f"node {box.kind}{' here' if box.here else ''}",
        data_node=box.key,
    )


def _arrow(
    tie: Tie,
    target: tuple[float, float],
    bends: Sequence[tuple[float, float]],
    source: tuple[float, float],
) -> Markup:
    """From the source to the target, on the sides that face each other."""
    width, height = _BOX_PX
    ahead = source[0] > target[0]
    start = (source[0] if ahead else source[0] + width, source[1] + height / 2)
    end = (target[0] + width if ahead else target[0], target[1] + height / 2)
    side = 1 if ahead else -1
    # A bend is a column's whole width: the line runs straight between the boxes beside it.
    passes = [
        (
            x + (width if ahead else 0) * first + (0 if ahead else width) * (1 - first),
            y + height / 2,
        )
        for x, y in reversed(bends)
        for first in (1, 0)
    ]
    points = [start, *passes, end]
    tip = 7.0
    head = [end, (end[0] + side * tip, end[1] - 3.5), (end[0] + side * tip, end[1] + 3.5)]
    return group(
        (
            element("title", tie.relation.replace("_", " ")),
            element("path", d=_smooth(points), class_="tie-line"),
            element("path", d=path(head, close=True), class_="tie-head"),
        ),
        class_=f"tie {tie.relation}",
        data_source=tie.source,
        data_target=tie.target,
    )


def _smooth(points: Sequence[tuple[float, float]]) -> str:
    """A line that leaves and meets every point level."""
    written = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (x0 + x1) / 2
        written += f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return written
