"""What every tool does around its work: open the database, and let an error teach its caller."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mcp.server.mcpserver.exceptions import ToolError

from onetrip.core.errors import OnetripError
from onetrip.lab.store.database import connect


@contextmanager
def teaching() -> Iterator[None]:
    """Give the caller an error's own words; the protocol hides those of any other exception."""
    try:
        yield
    except OnetripError as error:
        raise ToolError(str(error)) from error
    except sqlite3.OperationalError as error:
        raise ToolError(f"The lab's database is busy ({error}). Call again.") from error


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one call: tools run in threads, and a connection belongs to one."""
    with teaching(), closing(connect(database)) as connection:
        yield connection
