"""Search finds what was written, whoever wrote it, and takes any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.lab.knowledge import learnings
from onetrip.lab.knowledge.words import MARK, UNMARK, rebuild, search
from onetrip.lab.store.database import connect


def found(bench, text):
    return [(hit.type, hit.id) for hit in search(bench.connection, text)]


def test_everything_with_words_is_found(bench):
    bench.insert_problem("row_softmax", brief="Each row becomes its softmax.")
    bench.candidate("Persistent grid", source="acc = tl.dot(a, b)")
    bench.queue(why="the tail wave is idle")
    bench.declare(title="Warps hide latency", rationale="loads overlap")
    learnings.add(bench.connection, text="Swizzling pays", scope={}, confidence=0.5, by="x")
    assert found(bench, "softmax row") == [("problem", 2)]
    assert found(bench, "persistent") == [("candidate", 1)]
    assert found(bench, "tl.dot") == [("candidate", 1)]
    assert found(bench, "tail idle") == [("experiment", 1)]
    assert found(bench, "overlapping") == [("hypothesis", 1)]
    assert found(bench, "swizzle") == [("learning", 1)]


def test_last_word_may_be_a_beginning(bench):
    bench.candidate("persistent grid")
    assert found(bench, "grid persis") == [("candidate", 1)]
    assert found(bench, "persis grid") == []


def test_words_follow_their_rows(bench):
    experiment = bench.queue()
    bench.connection.execute(
        "UPDATE experiment SET reason = 'segmentation fault' WHERE id = ?", (experiment,)
    )
    assert found(bench, "segmentation") == [("experiment", experiment)]
    bench.connection.execute("UPDATE experiment SET reason = 'fine' WHERE id = ?", (experiment,))
    assert found(bench, "segmentation") == []


def test_title_counts_more_than_body(bench):
    bench.candidate("other", source="swizzle swizzle")
    bench.candidate("swizzle", source="other")
    assert found(bench, "swizzle") == [("candidate", 2), ("candidate", 1)]


def test_snippet_marks_what_was_found(bench):
    bench.declare(title="x", rationale="loads and stores overlap here")
    (hit,) = search(bench.connection, "stores")
    assert f"{MARK}stores{UNMARK}" in hit.snippet


@pytest.mark.parametrize(
    "text", ['"', "'", "*", "a AND", "NOT", "OR OR", "NEAR(a b)", "title:x", "(", "^a", "-", "a\0b",
             "", "   ", "{a b}:c", "+", "héllo", "' OR 1=1 --"]
)  # fmt: skip
def test_signs_mean_nothing(bench, text):
    bench.candidate("quiet")
    assert found(bench, text) == []


@given(st.text(max_size=60))
def test_any_text_is_allowed(tmp_path_factory, text):
    connection = connect(tmp_path_factory.getbasetemp() / "words.sqlite")
    try:
        search(connection, text)
    finally:
        connection.close()


def test_operators_are_searched_as_words(bench):
    bench.candidate("this OR that")
    assert found(bench, "this OR that") == [("candidate", 1)]
    assert found(bench, "missing OR this") == []


def test_rebuild_restores_what_was_lost(bench):
    bench.candidate("persistent grid")
    bench.connection.execute("DELETE FROM words")
    assert found(bench, "persistent") == []
    assert rebuild(bench.connection) == 2
    assert found(bench, "persistent") == [("candidate", 1)]


def test_words_of_an_older_file_are_indexed(tmp_path):
    """A migration from a file that has rows already finds their words."""
    import shutil

    from onetrip.lab.store.database import MIGRATIONS_DIR, migrate

    folder = tmp_path / "migrations"
    folder.mkdir()
    for path in sorted(MIGRATIONS_DIR.glob("*.sql"))[:2]:
        shutil.copy(path, folder)
    import sqlite3

    connection = sqlite3.connect(tmp_path / "old.sqlite", isolation_level=None)
    connection.row_factory = sqlite3.Row
    migrate(connection, folder)
    connection.execute(
        "INSERT INTO problem (fingerprint, kind, name, spec, created_at)"
        " VALUES ('f', 'folder', 'vectoradd', '{}', 0)"
    )
    migrate(connection)
    assert [hit.type for hit in search(connection, "vectoradd")] == ["problem"]
    connection.close()
