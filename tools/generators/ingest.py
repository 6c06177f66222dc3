"""Tables of the guide to OAS: codes, ingest beside peers, what each loses."""

import json
from collections.abc import Mapping
from statistics import median
from typing import Any

from generators import results
from generators.markdown import table
from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text
from onetrip.data.codes import CODES

# Of older lines: where metadata is lost and no row, and where there is no row to lose.
_NO_LOSS = frozenset({"bad_json", "not_gzip"})
_PEER = "polars"
_VERDICTS = ("right", "refused", "silent")


def codes_table() -> str:
    """Every code of bad input: level, meaning, what is done."""
    rows = (
        (
            f"`{c.code}` {c.name}",
            c.level,
            c.meaning,
            c.action + (f". {c.way_out}" * bool(c.way_out)),
        )
        for c in CODES.values()
    )
    return table(["code", "level", "what", "what is done"], rows)


def ingest_table(machine: str) -> str:
    """The newest ingest of every contender: best wall and CPU seconds, memory, losses, resume."""
    losses = _losses(machine)
    lines = _newest(machine, "ingest")
    rows = []
    for name, line in sorted(lines.items(), key=lambda item: min(item[1]["cpu_s"])):
        lost = losses.get(name)
        silent = len(lost["silent"]) if lost else None
        count = sum(len(lost[verdict]) for verdict in _VERDICTS) if lost else 0
        wall, cpu = min(line["wall_s"]), min(line["cpu_s"])
        rows.append(
            (
                name,
                f"{line['rows']:,}",
                f"{wall:.1f}",
                f"{cpu:.1f}",
                _ratio("wall_s", line, lines[_PEER]) if _PEER in lines else "–",
                _ratio("cpu_s", line, lines[_PEER]) if _PEER in lines else "–",
                bytes_text(line["peak_bytes"]),
                "–" if silent is None else f"{silent} of {count}",
                line["resumes"] or "from the beginning",
            )
        )
    loads = [line["load"][0] for line in lines.values()]
    days = sorted({str(line["environment"]["time"])[:10] for line in lines.values()})
    head = ["engine", "rows", "wall s", "CPU s", "wall ÷ polars", "CPU ÷ polars"]
    head += ["memory", "silent", "again"]
    note = (
        f"Measured on {machine}, {', '.join(days)}, best of "
        f"{min(len(line['wall_s']) for line in lines.values())} or more turns, whole processes; "
        "ratios are medians over turns of one run. "
        f"Up to {max(loads):.0f} processes ran or waited for the two cores: look at the ratios."
    )
    return f"{table(head, rows)}\n\n{note}"


def _ratio(what: str, line: Mapping[str, Any], peer: Mapping[str, Any]) -> str:
    """Median ratio of the turns in which both ran; – where they did not run together."""
    if line["environment"]["time"] != peer["environment"]["time"]:
        return "–"
    return f"{median(a / b for a, b in zip(line[what], peer[what], strict=True)):.2f}"


def losses_table(machine: str) -> str:
    """What each engine makes of every defect without a word."""
    rows = [
        (name, len(line["right"]), len(line["refused"]), ", ".join(line["silent"]) or "none")
        for name, line in _losses(machine).items()
    ]
    return table(["engine", "every good row", "an error, no row", "silently wrong"], rows)


def _losses(machine: str) -> dict[str, dict[str, list[str]]]:
    return {
        name: {verdict: [d for d in line[verdict] if d not in _NO_LOSS] for verdict in _VERDICTS}
        for name, line in _newest(machine, "losses").items()
    }


def _newest(machine: str, bar: str) -> dict[str, Mapping[str, Any]]:
    """The last line of each contender."""
    path = results.FOLDER / "data" / f"{machine}.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    found = {line["contender"]: line for line in lines if line.get("bar") == bar}
    if not found:
        raise DataError(f"{path.name} has no line of {bar}: python tools/data_bars.py {bar}")
    return found
