"""Opening, migrating and locking the database."""

import sqlite3

import pytest

from onetrip.core.errors import DataError
from onetrip.lab.store import database as module
from onetrip.lab.store.database import connect, migrate, transaction


def tables(connection):
    # Virtual tables, with what they keep beside them ("shadow"), and views have no types.
    rows = connection.execute(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
    )
    return {name: strict for name, strict in rows if not name.startswith("sqlite_")}


def test_every_table_is_strict_and_the_journal_is_wal(connection):
    found = tables(connection)
    assert {"study", "experiment", "attempt", "measurement", "source"} <= found.keys()
    assert all(found.values())
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_a_dangling_reference_is_refused(connection):
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        connection.execute("INSERT INTO check_result VALUES (99, '', 'x', 1, 0.0, 0.0, '')")


def test_opening_twice_applies_each_migration_once(database):
    connect(database).close()
    connection = connect(database)
    rows = connection.execute("SELECT version, name FROM schema_migration").fetchall()
    assert [row["version"] for row in rows] == list(range(1, len(rows) + 1))
    connection.close()


def test_migrations_run_in_order_and_a_broken_one_leaves_no_trace(tmp_path):
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (x INTEGER) STRICT;")
    connection = sqlite3.connect(tmp_path / "db", isolation_level=None)
    assert migrate(connection, tmp_path) == 1
    (tmp_path / "0003_third.sql").write_text("ALTER TABLE b RENAME TO c;")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE b (y TEXT) STRICT;")
    assert migrate(connection, tmp_path) == 3
    assert tables(connection).keys() == {"a", "c", "schema_migration"}

    (tmp_path / "0004_broken.sql").write_text("CREATE TABLE d (z TEXT) STRICT; CREATE TABLE d;")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, tmp_path)
    assert tables(connection).keys() == {"a", "c", "schema_migration"}
    connection.close()


def test_a_newer_database_is_refused(database):
    connection = connect(database)
    with transaction(connection):
        connection.execute("INSERT INTO schema_migration VALUES (9999, 'later', 0.0)")
    connection.close()
    with pytest.raises(DataError, match=r"schema 9999.*Upgrade onetrip"):
        connect(database)


def test_a_file_that_is_no_database_is_refused_and_kept(database):
    database.write_text("these are notes, not a database " * 100)
    with pytest.raises(DataError, match="cannot be used"):
        connect(database)
    assert database.read_text().startswith("these are notes")


def test_a_failed_transaction_changes_nothing(connection):
    def stopped():
        with transaction(connection):
            connection.execute("INSERT INTO device (name, kind, arch) VALUES ('x', 'cpu', 0)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert connection.execute("SELECT count(*) FROM device").fetchone()[0] == 0


def test_statements_survive_semicolons_in_strings():
    script = "INSERT INTO a VALUES ('x;y');\n-- a; comment\nDELETE FROM a;"
    assert module.statements(script) == ["INSERT INTO a VALUES ('x;y');", "DELETE FROM a;"]
