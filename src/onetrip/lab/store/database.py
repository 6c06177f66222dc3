"""Open the lab's SQLite file: pragmas, migrations, transactions."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from onetrip.core import settings
from onetrip.core.errors import DataError, UnsupportedError

MIGRATIONS_DIR = Path(__file__).resolve().parent / "migrations"
# How long a statement waits for another process's write; a write here takes milliseconds.
_BUSY_TIMEOUT_S = 30.0
_FIRST_SQLITE_WITH_STRICT = (3, 37, 0)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database at `path`, creating or migrating it when needed.

    Raises
    ------
    DataError
        The file is not a database, is damaged, or was written by a newer onetrip.
    UnsupportedError
        Python's SQLite is older than 3.37.
    """
    if sqlite3.sqlite_version_info < _FIRST_SQLITE_WITH_STRICT:
        raise UnsupportedError(
            f"The lab needs SQLite 3.37 or later, this Python has {sqlite3.sqlite_version}. "
            "Use a Python that was built with a newer SQLite."
        )
    settings.make_folder(path.parent)
    with ExitStack() as on_failure:
        try:
            connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            on_failure.callback(connection.close)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            # A commit is on the disk before it counts: it survives a power cut, not only a kill.
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection)
            # Not before: a migration rebuilds tables that others refer to.
            connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"The lab's database {path} cannot be used ({error}). "
                "Move it away, or name another with ONETRIP_DATABASE."
            ) from error
        on_failure.pop_all()
        return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. Takes the write lock at once, so that what is read inside stays true."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def migrate(connection: sqlite3.Connection, directory: Path = MIGRATIONS_DIR) -> int:
    """Apply the migrations that the database has not seen, in order; return its version."""
    known = [(int(path.name[:4]), path) for path in sorted(directory.glob("*.sql"))]
    newest = known[-1][0]
    # Read first: opening an up-to-date database takes no write lock.
    if _has_versions(connection) and _version(connection) == newest:
        return newest
    with transaction(connection):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            "version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at REAL NOT NULL) STRICT"
        )
        version = _version(connection)
        if version > newest:
            raise DataError(
                f"The lab's database has schema {version}, this onetrip knows up to {newest}. "
                "Upgrade onetrip, or name another database with ONETRIP_DATABASE."
            )
        for number, path in known:
            if number <= version:
                continue
            for statement in statements(path.read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_migration VALUES (?, ?, ?)", (number, path.stem, time.time())
            )
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise sqlite3.IntegrityError(f"a migration left a broken reference: {tuple(broken)}")
    return newest


def statements(script: str) -> list[str]:
    """Split a script into statements; `executescript` would commit the transaction around it.

    >>> statements("CREATE TABLE a (x); CREATE TABLE b (y); -- the last; of them")
    ['CREATE TABLE a (x);', 'CREATE TABLE b (y);']
    """
    found = []
    pending = ""
    for piece in re.split(r"(?<=;)", re.sub(r"--[^\n]*", "", script)):
        pending += piece
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    return found


def _has_versions(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE name = 'schema_migration'"
    return connection.execute(query).fetchone() is not None


def _version(connection: sqlite3.Connection) -> int:
    query = "SELECT coalesce(max(version), 0) FROM schema_migration"
    return connection.execute(query).fetchone()[0]
