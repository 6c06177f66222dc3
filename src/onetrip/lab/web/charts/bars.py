"""Horizontal bars: shares of importance, errors against what is allowed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from onetrip.lab.web.charts.axes import plain
from onetrip.lab.web.charts.figure import Cell, Figure, figure, nothing_yet
from onetrip.lab.web.charts.svg import element, group, shortened, text_px

_ROW_PX = 26.0
_BAR_PX = 14.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A share between 0 and 1 (more is drawn to the edge and marked), written as `text`."""

    label: str
    share: float
    text: str
    mark: str = "plain"


def bar_chart(
    title: str,
    bars: Sequence[Bar],
    *,
    name: str,
    limit: str = "",
    empty: str = "Nothing has been measured yet.",
) -> Figure:
    """One row a bar, 1 at the right; `limit` names the line at 1."""
    if not bars:
        return nothing_yet(title, empty)

    def draw(width: float) -> tuple[float, list[Markup]]:
        room = min(max(text_px(bar.label) for bar in bars) + 14, width * 0.36)
        numbers = max(text_px(bar.text, 11) for bar in bars) + 12
        top = 20.0 if limit else 4.0
        end = width - numbers - 4
        bottom = top + _ROW_PX * len(bars)
        drawn = [_row(bar, top + _ROW_PX * n, room, end) for n, bar in enumerate(bars)]
        if limit:
            drawn += [
                element("line", x1=end, y1=top - 4, x2=end, y2=bottom, class_="limit"),
                element("text", limit, x=end, y=11, text_anchor="end", class_="line-name"),
            ]
        return bottom + 6, drawn

    table = [(Cell(bar.label), bar.text) for bar in bars]
    return figure(title, f"{len(bars)} bars: {name}.", draw, ("what", name), table)


def _row(bar: Bar, top: float, start: float, end: float) -> Markup:
    middle = top + _ROW_PX / 2
    length = (end - start) * min(max(bar.share, 0.0), 1.0)
    over = bar.share > 1
    return group(
        (
            element("title", f"{bar.label}: {bar.text}"),
            element(
                "text",
                shortened(bar.label, start - 12),
                x=start - 8,
                y=middle + 4,
                text_anchor="end",
                class_="row-name",
            ),
            element(
                "rect",
                x=start,
                y=middle - _BAR_PX / 2,
                width=end - start,
                height=_BAR_PX,
                class_="trough",
            ),
            element(
                "rect",
                x=start,
                y=middle - _BAR_PX / 2,
                width=max(length, 1.5),
                height=_BAR_PX,
                class_=f"bar {bar.mark}{' over' if over else ''}",
            ),
            element("text", bar.text, x=end + 8, y=middle + 4, class_="bar-number"),
        )
    )


def error_bars(
    title: str,
    checks: Sequence[tuple[str, float | None, float | None, bool]],
    *,
    text: Callable[[float], str] = plain,
) -> Figure:
    """Errors of (label, error, allowance, passed) against what is allowed."""
    bars = []
    for label, error, allowance, passed in checks:
        share = 0.0
        # A problem's own check says yes or no and gives no number.
        said = text(error) if error is not None else "passed" if passed else "not a number"
        if error is not None and allowance:
            share = error / allowance
            said = f"{text(error)} of {text(allowance)}"
        elif not passed:
            share = 2.0
        bars.append(Bar(label, share, said, "good" if passed else "bad"))
    return bar_chart(title, bars, name="largest error of what is allowed", limit="allowed")
