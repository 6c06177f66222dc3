"""The table of the lab's guide: hacks, false alarms, kills, load, security, as measured."""

from collections.abc import Callable, Mapping
from typing import Any

from generators import results
from generators.markdown import table
from onetrip.bench.results import read_results, results_path
from onetrip.core.errors import DataError


def lab_table(machine: str) -> str:
    """The newest line of each bar of `tools/lab_bars.py`, and how busy the machine was then."""
    path = results_path("lab", machine, results.FOLDER)
    newest = {row["bar"]: row for row in read_results(path)}
    missing = [bar for bar in _SAID if bar not in newest]
    if missing:
        raise DataError(
            f"No line of {path.name} is about {', '.join(missing)}. Measure with: "
            f"python tools/lab_bars.py {' '.join(missing)}"
        )
    rows = (
        (what, figure, f"{newest[bar]['load'][0]:.0f}", f"`{newest[bar]['command']}`")
        for bar, say in _SAID.items()
        for what, figure in say(newest[bar])
    )
    days = sorted({row["environment"]["time"][:10] for row in newest.values()})
    place = newest["load"]["environment"]
    head = ["what", "figure", "processes waiting", "made by"]
    return (
        f"{table(head, rows)}\n\nMeasured on {place['processor']}, {place['threads']} cores, "
        f"{', '.join(days)}."
    )


_Rows = list[tuple[str, str]]


def _hacks(row: Mapping[str, Any]) -> _Rows:
    won = f"; these won: {', '.join(row['won'])}" if row["won"] else ""
    figure = (
        f"{row['caught']} of {row['tried']} caught, of {row['kinds_caught']} of "
        f"{row['kinds_tried']} kinds{won}"
    )
    return [("hacks", figure)]


def _honest(row: Mapping[str, Any]) -> _Rows:
    alarms = ", ".join(row["alarms"]) or "none"
    return [("false alarms", f"{alarms}, of {row['tried']} honest candidates")]


def _kills(row: Mapping[str, Any]) -> _Rows:
    figure = (
        f"{row['experiments']} experiments, {row['workers']} workers, {row['kills']} SIGKILLs in "
        f"{row['wall_s']:.0f} s: {row['lost']} attempts lost, {row['refused']} late answers "
        "refused, every experiment done exactly once"
    )
    return [("random kills", figure)]


def _load(row: Mapping[str, Any]) -> _Rows:
    many = f"{row['experiments']:,} experiments"
    return [
        (f"first pages at {many}, over HTTP", _range(row["first_page_ms"])),
        (f"filters at {many}, over HTTP", _range(row["filter_ms"])),
    ]


def _range(asked: Mapping[str, Mapping[str, float]]) -> str:
    def span(name: str) -> str:
        values = [times[name] for times in asked.values()]
        return f"{min(values):.0f} to {max(values):.0f} ms"

    return (
        f"{len(asked)} of them: {span('cpu')} of CPU, best {span('best')}, median {span('median')}"
    )


def _security(row: Mapping[str, Any]) -> _Rows:
    figure = (
        f"{row['security']} attacks and refusals at the gate, {row['injection']} of hostile text, "
        f"{row['guards']} guards taken away to see their attack succeed: all as they must"
    )
    return [("security of the page", figure)]


def _trial(row: Mapping[str, Any]) -> _Rows:
    figure = f"{row['cpu_s']} s of CPU, {row['wall_s']} s by the clock: {row['scope']}"
    return [("a trial beside the definition", figure)]


_SAID: Mapping[str, Callable[[Mapping[str, Any]], _Rows]] = {
    "hacks": _hacks,
    "honest": _honest,
    "kills": _kills,
    "load": _load,
    "security": _security,
    "trial": _trial,
}
