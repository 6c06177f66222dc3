"""Questions in SQL to a database that cannot be changed by them."""

import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from onetrip.core.errors import ArgumentError, DataError, complaint

_MAX_CELL = 4_000
_MAX_CHARACTERS = 1_000_000
# Between two looks at the clock: some microseconds of the machine that runs the statement.
_STEPS = 1_000
# Columns that read as NULL: what a worker proves itself with, what inputs are drawn from, and
# where a problem's hidden cases stand.
_SECRET = frozenset({("worker", "token_sha256"), ("attempt", "seed"), ("problem", "spec")})
# A result cannot be larger than the largest blob, nor a statement than a page.
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 5 << 20,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_REFUSED_FUNCTIONS = frozenset(
    {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "randomblob", "zeroblob"}
)
# The full-text index looks at this one itself before it answers.
_HARMLESS_PRAGMA = "data_version"


@dataclass(frozen=True, slots=True)
class Table:
    """An answer: `truncated` when rows are missing, `cut_cells` how many values were shortened."""

    columns: list[str]
    rows: list[list]
    truncated: bool
    cut_cells: int = 0

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def query(database_path: Path, sql: str, max_rows: int = 200, seconds: float = 5.0) -> Table:
    """Answer one SELECT over the lab's tables and views, without a way to change anything.

    The connection is opened for reading only; an authorizer lets through nothing but reading and
    calling harmless functions; a clock ends what takes too long. Secrets read as NULL: workers'
    tokens, seeds of inputs, problems' specs, in which hidden cases stand. Bytes are shown as text
    where they are, long values are cut.

    Raises
    ------
    ArgumentError
        The statement is not allowed, not SQL, or took longer than `seconds`.
    DataError
        There is no database at this path, or it is not readable.
    """
    if not database_path.is_file():
        raise DataError(f"There is no database at {database_path}.")
    connection = _open(database_path)
    try:
        deadline = time.monotonic() + seconds
        connection.set_authorizer(_authorize)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        return _answer(connection, sql, max_rows)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise ArgumentError(_complaint(error, seconds)) from error
    finally:
        connection.close()


def _open(database_path: Path) -> sqlite3.Connection:
    address = f"{database_path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=5.0, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        # The full-text index sets itself up with statements that are not let through later.
        connection.execute("SELECT count(*) FROM words").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        raise DataError(f"The database {database_path} is not readable ({error}).") from error
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    return connection


def _authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action == sqlite3.SQLITE_READ:
        return sqlite3.SQLITE_IGNORE if (first, second) in _SECRET else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        refused = (second or "").lower() in _REFUSED_FUNCTIONS
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first == _HARMLESS_PRAGMA and second is None:
        return sqlite3.SQLITE_OK
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _answer(connection: sqlite3.Connection, sql: str, max_rows: int) -> Table:
    cursor = connection.execute(sql)
    if cursor.description is None:
        raise ArgumentError(complaint("sql", expected="one SELECT", got="nothing that answers"))
    columns = [column[0] for column in cursor.description]
    found: list[list] = []
    cut_cells = characters = 0
    for row in cursor:
        if len(found) == max_rows or characters > _MAX_CHARACTERS:
            return Table(columns, found, True, cut_cells)
        cells = []
        for value in row:
            shown, cut = _shown(value)
            cells.append(shown)
            cut_cells += cut
            characters += len(shown) if isinstance(shown, str) else 8
        found.append(cells)
    return Table(columns, found, False, cut_cells)


def _shown(value: object) -> tuple[object, bool]:
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            return f"({len(value)} bytes)", False
    if isinstance(value, str) and len(value) > _MAX_CELL:
        return f"{value[:_MAX_CELL]}… ({len(value)} characters)", True
    return value, False


def _complaint(error: Exception, seconds: float) -> str:
    if "interrupted" in str(error):
        got = f"one that takes longer than {seconds:g} s"
        return complaint("sql", expected="a quick SELECT", got=got, way_out="Narrow it.")
    if "not authorized" in str(error) or "prohibited" in str(error):
        way_out = "Nothing can be changed here; use the lab's own functions."
        expected = "a SELECT of tables and views"
        return complaint(
            "sql", expected=expected, got=f"what is refused ({error})", way_out=way_out
        )
    way_out = "Names of tables and columns: SELECT name, sql FROM sqlite_schema."
    return complaint("sql", expected="one SELECT", got=f"an error ({error})", way_out=way_out)
