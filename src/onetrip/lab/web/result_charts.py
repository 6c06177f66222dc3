"""What a problem's experiments amount to, as charts: one set for each study.

The page and the file that is shared draw the same.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from onetrip.core.units import bytes_text, time_text
from onetrip.lab.views.results import best_so_far, importance, pareto, roofline
from onetrip.lab.web.charts.axes import plain
from onetrip.lab.web.charts.bars import Bar, bar_chart
from onetrip.lab.web.charts.best import Measure, Tried, best_chart
from onetrip.lab.web.charts.figure import Figure, nothing_yet
from onetrip.lab.web.charts.pareto import Trade, pareto_chart
from onetrip.lab.web.charts.roofline import Ceiling, Reached, roofline_chart
from onetrip.lab.web.fields import share_text
from onetrip.lab.web.links import Href, page_of
from onetrip.lab.web.markup import plain as harmless


@dataclass(frozen=True, slots=True)
class StudyCharts:
    """The charts of one study; results of two studies do not compare."""

    study_id: int
    device: str
    figures: tuple[Figure, ...]


def result_charts(
    connection: sqlite3.Connection, problem_id: int, href: Href = page_of
) -> list[StudyCharts]:
    """Best so far, roofline and Pareto fronts, the study with the newest result first."""
    best = _by_study(best_so_far(connection, problem_id))
    roofs = _by_study(roofline(connection, problem_id))
    trades = _by_study(pareto(connection, problem_id))
    return [
        StudyCharts(
            study_id,
            str(roofs[study_id]["device"]),
            (
                _best(best.get(study_id), href),
                _roofline(roofs[study_id], href),
                *_pareto(trades.get(study_id), href),
            ),
        )
        for study_id in roofs
        if study_id in best or roofs[study_id]["points"]
    ]


def importance_charts(connection: sqlite3.Connection, problem_id: int, study_id: int) -> list:
    """A chart for each implementation; apart from the others, for it takes a while."""
    found = importance(connection, problem_id)
    study = _by_study(found).get(study_id)
    if study is None:
        why = found["why_none"] or "no configuration has been measured in this study"
        return [nothing_yet("What decides the time", f"{_capital(why)}.")]
    return [_importance(impl) for impl in study["impls"]]


def _by_study(found: Mapping) -> dict[int, dict]:
    return {study["study_id"]: study for study in found["studies"]}


def _best(study: Mapping | None, href: Href) -> Figure:
    if study is None:
        return best_chart("Best so far", [], Measure("", plain))
    is_time = study["metric"] == "latency_ms"
    name = "median time" if is_time else f"{study['metric']} ({study['direction']} wanted)"
    measure = Measure(name, time_text if is_time else plain, study["floor_ms"])
    tried = [
        Tried(
            point["order"],
            _label(point),
            href(point["id"]),
            point["value"],
            point["value"] if point["low"] is None else point["low"],
            point["value"] if point["high"] is None else point["high"],
            best=point["best"],
            champion=point["champion"],
        )
        for point in study["points"]
    ]
    return best_chart("Best so far", tried, measure)


def _roofline(study: Mapping, href: Href) -> Figure:
    dtypes = set(study["dtypes"])
    # Two dtypes of one rate, as bfloat16 and float16 are, are one roof.
    named: dict[float, list[str]] = {}
    for ceiling in study["ceilings"]:
        if not dtypes or ceiling["dtype"] in dtypes:
            named.setdefault(ceiling["tflops"], []).append(ceiling["dtype"])
    several = len({point["workload"] for point in study["points"]}) > 1
    points = [
        Reached(
            _name_at(point) if several else _label(point),
            "" if point["id"] is None else href(point["id"]),
            point["flops_per_byte"],
            point["tflops"],
            point["mark"],
        )
        for point in study["points"]
    ]
    return roofline_chart(
        "Roofline",
        points,
        [Ceiling(", ".join(names), tflops) for tflops, names in named.items()],
        study["bandwidth_gbps"],
        empty=f"{_capital(study['why_none'])}." if study["why_none"] else "",
    )


def _pareto(study: Mapping | None, href: Href) -> list[Figure]:
    points = [] if study is None else study["points"]
    largest_bytes = max((point["peak_bytes"] or 0 for point in points), default=0)
    # Round numbers of the unit in which they are written make round ticks.
    unit = next((unit for unit in (1 << 30, 1 << 20, 1 << 10) if largest_bytes >= unit), 1)
    return [
        pareto_chart(
            f"Time against {name}",
            [
                Trade(
                    _label(point),
                    href(point["id"]),
                    point["median_ms"],
                    (point[field] or 0.0) / unit,
                    point[front],
                )
                for point in points
            ],
            name=name,
            text=text,
        )
        for name, field, unit, front, text in (
            (
                "peak memory",
                "peak_bytes",
                unit,
                "front_memory",
                lambda size, unit=unit: bytes_text(size * unit),
            ),
            ("share of the allowed error", "error_share", 1, "front_error", share_text),
        )
    ]


def _importance(impl: Mapping) -> Figure:
    title = f"What decides the time of {impl['impl']}"
    if impl["why_none"]:
        return nothing_yet(title, f"{_capital(impl['why_none'])}.")
    bars = [
        Bar(harmless(parameter["name"]), parameter["share"], f"{parameter['share']:.0%}")
        for parameter in impl["parameters"]
    ]
    return bar_chart(title, bars, name=f"share of the differences among {impl['results']} results")


def _label(point: Mapping) -> str:
    title = harmless(str(point["title"]))
    return title if point["id"] is None else f"#{point['id']} {title}"


def _name_at(point: Mapping) -> str:
    """A short name of a contender at one of several sizes."""
    name = _label(point) if point["id"] is None else f"#{point['id']}"
    return f"{name} {harmless(str(point['workload']))}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
