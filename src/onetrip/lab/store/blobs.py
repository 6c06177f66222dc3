"""Bytes by their content: a candidate's source, a log, a piece of evidence."""

import hashlib
import sqlite3

from onetrip.core.errors import ArgumentError, complaint
from onetrip.core.units import bytes_text

# A source or a log that is larger is a mistake, and would make every copy of the lab slow.
LARGEST_BLOB = 4 << 20


def put_blob(connection: sqlite3.Connection, data: bytes, mime: str = "text/plain") -> str:
    """Keep `data`, once; return its SHA-256. Part of whatever transaction is open.

    Raises
    ------
    ArgumentError
        More than 4 MiB.
    """
    if len(data) > LARGEST_BLOB:
        expected = f"at most {bytes_text(LARGEST_BLOB)}"
        raise ArgumentError(complaint("data", expected=expected, got=bytes_text(len(data))))
    sha256 = hashlib.sha256(data).hexdigest()
    connection.execute(
        "INSERT INTO blob VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (sha256, mime, len(data), data),
    )
    return sha256


def get_blob(connection: sqlite3.Connection, sha256: str) -> bytes | None:
    """The bytes with this SHA-256, or None."""
    row = connection.execute("SELECT data FROM blob WHERE sha256 = ?", (sha256,)).fetchone()
    return None if row is None else row["data"]
