"""Place labels beside points so that none covers another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onetrip.lab.web.charts.svg import shortened, text_px

_LINE_PX = 13.0
# A label names a point; its whole name is the point's title and a row of the table.
_LONGEST_PX = 165.0


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place: `anchor` is SVG's text-anchor, `y` the baseline."""

    text: str
    x: float
    y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that is taken, or that all must lie in."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether the two share a point."""
        return not (
            self.right <= other.left
            or other.right <= self.left
            or self.bottom <= other.top
            or other.bottom <= self.top
        )

    def holds(self, other: "Box") -> bool:
        """Whether `other` lies inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


def place(
    points: Iterable[tuple[float, float, str]],
    within: Box,
    taken: Sequence[Box] = (),
    *,
    font_px: float = 11,
) -> list[Label]:
    """Labels of (x, y, text), the first ones first; one that finds no room is left out.

    >>> two = [(50.0, 50.0, "#1"), (51.0, 50.0, "#2"), (50.0, 51.0, "a far too long label")]
    >>> [label.text for label in place(two, Box(0, 0, 100, 100))]
    ['#1', '#2']
    """
    boxes = list(taken)
    placed = []
    for x, y, whole in points:
        text = shortened(whole, _LONGEST_PX, font_px)
        width = text_px(text, font_px)
        for label in _places(x, y, text):
            box = _box(label, width)
            if within.holds(box) and not any(box.meets(other) for other in boxes):
                boxes.append(box)
                placed.append(label)
                break
    return placed


def _places(x: float, y: float, text: str) -> list[Label]:
    return [
        Label(text, x + 7, y - 5, "start"),
        Label(text, x - 7, y - 5, "end"),
        Label(text, x, y - 10, "middle"),
        Label(text, x + 7, y + 13, "start"),
        Label(text, x - 7, y + 13, "end"),
        Label(text, x, y + 19, "middle"),
    ]


def _box(label: Label, width: float) -> Box:
    left = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
    return Box(left, label.y - _LINE_PX + 3, left + width, label.y + 3)
