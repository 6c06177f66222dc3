"""What an agent may open as a resource: an experiment, its source, its log."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.desk import desk
from onetrip.lab.mcp.teaching import opened
from onetrip.lab.store.blobs import get_blob

_SOURCE = (
    "SELECT source_sha256 AS sha256 FROM experiment"
    " JOIN candidate ON candidate.id = candidate_id WHERE experiment.id = ?"
)
_LOG = (
    "SELECT log_sha256 AS sha256 FROM attempt"
    " WHERE experiment_id = ? AND log_sha256 IS NOT NULL ORDER BY n DESC"
)


def add_resources(server: MCPServer, database: Path) -> None:
    """Give `server` the resources of `database`."""

    @server.resource("lab://experiment/{number}", mime_type="application/json")
    def experiment(number: str) -> str:
        """Everything about one experiment, as JSON."""
        with _found(), opened(database) as connection:
            return json.dumps(desk.get_experiment(connection, _number(number)), indent=1)

    @server.resource("lab://experiment/{number}/source", mime_type="text/x-python")
    def source(number: str) -> str:
        """The candidate's source."""
        return _text(database, number, _SOURCE, "a source; it is a configuration")

    @server.resource("lab://experiment/{number}/log", mime_type="text/plain")
    def log(number: str) -> str:
        """What the last attempt printed."""
        return _text(database, number, _LOG, "a log")


def _text(database: Path, number: str, query: str, what: str) -> str:
    with _found(), opened(database) as connection:
        experiment = desk.find_experiment(connection, _number(number))
        row = connection.execute(query, (experiment,)).fetchone()
        data = get_blob(connection, row["sha256"]) if row and row["sha256"] else None
        if data is None:
            raise ResourceNotFoundError(f"Experiment {experiment} has not {what}.")
        return data.decode("utf-8", "replace")


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise ArgumentError(complaint("number", expected="an experiment's number", got=repr(text)))
    return int(text)


@contextmanager
def _found() -> Iterator[None]:
    try:
        yield
    except ToolError as error:
        raise ResourceNotFoundError(str(error)) from error
