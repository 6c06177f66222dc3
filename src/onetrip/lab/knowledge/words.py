"""Full-text search over everything that has words.

The database's own triggers keep the index (migration 0003), whoever writes: there is nothing to
call after a change.
"""

import sqlite3
from dataclasses import asdict, dataclass

from onetrip.lab.store.database import transaction

# Around what was found in a snippet. A text that holds these itself shows a wrong mark, no more.
MARK, UNMARK = "\x02", "\x03"


@dataclass(frozen=True, slots=True)
class Hit:
    """One find: the node, its title, and a passage with the words between `MARK` and `UNMARK`."""

    type: str
    id: int
    title: str
    snippet: str

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def search(connection: sqlite3.Connection, text: str, limit: int = 50) -> list[Hit]:
    """What holds all the words of `text`, the best match first.

    Any text is allowed: signs mean nothing, words are found in their inflected forms, and the last
    one also as a beginning.
    """
    query = _as_query(text)
    if not query:
        return []
    found = connection.execute(
        "SELECT type, id, title, snippet(words, -1, ?, ?, '…', 16) AS snippet FROM words"
        " WHERE words MATCH ? ORDER BY bm25(words, 0, 0, 4, 1) LIMIT ?",
        (MARK, UNMARK, query, limit),
    )
    return [Hit(row["type"], row["id"], row["title"], row["snippet"]) for row in found]


def rebuild(connection: sqlite3.Connection) -> int:
    """Make the index anew from the rows; return how many entries it has."""
    with transaction(connection):
        connection.execute("DELETE FROM words")
        cursor = connection.execute(
            "INSERT INTO words (rowid, type, id, title, body) SELECT * FROM wording"
        )
        return cursor.rowcount


def _as_query(text: str) -> str:
    """Each word as a quoted phrase, so that none of it is read as an operator."""
    # The index cuts words at signs: a piece without a letter or digit is no word at all.
    pieces = [piece for piece in text.replace("\0", " ").split() if any(map(str.isalnum, piece))]
    quoted = ['"{}"'.format(piece.replace('"', '""')) for piece in pieces]
    return " ".join(quoted) + "*" if quoted else ""
