"""Which rows of each table belong to a campaign."""

import base64
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint

LEFT_OUT: Mapping[str, str] = {
    "device_sample": "looks at the machine, not at the campaign",
    "words": "is the index of a search, and follows from the rest",
    "schema_migration": "is about the file",
    "worker.token_sha256": "is a secret",
    "attempt.seed": "is a secret while the attempt runs",
}

# The row sets that others refer to, each made from those before it; ?1 is the campaign or NULL.
_SETS: Mapping[str, str] = {
    "experiments": "SELECT id FROM experiment WHERE ?1 IS NULL OR campaign_id = ?1",
    "attempts": "SELECT id FROM attempt WHERE experiment_id IN experiments",
    "candidates": """
        WITH RECURSIVE line (id) AS (
            SELECT candidate_id FROM experiment WHERE id IN experiments
            UNION SELECT baseline_id FROM experiment
                WHERE id IN experiments AND baseline_id IS NOT NULL
            UNION SELECT id FROM candidate WHERE ?1 IS NULL
            UNION SELECT parent_id FROM candidate JOIN line USING (id) WHERE parent_id IS NOT NULL
        ) SELECT id FROM line""",
    "hypotheses": """
        WITH RECURSIVE line (id) AS (
            SELECT hypothesis_id FROM experiment
                WHERE id IN experiments AND hypothesis_id IS NOT NULL
            UNION SELECT id FROM hypothesis WHERE ?1 IS NULL
            UNION SELECT parent_id FROM hypothesis JOIN line USING (id)
                WHERE parent_id IS NOT NULL
        ) SELECT id FROM line""",
    "problems": """
        SELECT problem_id FROM campaign WHERE ?1 IS NULL OR id = ?1
        UNION SELECT problem_id FROM candidate WHERE id IN candidates
        UNION SELECT problem_id FROM hypothesis WHERE id IN hypotheses
        UNION SELECT id FROM problem WHERE ?1 IS NULL""",
    "learnings": """
        SELECT id FROM learning WHERE ?1 IS NULL OR id IN (
            SELECT source_id FROM edge WHERE source_type = 'learning'
            AND (target_type = 'experiment' AND target_id IN experiments
                OR target_type = 'candidate' AND target_id IN candidates
                OR target_type = 'hypothesis' AND target_id IN hypotheses))""",
    "studies": """
        SELECT study_id FROM attempt WHERE id IN attempts AND study_id IS NOT NULL
        UNION SELECT study_id FROM campaign
            WHERE (?1 IS NULL OR id = ?1) AND study_id IS NOT NULL
        UNION SELECT id FROM study WHERE ?1 IS NULL""",
}
_NODES = (
    "({0}_type = 'experiment' AND {0}_id IN experiments"
    " OR {0}_type = 'candidate' AND {0}_id IN candidates"
    " OR {0}_type = 'hypothesis' AND {0}_id IN hypotheses"
    " OR {0}_type = 'learning' AND {0}_id IN learnings"
    " OR {0}_type = 'problem' AND {0}_id IN problems)"
)
# Table -> which of its rows.
TABLES: Mapping[str, str] = {
    "campaign": "?1 IS NULL OR id = ?1",
    "problem": "id IN problems",
    "tolerance": "problem_id IN problems",
    "study": "id IN studies",
    "device": "id IN (SELECT device_id FROM study WHERE id IN studies)",
    "environment": "sha256 IN (SELECT environment_sha256 FROM study WHERE id IN studies)",
    "ceiling": "(device_id, environment_sha256) IN"
    " (SELECT device_id, environment_sha256 FROM study WHERE id IN studies)",
    "source": "sha256 IN (SELECT harness_sha256 FROM study WHERE id IN studies"
    " UNION SELECT subject_sha256 FROM study WHERE id IN studies)",
    "candidate": "id IN candidates",
    "hypothesis": "id IN hypotheses",
    "experiment": "id IN experiments",
    "worker": "?1 IS NULL OR id IN (SELECT worker_id FROM attempt WHERE id IN attempts)",
    "attempt": "id IN attempts",
    "check_result": "attempt_id IN attempts",
    "measurement": "attempt_id IN attempts",
    "comparison": "attempt_id IN attempts",
    "metric": "attempt_id IN attempts",
    "flag": "attempt_id IN attempts",
    "champion": "experiment_id IN experiments",
    "learning": "id IN learnings",
    "edge": f"{_NODES.format('source')} AND {_NODES.format('target')}",
    "ledger": "?1 IS NULL OR campaign_id = ?1 OR experiment_id IN experiments",
    "priority_change": "experiment_id IN experiments",
    "event": "?1 IS NULL OR subject_type = 'campaign' AND subject_id = ?1"
    f" OR subject_type <> 'problem' AND {_NODES.format('subject')}",
    "blob": "?1 IS NULL OR sha256 IN (SELECT source_sha256 FROM candidate WHERE id IN candidates"
    " UNION SELECT log_sha256 FROM attempt WHERE id IN attempts)",
}


