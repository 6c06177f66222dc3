"""The table of the guide to streaming: dedup, tokenise and stream as measured."""

import json

from generators import results
from generators.markdown import table
from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text

_WHAT = {
    "dedup": "`dedup`, a whole run on {workers} workers within {memory}",
    "tokenise": "`tokenise`, batches of {rows:,}",
    "stream": "`onetrip.data.stream`, shuffled and padded, batches of {batch_size}",
}


def exchange_table(machine: str) -> str:
    """The newest line of each bar: rows, rates by the clock and by CPU seconds, peak memory."""
    path = results.FOLDER / "data" / f"{machine}.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    newest = {line["bar"]: line for line in lines if line.get("bar") in _WHAT}
    if not newest:
        raise DataError(f"{path.name} has none of {', '.join(_WHAT)}: tools/data_exchange_bars.py")
    rows = [
        (
            what.format(**newest[bar]),
            f"{newest[bar]['rows']:,}",
            f"{newest[bar]['rows_per_s']:,}",
            f"{newest[bar]['rows_per_cpu_s']:,}",
            bytes_text(newest[bar]["peak_bytes"]) if "peak_bytes" in newest[bar] else "–",
            f"{newest[bar]['load']:.0f}",
        )
        for bar, what in _WHAT.items()
        if bar in newest
    ]
    head = ["what", "rows", "rows/s", "rows per CPU second", "peak memory", "processes waiting"]
    return table(head, rows)
