"""The nodes of the knowledge graph: rows of five tables, named by type and number."""

import json
import sqlite3
from collections.abc import Iterable

from onetrip.core.errors import ArgumentError, complaint

Node = tuple[str, int]

# For each type of node: what it is called, and how it stands.
_LOOKS = {
    "experiment": "SELECT experiment.id, coalesce(nullif(candidate.title, ''), experiment.why)"
    " AS title, state FROM experiment JOIN candidate ON candidate.id = candidate_id"
    " WHERE experiment.id IN (SELECT value FROM json_each(?))",
    "hypothesis": "SELECT id, title, status AS state FROM hypothesis"
    " WHERE id IN (SELECT value FROM json_each(?))",
    "learning": "SELECT id, text AS title, status AS state FROM learning"
    " WHERE id IN (SELECT value FROM json_each(?))",
    "candidate": "SELECT id, coalesce(nullif(title, ''), impl || ' ' || config) AS title,"
    " iif(EXISTS (SELECT 1 FROM champion WHERE candidate_id = candidate.id AND until IS NULL),"
    " 'champion', '') AS state FROM candidate WHERE id IN (SELECT value FROM json_each(?))",
    "problem": "SELECT id, name AS title, iif(refused = '', '', 'refused') AS state FROM problem"
    " WHERE id IN (SELECT value FROM json_each(?))",
}
TYPES = tuple(_LOOKS)
_LONGEST_TITLE = 120


def check_node(connection: sqlite3.Connection, argument: str, node: Node) -> None:
    """Raise ArgumentError unless `node` names a row that exists."""
    type, number = node
    if type not in TYPES:
        raise ArgumentError(
            complaint(argument, expected=f"(type, number), type one of {TYPES}", got=node)
        )
    if connection.execute(f"SELECT 1 FROM {type} WHERE id = ?", (number,)).fetchone() is None:
        raise ArgumentError(complaint(argument, expected=f"an existing {type}", got=number))


def key(node: Node) -> str:
    """A node's name in documents.

    >>> key(("experiment", 12))
    'experiment:12'
    """
    return f"{node[0]}:{node[1]}"


def described(connection: sqlite3.Connection, nodes: Iterable[Node]) -> list[dict]:
    """{`key`, `type`, `id`, `title`, `state`} of each node that exists, in the order given."""
    wanted = list(dict.fromkeys(nodes))
    found = {}
    for type, query in _LOOKS.items():
        numbers = json.dumps([number for kind, number in wanted if kind == type])
        for row in connection.execute(query, (numbers,)):
            title = row["title"].strip().partition("\n")[0]
            cut = title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "…"
            found[type, row["id"]] = {
                "key": key((type, row["id"])),
                "type": type,
                "id": row["id"],
                "title": cut,
                "state": row["state"],
            }
    return [found[node] for node in wanted if node in found]