@dataclass(frozen=True, slots=True)
class RowsOf:
    """The rows of one table that were chosen; `kinds` are SQLite's types of its columns."""

    connection: sqlite3.Connection
    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    documents: frozenset[str]
    query: str
    values: Mapping[str, object]

    def rows(self) -> Iterator[tuple]:
        """Each row as plain values: secrets are None, bytes are text."""
        for row in self.connection.execute(self.query, self.values):
            yield tuple(_text(value) if isinstance(value, bytes) else value for value in row)


def select(connection: sqlite3.Connection, campaign_id: int | None) -> list[RowsOf]:
    """Every table with its rows of a campaign, or all rows; to be read in one transaction.

    Raises
    ------
    ArgumentError
        There is no such campaign.
    """
    if campaign_id is not None:
        query = "SELECT 1 FROM campaign WHERE id = ?"
        if connection.execute(query, (campaign_id,)).fetchone() is None:
            expected = "the number of a campaign"
            raise ArgumentError(complaint("campaign_id", expected=expected, got=campaign_id))
    sets: dict[str, str] = {}
    for name, query in _SETS.items():
        found = connection.execute(_filled(query, sets), _values(campaign_id, sets, query))
        sets[name] = json.dumps([row[0] for row in found])
    return [_rows_of(connection, name, campaign_id, sets) for name in TABLES]


def _rows_of(
    connection: sqlite3.Connection, name: str, campaign_id: int | None, sets: Mapping[str, str]
) -> RowsOf:
    described = connection.execute(f"SELECT name, type FROM pragma_table_info('{name}')").fetchall()
    columns = tuple(row["name"] for row in described)
    text = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]
    shown = ", ".join(_column(name, column) for column in columns)
    condition = TABLES[name]
    return RowsOf(
        connection=connection,
        name=name,
        columns=columns,
        kinds=tuple(row["type"] for row in described),
        documents=frozenset(column for column in columns if f"json_valid({column})" in text),
        query=f"SELECT {shown} FROM {name} WHERE {_filled(condition, sets)} ORDER BY rowid",
        values=_values(campaign_id, sets, condition),
    )


def _column(table: str, column: str) -> str:
    if (table, column) == ("worker", "token_sha256"):
        return "NULL"
    if (table, column) == ("attempt", "seed"):
        return "iif(ended_at IS NULL, NULL, seed)"
    return column


def _filled(query: str, sets: Mapping[str, str]) -> str:
    """The query with the names of row sets replaced by what reads them from a value."""
    query = query.replace("?1", ":campaign")
    for name in sets:
        query = query.replace(f"IN {name}", f"IN (SELECT value FROM json_each(:{name}))")
    return query


def _values(campaign_id: int | None, sets: Mapping[str, str], query: str) -> dict[str, object]:
    used = {name: numbers for name, numbers in sets.items() if f"IN {name}" in query}
    return {"campaign": campaign_id, **used}


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode("ascii")
