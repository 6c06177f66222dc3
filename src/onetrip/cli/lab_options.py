"""What all commands of the lab share: the database, the name of who asks, how JSON is printed."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated

import typer

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.settings import database as default_database

Database = Annotated[
    Path | None,
    typer.Option("--db", help="The lab's SQLite file. Default: the setting `database`."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
By = Annotated[str, typer.Option("--by", help='Who asks: "person", "agent:NAME".')]
ProblemName = Annotated[str, typer.Option("--problem", "-p", help="Number or name of a problem.")]
Experiment = Annotated[int, typer.Argument(metavar="EXPERIMENT", help="Number of an experiment.")]


def lab_file(database: Path | None) -> Path:
    """The database that was named, else the one of the settings."""
    return database or default_database()


@contextmanager
def opened(database: Path | None) -> Iterator[sqlite3.Connection]:
    """A connection to the lab's database, closed at the end."""
    from onetrip.lab.store.database import connect

    with closing(connect(lab_file(database))) as connection:
        yield connection


def print_json(value: object) -> None:
    """Print one JSON document: a dataclass, a mapping, or a list of these."""
    typer.echo(json.dumps(_plain(value), indent=1, allow_nan=False, default=str))


def json_object(name: str, text: str) -> dict[str, object]:
    """Read the JSON object that a person typed for the option `name`.

    >>> json_object("config", '{"BLOCK_N": 64}')
    {'BLOCK_N': 64}
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ArgumentError(complaint(name, expected="JSON", got=f"{text!r} ({error})")) from error
    if not isinstance(found, dict):
        raise ArgumentError(complaint(name, expected="a JSON object", got=repr(text)))
    return found


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(inner) for inner in value]
    # JSON has no infinity; a number that is none is null.
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
