"""Find what somebody names at the desk, or say which names there are."""

import sqlite3

from onetrip.core.errors import ArgumentError, complaint

_NODES = ("experiment", "hypothesis", "learning", "candidate", "problem")
_SHOWN = 8
# SQLite's numbers end at 63 bits; a larger one names nothing.
_MOST_DIGITS = 18


def find_problem(connection: sqlite3.Connection, problem: int | str) -> int:
    """A problem's number, from its number or its name; of one name the newest."""
    row = connection.execute(
        "SELECT id FROM problem WHERE CAST(id AS TEXT) = ?1 OR name = ?1 ORDER BY id DESC",
        (str(problem),),
    ).fetchone()
    if row is None:
        names = [
            found["name"]
            for found in connection.execute(
                "SELECT DISTINCT name FROM problem ORDER BY name LIMIT ?", (_SHOWN + 1,)
            )
        ]
        expected = f"the number or name of a problem ({_listed(names)})"
        way_out = "`onetrip lab problem add` adds one."
        got = repr(str(problem)[:80])
        raise ArgumentError(complaint("problem", expected=expected, got=got, way_out=way_out))
    return row["id"]


def find_experiment(
    connection: sqlite3.Connection, experiment: int, argument: str = "experiment"
) -> int:
    """The same number, when there is such an experiment."""
    _find(
        connection,
        argument,
        "experiment",
        experiment,
        "list_experiments, or `onetrip lab list`, shows them.",
    )
    return experiment


def find_hypothesis(connection: sqlite3.Connection, hypothesis: int, problem_id: int) -> int:
    """The same number, when such a hypothesis is declared for this problem and not withdrawn."""
    way_out = "propose_hypothesis declares one."
    _find(connection, "hypothesis", "hypothesis", hypothesis, way_out)
    row = connection.execute(
        "SELECT problem_id, status FROM hypothesis WHERE id = ?", (hypothesis,)
    ).fetchone()
    if row["problem_id"] != problem_id:
        got = f"{hypothesis}, which is about problem {row['problem_id']}"
        expected = f"declared for problem {problem_id}"
        raise ArgumentError(complaint("hypothesis", expected=expected, got=got, way_out=way_out))
    if row["status"] in ("withdrawn", "superseded"):
        got = f"{hypothesis}, which is {row['status']}"
        raise ArgumentError(
            complaint("hypothesis", expected="still to be decided", got=got, way_out=way_out)
        )
    return hypothesis


def candidate_of(
    connection: sqlite3.Connection, argument: str, experiment: int, problem_id: int
) -> int:
    """The candidate of an experiment that is about this problem."""
    find_experiment(connection, experiment, argument)
    row = connection.execute(
        "SELECT candidate.id, problem_id FROM experiment"
        " JOIN candidate ON candidate.id = candidate_id WHERE experiment.id = ?",
        (experiment,),
    ).fetchone()
    if row["problem_id"] != problem_id:
        expected = f"an experiment on problem {problem_id}"
        got = f"{experiment}, which is on problem {row['problem_id']}"
        raise ArgumentError(complaint(argument, expected=expected, got=got))
    return row["id"]


def node(connection: sqlite3.Connection, argument: str, name: str) -> tuple[str, int]:
    """A node of the knowledge graph from its name: "experiment:12" -> ("experiment", 12)."""
    kind, _, number = name.partition(":")
    if kind not in _NODES or not number.isdecimal() or len(number) > _MOST_DIGITS:
        expected = f"KIND:NUMBER with KIND one of {', '.join(_NODES)}"
        way_out = "For example experiment:12."
        raise ArgumentError(
            complaint(argument, expected=expected, got=repr(name[:80]), way_out=way_out)
        )
    _find(
        connection,
        argument,
        kind,
        int(number),
        "query_sql, or `onetrip lab query`, lists what there is.",
    )
    return kind, int(number)


def _find(
    connection: sqlite3.Connection, argument: str, table: str, number: int, way_out: str
) -> None:
    query = f"SELECT 1 FROM {table} WHERE id = ?"
    fits = abs(number) < 10**_MOST_DIGITS
    if fits and connection.execute(query, (number,)).fetchone() is not None:
        return
    newest = connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0]
    there = "there is none yet" if newest is None else f"the newest is {newest}"
    got = number if fits else "a number of many digits"
    expected = f"the number of {_a(table)} ({there})"
    raise ArgumentError(complaint(argument, expected=expected, got=got, way_out=way_out))


def _a(table: str) -> str:
    return f"an {table}" if table == "experiment" else f"a {table}"


def _listed(names: list[str]) -> str:
    if not names:
        return "there is none yet"
    more = ", …" if len(names) > _SHOWN else ""
    return f"known: {', '.join(names[:_SHOWN])}{more}"
