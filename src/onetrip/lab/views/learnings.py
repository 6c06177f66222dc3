"""Learnings: what was concluded, where it holds, and what it rests on."""

import json
import sqlite3
from collections import defaultdict

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.knowledge.nodes import described
from onetrip.lab.views.read import ids, rows

STATUSES = ("active", "superseded", "retracted")


def list_learnings(
    connection: sqlite3.Connection, status: str | None = None, *, about: tuple | None = None
) -> list[dict]:
    """Learnings, the surest first: the columns, `scope` as a mapping, `about` and `successor`.

    `about` are the nodes that a learning rests on or speaks of ({`key`, `type`, `id`, `title`,
    `state`}), `successor` is the number of the learning that took its place, or None. Given
    `about`, only what speaks of this node.

    Raises
    ------
    ArgumentError
        `status` is none.
    """
    if status is not None and status not in STATUSES:
        expected = f"one of {', '.join(STATUSES)} or None"
        raise ArgumentError(complaint("status", expected=expected, got=repr(status)))
    of_type, of_id = about or (None, None)
    found = rows(
        connection,
        "SELECT learning.*, (SELECT source_id FROM edge WHERE source_type = 'learning'"
        " AND relation = 'supersedes' AND target_type = 'learning' AND target_id = learning.id)"
        " AS successor FROM learning WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR EXISTS ("
        " SELECT 1 FROM edge WHERE source_type = 'learning' AND source_id = learning.id"
        " AND target_type = ?2 AND target_id = ?3))"
        " ORDER BY status <> 'active', confidence DESC, id DESC",
        status,
        of_type,
        of_id,
    )
    targets: dict[int, list] = defaultdict(list)
    for row in connection.execute(
        "SELECT source_id, target_type, target_id FROM edge WHERE source_type = 'learning'"
        " AND relation = 'about' AND source_id IN (SELECT value FROM json_each(?))",
        (ids(row["id"] for row in found),),
    ):
        targets[row["source_id"]].append((row["target_type"], row["target_id"]))
    nodes = {
        (node["type"], node["id"]): node
        for node in described(connection, (node for group in targets.values() for node in group))
    }
    for row in found:
        row["scope"] = json.loads(row["scope"])
        row["about"] = [nodes[node] for node in targets[row["id"]] if node in nodes]
    return found
