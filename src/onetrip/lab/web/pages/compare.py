"""Experiments side by side: what differs, and what their intervals allow to conclude."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.units import time_text
from onetrip.lab.views.compare import compare
from onetrip.lab.web.charts.figure import Figure
from onetrip.lab.web.charts.intervals import Interval, Line, interval_chart
from onetrip.lab.web.frame import reading
from onetrip.lab.web.render import render
from onetrip.lab.web.source_code import diff

router = APIRouter()


@router.get("/compare")
def compare_page(request: Request, ids: Annotated[list[str], Query(max_length=50)]) -> Response:
    """``?ids=3,4,9`` or ``?ids=3&ids=4``; the first is what the others are held against."""
    numbers = [_number(word) for part in ids for word in part.split(",") if word.strip()]
    with reading(request) as connection:
        found = compare(connection, numbers)
    return render(
        request,
        "compare.html",
        page="experiments",
        title="Compare " + ", ".join(f"#{row['id']}" for row in found["experiments"]),
        found=found,
        chart=_ratios(found),
        time_charts=[_times(found, workload) for workload in found["workloads"]],
        diffs=[(each["id"], diff(each["diff"])) for each in found["diffs"] if each["diff"]],
    )


def _number(word: str) -> int:
    try:
        return int(word.strip().removeprefix("#"))
    except ValueError as error:
        way_out = "Write /compare?ids=3,4."
        expected = "numbers of experiments"
        raise ArgumentError(
            complaint("ids", expected=expected, got=repr(word), way_out=way_out)
        ) from error


def mark_of(low: float, high: float) -> str:
    """How a ratio is drawn: for, against, or noise when its interval holds 1.

    >>> mark_of(1.1, 1.2), mark_of(0.9, 1.1), mark_of(0.8, 0.9)
    ('for', 'noise', 'against')
    """
    return "for" if low > 1 else "against" if high < 1 else "noise"


def _ratios(found: dict) -> Figure:
    first = found["experiments"][0]
    titles = {row["id"]: row["title"] for row in found["experiments"]}
    rows = [
        Interval(
            f"#{each['id']} {titles[each['id']]}",
            each["speedup"],
            each["low"],
            each["high"],
            mark_of(each["low"], each["high"]),
            f"/experiments/{each['id']}",
        )
        for each in found["against_first"]
        if "speedup" in each
    ]
    return interval_chart(
        f"Against #{first['id']}",
        rows,
        lines=[Line(1.0, f"1 = as fast as #{first['id']}")],
        name="times as fast, 95 % interval",
        text=lambda ratio: f"{ratio:.2f}×",
        log=True,
        empty="None of the others can be held against the first; the lines below say why.",
    )


def _times(found: dict, workload: dict) -> Figure:
    named = workload["workload"] or "All sizes"
    rows = [
        Interval(
            f"#{row['id']} {row['title']}",
            time["median_ms"],
            time["low_ms"],
            time["high_ms"],
            "for" if row["id"] == found["experiments"][0]["id"] else "noise",
            f"/experiments/{row['id']}",
        )
        for row, time in zip(found["experiments"], workload["times"], strict=True)
        if time is not None
    ]
    floors = [time["floor_ms"] for time in workload["times"] if time and time["floor_ms"]]
    return interval_chart(
        f"{named}, {workload['regime']} cache",
        rows,
        lines=[Line(floors[0], f"floor {time_text(floors[0])}")] if floors else [],
        name="median time, 95 % interval",
        text=time_text,
        log=True,
    )
