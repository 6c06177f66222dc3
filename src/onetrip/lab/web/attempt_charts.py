"""The charts of one attempt: errors, ratios, samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onetrip.lab.web.charts.bars import error_bars
from onetrip.lab.web.charts.figure import Figure
from onetrip.lab.web.charts.intervals import Interval, Line, interval_chart
from onetrip.lab.web.charts.strip import Strip, strip_chart
from onetrip.lab.web.pages.compare import mark_of

# Tensors of one case that a chart can show; a failed one is always among them.
_MOST_CHECKS = 40
# The candidate's colour is the same in every chart.
_TOLD = ("clock_mhz", "throttle", "temperature_c", "power_w")
_FIRST = ("candidate", "baseline", "default", "current", "eager")


@dataclass(frozen=True, slots=True)
class TimingChart:
    """The samples of one workload in one regime, and what the device did in each block."""

    figure: Figure
    block_names: tuple[str, ...]
    blocks: tuple[tuple[str, int, tuple[object, ...]], ...]


def check_charts(attempt: Mapping | None) -> list[Figure]:
    """A chart for each workload that was verified."""
    if attempt is None:
        return []
    grouped: dict[str, list[Mapping]] = {}
    for check in attempt["checks"]:
        grouped.setdefault(check["workload"], []).append(check)
    return [
        error_bars(
            f"{workload or 'All'}: {_passed(checks)}",
            [
                (check["tensor"], check["max_error"], check["allowance"], check["passed"])
                for check in sorted(checks, key=lambda check: check["passed"])[:_MOST_CHECKS]
            ],
        )
        for workload, checks in grouped.items()
    ]


def ratio_chart(attempt: Mapping | None) -> Figure | None:
    """Every comparison of an attempt, on one scale."""
    if attempt is None or not attempt["comparisons"]:
        return None
    rows = [
        Interval(
            _pair(comparison),
            comparison["speedup"],
            comparison["low"],
            comparison["high"],
            mark_of(comparison["low"], comparison["high"]),
        )
        for comparison in attempt["comparisons"]
    ]
    return interval_chart(
        "Times as fast as each peer",
        rows,
        lines=[Line(1.0, "1 = as fast")],
        name="paired ratio of times, 95 % interval",
        text=lambda ratio: f"{ratio:.2f}×",
        log=True,
    )


def timing_charts(attempt: Mapping | None) -> list[TimingChart]:
    """A strip chart for each workload and regime."""
    if attempt is None:
        return []
    grouped: dict[tuple[str, str], list[Mapping]] = {}
    for timing in attempt["timings"]:
        grouped.setdefault((timing["workload"], timing["regime"]), []).append(timing)
    return [_timing(workload, regime, timings) for (workload, regime), timings in grouped.items()]


def _passed(checks: Sequence[Mapping]) -> str:
    wrong = sum(not check["passed"] for check in checks)
    return f"{wrong} of {len(checks)} wrong" if wrong else f"all {len(checks)} within allowance"


def _pair(comparison: Mapping) -> str:
    where = f" {comparison['workload']}" if comparison["workload"] else ""
    warm = " (warm)" if comparison["regime"] == "warm" else ""
    return f"{comparison['baseline']}{where}{warm}"


def _timing(workload: str, regime: str, timings: Sequence[Mapping]) -> TimingChart:
    ordered = sorted(timings, key=_rank)
    floors = [timing["floor_ms"] for timing in ordered if timing["floor_ms"]]
    strips = [_strip(timing) for timing in ordered]
    chart = strip_chart(
        f"{workload or 'All sizes'}, {regime} cache", strips, floor_ms=floors[0] if floors else None
    )
    taken = sorted(
        (
            (timing["subject"], _place(timing["subject"], block, n), block)
            for timing in ordered
            for n, block in enumerate(timing["blocks"])
        ),
        key=lambda row: row[1],
    )
    names = tuple(dict.fromkeys(name for _, _, block in taken for name in block if name in _TOLD))
    rows = tuple(
        (subject, place, tuple(block.get(name) for name in names))
        for subject, place, block in taken
    )
    return TimingChart(chart, names, rows)


def _rank(timing: Mapping) -> tuple[int, str]:
    subject = timing["subject"]
    return (_FIRST.index(subject) if subject in _FIRST else len(_FIRST), subject)


def _strip(timing: Mapping) -> Strip:
    blocks = timing["blocks"]
    return Strip(
        timing["subject"],
        timing["samples_ms"],
        timing["median_ms"],
        timing["low_ms"],
        timing["high_ms"],
        [_samples(timing["subject"], block) for block in blocks],
        [_place(timing["subject"], block, n) for n, block in enumerate(blocks)],
    )


def _samples(subject: str, block: Mapping) -> int:
    """How many samples of one contender a block holds: the judge tells who ran in turn."""
    turns = block.get("order")
    return turns.count(subject) if isinstance(turns, list) else int(block.get("samples", 0))


def _place(subject: str, block: Mapping, n: int) -> int:
    """Where a contender's part of a block stood in the run's whole order."""
    turns = block.get("order", n)
    if not isinstance(turns, list):
        return int(turns)
    return n * len(turns) + (turns.index(subject) if subject in turns else 0)
