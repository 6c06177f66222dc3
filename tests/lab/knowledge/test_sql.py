"""Questions in SQL: answered, bounded, and without a way to change or to learn a secret."""

import sqlite3
import time

import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.lab.knowledge import sql
from onetrip.lab.knowledge.sql import query


@pytest.fixture
def asked(bench, database):
    """A database with a candidate, an answered experiment and a worker with a token."""
    bench.candidate("persistent grid", source="print('hi')")
    bench.answer(bench.queue(), seed="123456789")
    bench.insert(
        "worker", name="far", kind="http", token_sha256="deadbeef", capabilities="{}",
        host="h", seen_at=0.0,
    )  # fmt: skip
    return database


def test_select_over_tables_and_views(asked):
    found = query(asked, "SELECT outcome, count(*) AS n FROM answer GROUP BY outcome")
    assert (found.columns, found.rows, found.truncated) == (["outcome", "n"], [["done", 1]], False)


def test_common_table_expressions_windows_and_full_text(asked):
    counted = query(
        asked,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3)"
        " SELECT i, sum(i) OVER (ORDER BY i) FROM n",
    )
    assert counted.rows == [[1, 1], [2, 3], [3, 6]]
    found = query(asked, "SELECT type, id FROM words WHERE words MATCH 'persistent'")
    assert found.rows == [["candidate", 1]]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM experiment",
        "UPDATE attempt SET outcome = 'done'",
        "INSERT INTO setting VALUES (1)",
        "UPDATE tolerance SET policy = '{}'",
        "REPLACE INTO blob VALUES ('a', 'b', 1, x'00')",
        "DROP TABLE experiment",
        "CREATE TABLE mine (x)",
        "CREATE TEMP TABLE mine (x)",
        "CREATE TEMP VIEW experiment AS SELECT 1",
        "ALTER TABLE experiment ADD COLUMN x",
        "ATTACH DATABASE '/tmp/other.sqlite' AS other",
        "ATTACH ':memory:' AS m",
        "DETACH main",
        "VACUUM INTO '/tmp/copy.sqlite'",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA data_version = 1",
        "PRAGMA table_info(worker)",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT writefile('/tmp/x', 'y')",
        "SELECT readfile('/etc/passwd')",
        "SELECT randomblob(100000000)",
        "SELECT length(zeroblob(1000000000))",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "SAVEPOINT a",
        "REINDEX",
        "ANALYZE",
        "SELECT 1; DELETE FROM experiment",
        "EXPLAIN DELETE FROM experiment",
        "INSERT INTO words (words) VALUES ('rebuild')",
        "WITH x AS (SELECT 1) DELETE FROM experiment",
        "",
        "SELEC 1",
        "SELECT * FROM nothing",
        "SELECT 1 FROM (SELECT 1" + ")" * 5,
    ],
)
def test_what_is_no_question_is_refused(asked, statement):
    before = asked.read_bytes()
    with pytest.raises(ArgumentError, match="`sql` must be"):
        query(asked, statement)
    assert asked.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT token_sha256 FROM worker",
        "SELECT max(token_sha256) FROM worker",
        "SELECT hidden FROM (SELECT token_sha256 AS hidden FROM worker)",
        "SELECT name FROM worker WHERE token_sha256 LIKE 'd%'",
        "SELECT group_concat(w.token_sha256) FROM worker w JOIN worker v USING (token_sha256)",
        "SELECT seed FROM attempt",
        "SELECT seed FROM answer",
        "SELECT json_extract(spec, '$.location') FROM problem",
    ],
)
def test_secrets_read_as_nothing(asked, statement):
    assert all(value is None for row in query(asked, statement).rows for value in row)


def test_star_shows_no_secret_either(asked):
    for table in ("worker", "attempt", "answer"):
        shown = str(query(asked, f"SELECT * FROM {table}").rows)
        assert "deadbeef" not in shown
        assert "123456789" not in shown


def test_guard_that_lets_secrets_through_is_seen(asked, monkeypatch):
    """The mutation that the tests above must catch."""
    monkeypatch.setattr(sql, "_SECRET", frozenset())
    assert query(asked, "SELECT token_sha256 FROM worker").rows == [["deadbeef"]]


def test_database_is_open_for_reading_only_even_without_the_authorizer(asked, monkeypatch):
    """Each wall stands by itself: without the first the second holds."""
    monkeypatch.setattr(sql, "_authorize", lambda *_: sqlite3.SQLITE_OK)
    with pytest.raises(ArgumentError, match="readonly"):
        query(asked, "DELETE FROM experiment")
    with pytest.raises(ArgumentError, match=r"query_only|attached"):
        query(asked, "ATTACH ':memory:' AS other")


def test_endless_question_ends(asked):
    started = time.monotonic()
    with pytest.raises(ArgumentError, match=r"longer than 0\.3 s"):
        query(
            asked,
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            " SELECT count(*) FROM n",
            seconds=0.3,
        )
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("statement", [
    "WITH RECURSIVE n (i, s) AS (SELECT 1, 'xxxxxxxx' UNION ALL SELECT i + 1, s || s FROM n)"
    " SELECT length(s) FROM n",
    "SELECT replace(hex(printf('%5000000d', 1)), '2', 'xxxxxxxx')",
])  # fmt: skip
def test_memory_is_bounded(asked, statement):
    with pytest.raises(ArgumentError, match=r"too big|longer than"):
        query(asked, statement, seconds=2.0)


def test_rows_and_cells_are_cut_and_it_is_said(asked):
    many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
    found = query(asked, f"{many} SELECT i FROM n", max_rows=10)
    assert (len(found.rows), found.truncated) == (10, True)
    assert not query(asked, f"{many} SELECT i FROM n", max_rows=50).truncated
    long = query(asked, "SELECT printf('%10000d', 1)")
    assert long.cut_cells == 1
    assert long.rows[0][0].endswith("… (10000 characters)")
    wide = query(asked, f"{many} SELECT i, printf('%4000d', i), printf('%4000d', i),"
                 " printf('%4000d', i), printf('%4000d', i), printf('%4000d', i),"
                 " printf('%4000d', i), printf('%4000d', i) FROM n")  # fmt: skip
    assert wide.truncated
    assert sum(len(str(cell)) for row in wide.rows for cell in row) < 1_100_000


def test_bytes_are_text_where_they_can_be(asked):
    assert query(asked, "SELECT data FROM blob").rows == [["print('hi')"], ["pass"]]
    assert query(asked, "SELECT x'ff00'").rows == [["(2 bytes)"]]


def test_missing_or_broken_database_is_told(tmp_path):
    with pytest.raises(DataError, match="no database"):
        query(tmp_path / "none.sqlite", "SELECT 1")
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"not a database at all, but long enough to be looked at")
    with pytest.raises(DataError, match="not readable"):
        query(broken, "SELECT 1")


def test_name_of_the_file_is_no_address(tmp_path, asked, connection):
    """A path with the signs of a URI opens that file, and no mode can be smuggled in."""
    strange = tmp_path / "a?mode=rwc#b%20c.sqlite"
    connection.execute("VACUUM INTO ?", (str(strange),))
    assert query(strange, "SELECT 1").rows == [[1]]
    with pytest.raises(ArgumentError, match="`sql` must be"):
        query(strange, "DELETE FROM experiment")
