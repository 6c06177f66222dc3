"""The table of the guide to streaming: dedup, tokenise and stream as measured."""

import json
from typing import Any

from generators import results
from generators.markdown import table
from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text

_WHAT = {
    "dedup": "`dedup`, a whole run on {workers} workers within {memory}",
    "tokenise": "`tokenise`, batches of {rows:,}",
    "stream": "`onetrip.data.stream`: batches of {batch_size} {form}, {order}",
}


def exchange_table(machine: str) -> str:
    """The newest line of each bar: rows, rates by the clock and by CPU seconds, peak memory."""
    path = results.FOLDER / "data" / f"{machine}.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    newest = {_kind(line): line for line in lines if _kind(line)}
    if not newest:
        raise DataError(f"{path.name} has none of {', '.join(_WHAT)}: tools/data_exchange_bars.py")
    rows = [
        (
            _WHAT[line["bar"]].format(**line),
            f"{line['rows']:,}",
            f"{line['rows_per_s']:,}",
            f"{line['rows_per_cpu_s']:,}",
            bytes_text(line["peak_bytes"]) if "peak_bytes" in line else "–",
            f"{line['load']:.0f}",
        )
        for line in sorted(newest.values(), key=lambda line: list(_WHAT).index(line["bar"]))
    ]
    head = ["what", "rows", "rows/s", "rows per CPU second", "peak memory", "processes waiting"]
    return table(head, rows)


def _kind(line: dict[str, Any]) -> tuple[str, ...]:
    """What a line measures; nothing where it is of another table, or of a form now told apart."""
    if line.get("bar") == "stream":
        return ("stream", line["form"], line["order"]) if "form" in line else ()
    return (line["bar"],) if line.get("bar") in _WHAT else ()
