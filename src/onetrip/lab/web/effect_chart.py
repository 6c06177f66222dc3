"""Effects that were observed, against the effect that was declared beforehand."""

from collections.abc import Mapping, Sequence

from onetrip.lab.web.charts.figure import Figure
from onetrip.lab.web.charts.intervals import Interval, Line, interval_chart
from onetrip.lab.web.links import Href, page_of

_MARKS = {"supports": "for", "refutes": "against", "undecided": "noise"}


def effect_chart(
    title: str, effects: Sequence[Mapping], declared: Mapping, href: Href = page_of
) -> Figure:
    """One row an effect; shaded is where the prediction wants the whole interval to lie."""
    least = declared["least_effect"]
    several = len({effect["workload"] for effect in effects}) > 1
    rows = [
        Interval(
            _label(effect, several),
            effect["gain"],
            effect["low"],
            effect["high"],
            _MARKS[effect["says"]],
            href(effect["experiment_id"]),
        )
        for effect in effects
    ]
    lines = [Line(0.0, "no change")]
    if least:
        lines.append(Line(least, f"declared {percent(least)}", "predicted"))
    return interval_chart(
        title,
        rows,
        lines=lines,
        name=f"{declared['direction']} of {declared['metric']}, with its interval",
        text=percent,
        wanted=(least, float("inf")),
        empty="No valid comparison yet: what tests it waits, runs, or did not end right.",
    )


def percent(share: float) -> str:
    """A gain as a percentage, with its sign.

    >>> percent(0.052), percent(-0.2), percent(0.0)
    ('+5.2 %', '−20 %', '0 %')
    """
    written = f"{abs(share) * 100:.2g}" if abs(share) < 1 else f"{abs(share) * 100:.0f}"
    sign = "+" if share > 0 else "−" if share < 0 else ""
    return f"{sign}{written} %"


def _label(effect: Mapping, several: bool) -> str:
    where = f" {effect['workload']}" if several else ""
    purpose = " confirms" if effect["purpose"] == "confirm" else ""
    return f"#{effect['experiment_id']}{purpose}{where}"
