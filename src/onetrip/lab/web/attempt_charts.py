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
_TOLD = (
    "order",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "throttle_reasons",
    "temperature_c",
    "power_w",
    "energy_j",
)
# NVML's bits.
_THROTTLES = {
    0x1: "idle",
    0x2: "clocks set",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
}
_FIRST = ("candidate", "baseline", "default", "current", "eager")


@dataclass(frozen=True, slots=True)
class TimingChart:
    """The samples of one workload in one regime, and what the device did in each block."""

    figure: Figure
    block_names: tuple[str, ...]
    blocks: tuple[tuple[object, ...], ...]


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
    several = len({comparison["workload"] for comparison in attempt["comparisons"]}) > 1
    rows = [
        Interval(
            _pair(comparison, several),
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


def _pair(comparison: Mapping, several: bool) -> str:
    where = f" {comparison['workload']}" if several and comparison["workload"] else ""
    return f"{comparison['baseline']} {comparison['regime']}{where}"


def _timing(workload: str, regime: str, timings: Sequence[Mapping]) -> TimingChart:
    ordered = sorted(timings, key=_rank)
    floors = [timing["floor_ms"] for timing in ordered if timing["floor_ms"]]
    strips = [_strip(timing) for timing in ordered]
    chart = strip_chart(
        f"{workload or 'All sizes'}, {regime} cache", strips, floor_ms=floors[0] if floors else None
    )
    # All contenders of a block share it; the longest list has them all.
    blocks = max((timing["blocks"] for timing in ordered), key=len)
    names = tuple(name for name in _TOLD if any(name in block for block in blocks))
    rows = tuple(tuple(_told(name, block.get(name)) for name in names) for block in blocks)
    return TimingChart(chart, names, rows)


def _rank(timing: Mapping) -> tuple[int, str]:
    subject = timing["subject"]
    return (_FIRST.index(subject) if subject in _FIRST else len(_FIRST), subject)


def _strip(timing: Mapping) -> Strip:
    return Strip(
        timing["subject"],
        timing["samples_ms"],
        timing["median_ms"],
        timing["low_ms"],
        timing["high_ms"],
        _places(timing["subject"], len(timing["samples_ms"]), timing["blocks"]),
    )


def _places(subject: str, count: int, blocks: Sequence[Mapping]) -> list[float]:
    """When each sample was taken: its turn in the order of its block.

    A timing that tells no order, such as a tune's, has its samples spread over the run.

    >>> _places("a", 2, [{"order": ["a", "b", "b", "a"]}])
    [0.125, 0.875]
    >>> _places("a", 2, [])
    [0.25, 0.75]
    """
    turns = [
        number + (turn + 0.5) / len(block["order"])
        for number, block in enumerate(blocks)
        for turn, name in enumerate(block.get("order") or ())
        if name == subject
    ]
    if len(turns) == count:
        return turns
    whole = max(1, len(blocks))
    return [whole * (n + 0.5) / count for n in range(count)]


def _told(name: str, value: object) -> object:
    if name == "throttle_reasons" and isinstance(value, int):
        return ", ".join(word for bit, word in _THROTTLES.items() if value & bit) or "none"
    return " ".join(map(str, value)) if isinstance(value, list) else value
