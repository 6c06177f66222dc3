"""Rows of the store as dictionaries, their JSON columns read."""

import json
import sqlite3
from collections.abc import Iterable

# Columns that hold JSON in whatever table has one of this name.
_DOCUMENTS = frozenset(
    {
        "axes",
        "block",
        "blocks",
        "budget",
        "capabilities",
        "ceilings",
        "config",
        "document",
        "environment",
        "limits",
        "policy",
        "sample",
        "samples_ms",
        "spec",
        "terms",
        "workloads",
    }
)


def rows(connection: sqlite3.Connection, query: str, *values: object) -> list[dict]:
    """All rows of a query."""
    return [_plain(row) for row in connection.execute(query, values)]


def one(connection: sqlite3.Connection, query: str, *values: object) -> dict | None:
    """The first row of a query, or None."""
    row = connection.execute(query, values).fetchone()
    return None if row is None else _plain(row)


def ids(numbers: Iterable[int]) -> str:
    """Numbers as one value for ``IN (SELECT value FROM json_each(?))``: any count of them."""
    return json.dumps(sorted(set(numbers)))


def _plain(row: sqlite3.Row) -> dict:
    values = dict(row)
    for name in _DOCUMENTS & values.keys():
        if isinstance(values[name], str):
            values[name] = json.loads(values[name])
    return values
