"""Learnings: what somebody concluded, for which scope, how surely, and from what."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.knowledge.graph import add_edge
from onetrip.lab.knowledge.nodes import Node, check_node
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.store.study import canonical

LONGEST_TEXT = 20_000
# Where a learning may hold; one without a word on a matter holds whatever it is.
SCOPE = ("problem", "operator", "device", "arch", "dtype", "impl")


def add(
    connection: sqlite3.Connection,
    *,
    text: str,
    scope: Mapping[str, object],
    confidence: float,
    by: str,
    about: Sequence[Node] = (),
) -> int:
    """Write down what was learned; return its number.

    Parameters
    ----------
    text : Markdown.
    scope : where it holds: any of "problem" (name), "operator", "device", "arch", "dtype",
        "impl". Empty: everywhere.
    confidence : between 0 and 1.
    by : who learned it.
    about : nodes of the graph that it rests on or speaks of, such as ("experiment", 12).

    Raises
    ------
    ArgumentError
        A value that is not allowed, or a node that does not exist.
    """
    _check(text, scope, confidence, by)
    with transaction(connection):
        return _insert(connection, text, scope, confidence, by, about)


def supersede(
    connection: sqlite3.Connection,
    learning_id: int,
    *,
    text: str,
    confidence: float,
    by: str,
    scope: Mapping[str, object] | None = None,
    about: Sequence[Node] = (),
) -> int:
    """Put a better learning in the place of one that is active; return the new one's number.

    The scope stays as it was unless another is given.
    """
    with transaction(connection):
        old = _active(connection, learning_id)
        holds: Mapping = json.loads(old["scope"]) if scope is None else scope
        _check(text, holds, confidence, by)
        new = _insert(connection, text, holds, confidence, by, about)
        add_edge(connection, ("learning", new), "supersedes", ("learning", learning_id), by)
        _end(connection, learning_id, "superseded", f"{by} puts learning {new} in its place")
    return new


def retract(connection: sqlite3.Connection, learning_id: int, *, by: str, why: str) -> None:
    """Take an active learning back: it was wrong."""
    if not by.strip() or not why.strip():
        raise ArgumentError(complaint("by, why", expected="who and why", got=repr((by, why))))
    with transaction(connection):
        _active(connection, learning_id)
        _end(connection, learning_id, "retracted", f"{by} retracts it: {why}")


def _insert(
    connection: sqlite3.Connection,
    text: str,
    scope: Mapping[str, object],
    confidence: float,
    by: str,
    about: Sequence[Node],
) -> int:
    number = connection.execute(
        "INSERT INTO learning (text, scope, confidence, created_by, created_at)"
        " VALUES (?, ?, ?, ?, ?) RETURNING id",
        (text.strip(), canonical(dict(scope)), float(confidence), by, time.time()),
    ).fetchone()["id"]
    first_line = text.strip().partition("\n")[0]
    append_event(connection, "learning.added", "learning", number, f"{by} learned: {first_line}")
    for type, id in about:
        check_node(connection, "about", (type, id))
        add_edge(connection, ("learning", number), "about", (type, id), by)
    return number


def _check(text: str, scope: Mapping[str, object], confidence: float, by: str) -> None:
    if not text.strip() or len(text) > LONGEST_TEXT:
        expected = f"1 to {LONGEST_TEXT} characters"
        raise ArgumentError(complaint("text", expected=expected, got=f"{len(text)} characters"))
    unknown = sorted(set(scope) - set(SCOPE))
    if unknown:
        expected = f"made of {', '.join(SCOPE)}"
        raise ArgumentError(complaint("scope", expected=expected, got=unknown))
    if not 0 <= confidence <= 1:
        raise ArgumentError(complaint("confidence", expected="between 0 and 1", got=confidence))
    if not by.strip():
        raise ArgumentError(complaint("by", expected="who learned it", got="nothing"))


def _active(connection: sqlite3.Connection, learning_id: int) -> sqlite3.Row:
    found = connection.execute("SELECT * FROM learning WHERE id = ?", (learning_id,)).fetchone()
    status = "no learning" if found is None else found["status"]
    if found is None or status != "active":
        got = f"{learning_id}, which is {status}"
        raise ArgumentError(complaint("learning_id", expected="an active learning", got=got))
    return found


def _end(connection: sqlite3.Connection, learning_id: int, status: str, text: str) -> None:
    connection.execute("UPDATE learning SET status = ? WHERE id = ?", (status, learning_id))
    append_event(connection, f"learning.{status}", "learning", learning_id, text)
