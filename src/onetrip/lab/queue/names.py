"""How an experiment is called in a sentence, and how it is looked up by its number."""

import json
import sqlite3

from onetrip.core.errors import ArgumentError, complaint


def find_experiment(connection: sqlite3.Connection, experiment_id: int) -> sqlite3.Row:
    """The experiment's row.

    Raises
    ------
    ArgumentError
        There is no such experiment.
    """
    row = connection.execute("SELECT * FROM experiment WHERE id = ?", (experiment_id,)).fetchone()
    if row is None:
        raise ArgumentError(
            complaint("experiment_id", expected="the number of an experiment", got=experiment_id)
        )
    return row


def experiment_name(connection: sqlite3.Connection, experiment_id: int) -> str:
    """Number, title or configuration, and problem: "#12 tile of 64 (vectoradd)"."""
    row = connection.execute(
        "SELECT title, impl, config, problem.name FROM experiment"
        " JOIN candidate ON candidate.id = candidate_id"
        " JOIN problem ON problem.id = candidate.problem_id WHERE experiment.id = ?",
        (experiment_id,),
    ).fetchone()
    if row is None:
        return f"#{experiment_id}"
    what = row["title"] or config_text(row["impl"], row["config"])
    return " ".join(word for word in (f"#{experiment_id}", what, f"({row['name']})") if word)


def config_text(impl: str, config: str) -> str:
    """Write a configuration as it stands in the store.

    >>> config_text("torch", '{"rows":256}')
    'torch rows=256'
    """
    values = json.loads(config)
    return " ".join([impl, *(f"{name}={value}" for name, value in values.items())]).strip()
