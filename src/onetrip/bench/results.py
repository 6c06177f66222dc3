"""Results on disk: one JSON document a line, appended and never changed."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from onetrip.core.device import file_key
from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text, time_text

FORMAT = 1
FOLDER = Path("results")


def results_path(operator: str, device: str, folder: Path = FOLDER) -> Path:
    """Where results of an operator on a device are kept; `device` by its short name.

    >>> results_path("linear_cross_entropy", "h100").as_posix()
    'results/linear_cross_entropy/h100.jsonl'
    """
    return folder / operator / f"{file_key(device)}.jsonl"


def append_results(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Append rows, each a line, in one write: two writers mix lines, never parts of lines."""
    text = "".join(
        json.dumps({"format": FORMAT, **row}, separators=(",", ":"), allow_nan=False) + "\n"
        for row in rows
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def read_results(path: Path) -> list[dict]:
    """Rows of one file, oldest first; none when there is no file.

    Raises
    ------
    DataError
        A line is no JSON document of this format, with its number.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            known = row["format"] == FORMAT and "environment" in row
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}: not a result ({error}).") from error
        if not known:
            raise DataError(
                f"{path}, line {number}: format {row['format']} or no environment block; "
                f"expected format {FORMAT}. Lines are appended by `onetrip bench --save` only."
            )
        rows.append(row)
    return rows


def latest(rows: Iterable[Mapping]) -> list[Mapping]:
    """The newest row of each contender on each problem, in the order of first appearance."""
    newest: dict[tuple, Mapping] = {}
    for row in rows:
        newest[*_problem(row), row["contender"]] = row
    return list(newest.values())


def last_runs(rows: Iterable[Mapping]) -> list[Mapping]:
    """Rows of the last run of each problem: those of another shared neither clock nor temperature.

    Rows of one run have the time of their environment in common.
    """
    rows = list(rows)
    last = {_problem(row): row["environment"]["time"] for row in rows}
    return [row for row in latest(rows) if row["environment"]["time"] == last[_problem(row)]]


def _problem(row: Mapping) -> tuple:
    return tuple(row[name] for name in ("workload", "dtype", "passes"))


def markdown_table(
    rows: Sequence[Mapping], columns: Sequence[str] = ("contender", "time", "floor", "memory")
) -> str:
    """Format rows as a Markdown table.

    Parameters
    ----------
    rows : as `read_results` returns them.
    columns : of "workload", "passes", "contender", "time", "floor", "memory", "error".

    Examples
    --------
    >>> row = {"contender": "eager", "outcome": "done", "latency_ms": {"median": 12.0},
    ...        "floor_ms": 10.0, "peak_bytes": 1 << 30}
    >>> print(markdown_table([row]))
    | contender | time | × floor | memory |
    |---|---:|---:|---:|
    | eager | 12.0 ms | 1.20 | 1.00 GiB |
    """
    heads = {"floor": "× floor", "error": "error / budget"}
    right = {"time", "floor", "memory", "error"}
    lines = [
        "| " + " | ".join(heads.get(column, column) for column in columns) + " |",
        "|" + "|".join("---:" if column in right else "---" for column in columns) + "|",
    ]
    lines += ["| " + " | ".join(_cell(row, column) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(row: Mapping, column: str) -> str:
    if column in ("workload", "passes", "contender"):
        return str(row[column])
    if row["outcome"] not in ("done", "incorrect"):
        return row["outcome"] if column == "time" else "–"
    mark = " (incorrect)" if row["outcome"] == "incorrect" else ""
    median_ms = row["latency_ms"]["median"]
    if column == "time":
        return time_text(median_ms) + mark
    if column == "floor":
        return f"{median_ms / row['floor_ms']:.2f}" if row["floor_ms"] else "–"
    if column == "memory":
        return "–" if row["peak_bytes"] is None else bytes_text(row["peak_bytes"])
    return "–" if row["worst_share"] is None else f"{row['worst_share']:.2g}"
