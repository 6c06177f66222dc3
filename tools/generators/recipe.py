"""Tables of the guide to datasets: whole runs as measured, their stages, and all of OAS."""

import json
from collections.abc import Mapping
from typing import Any

from generators import results
from generators.markdown import table
from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text

_WHAT = {
    "recipe": "{rows:,} rows through the default recipe",
    "rerun": "the same again, nothing changed",
    "filter_changed": "with another filter: from there on",
    "scale, one core": "{units} units read, parsed and written, on one core",
    "scale 1": "{units} units read, parsed and written",
    "scale 2": "the same",
}
# What the metadata of the 15,550 unpaired units say.
_ALL_ROWS, _LARGEST_ROWS, _COMPRESSED_BYTES = 2_427_524_028, 4_500_000, 1.2e12
_NODE_CORES = 32


def recipe_table(machine: str) -> str:
    """The newest line of each bar: the best turn by the clock, CPU, rate, memory."""
    lines = _newest(machine)
    rows = []
    for bar, what in _WHAT.items():
        if bar not in lines:
            continue
        line = lines[bar]
        best = min(line["runs"], key=lambda run: run["wall_s"])
        rows.append(
            (
                what.format(rows=line["rows_in"], units=line["units"]),
                line["workers"],
                f"{best['wall_s']:.1f} s",
                f"{line['rows_in'] / best['wall_s']:,.0f}",
                f"{best['cpu_s']:.1f} s",
                bytes_text(best["peak_bytes"]),
                f"{line['load'][0]:.0f}",
            )
        )
    head = ["job", "workers", "wall", "rows/s", "CPU", "peak of all processes", "others waiting"]
    rates = ", ".join(sorted({f"{line['inflate_gbps']:.2f}" for line in lines.values()}))
    note = "With others waiting for the cores, look at CPU seconds."
    return f"{table(head, rows)}\n\nOne core inflated {rates} GB/s meanwhile. {note}"


def stages_table(machine: str) -> str:
    """CPU of each stage of the newest run, over the rows that came in."""
    line = _newest(machine)["recipe"]
    per_row = _stage_us(line)
    rows = [(name, f"{us:.1f}") for name, us in per_row.items()]
    whole = min(run["cpu_s"] for run in line["runs"]) / line["rows_in"] * 1e6
    rows.append(("start and hand out", f"{whole - sum(per_row.values()):.1f}"))
    rows.append(("all", f"{whole:.1f}"))
    return table(["stage", "CPU µs a row that came in"], rows)


def projection_table(machine: str) -> str:
    """The unpaired OAS, from the rates of the newest run without its start."""
    line = _newest(machine)["recipe"]
    per_row = _stage_us(line)
    us = sum(per_row.values())
    hours = _ALL_ROWS * us / 1e6 / 3600
    on_node = hours / _NODE_CORES
    largest_min = _LARGEST_ROWS * next(iter(per_row.values())) / 1e6 / 60
    read_mbps = _COMPRESSED_BYTES / (on_node * 3600) / 1e6
    rows = [
        ("CPU", f"{_ALL_ROWS / 1e9:.2f}e9 × {us:.0f} µs = {hours:.0f} core-hours"),
        (
            f"N Ray nodes of {_NODE_CORES} cores",
            f"{on_node:.1f} h / N, once the files are on a file system that keeps up",
        ),
        ("read", f"{_COMPRESSED_BYTES / 1e12} TB: {read_mbps:.0f} MB/s on one such node"),
        (
            "largest unit, alone",
            f"{_LARGEST_ROWS / 1e6} million rows: {largest_min:.1f} min of CPU, in several threads",
        ),
    ]
    return table(["", ""], rows)


def _stage_us(line: Mapping[str, Any]) -> dict[str, float]:
    best = min(line["runs"], key=lambda run: run["cpu_s"])
    return {name: cost["cpu_s"] / line["rows_in"] * 1e6 for name, cost in best["stages"].items()}


def _newest(machine: str) -> dict[str, Mapping[str, Any]]:
    path = results.FOLDER / "data" / f"{machine}.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    found = {}
    for line in lines:
        bar = line.get("bar")
        if bar == "scale":
            bar = "scale, one core" if line.get("cores") == 1 else f"scale {line['workers']}"
        found[bar] = line
    if "recipe" not in found:
        raise DataError(f"{path.name} has no line of recipe: python tools/data_recipe_bars.py")
    return {bar: line for bar, line in found.items() if bar in _WHAT}
