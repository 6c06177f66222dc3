"""A tuner's notebook of the first schema becomes a laboratory, and nothing in it is lost."""

import json
import sqlite3

import pytest

from onetrip.lab.queue.claims import claim, reap, register_worker
from onetrip.lab.store import database as module
from onetrip.lab.store.database import MIGRATIONS_DIR, connect, migrate, transaction
from onetrip.lab.store.history import history

# Two tunes of two workloads that share a candidate; the second was killed at its third one.
NOTEBOOK = """
INSERT INTO problem VALUES (1, 'f1', 'toy', 'small', 'workload', '{"D":16,"N":64}', 'float32',
    '{}', 1, 10.0);
INSERT INTO problem VALUES (2, 'f2', 'toy', 'large', 'stdlib-lm', '{"N":640}', 'float16',
    '{"cap":2}', 0, 11.0);
INSERT INTO device VALUES (1, 'laptop', 'cpu', 0);
INSERT INTO environment VALUES ('e', '{"torch":"2.13.0"}', 10.0);
INSERT INTO ceiling VALUES (1, 1, 'e', '{"bandwidth_gbps":20.0}', 10.0);
INSERT INTO source VALUES ('h', 'harness', '{"judge.py":"1"}', '0.1.0', 10.0);
INSERT INTO source VALUES ('s', 'subject', '{"api.py":"2"}', '0.1.0', 10.0);
INSERT INTO study VALUES (1, 1, 1, 'e', 'h', 's', 12.0);
INSERT INTO study VALUES (2, 2, 1, 'e', 'h', 's', 13.0);
INSERT INTO session VALUES (1, 1, 'latency', 7, 120.0, '{"python":"3.11"}', 100, 20.0, 30.0,
    'exhausted');
INSERT INTO session VALUES (2, 2, 'pareto', 8, 60.0, '{}', 101, 40.0, NULL, NULL);
INSERT INTO candidate VALUES (1, 'toy', 'config', 'torch', '{"size":1}', 14.0);
INSERT INTO candidate VALUES (2, 'toy', 'config', 'torch', '{"size":2}', 15.0);
INSERT INTO candidate VALUES (3, 'toy', 'config', 'torch', '{"size":3}', 16.0);
INSERT INTO experiment VALUES (1, 1, 1, 'search', 'default', 'the default', NULL, 0.0, 'done', '',
    21.0, 22.0);
INSERT INTO experiment VALUES (2, 1, 2, 'search', 'TPE', 'a guess', 1, 0.0, 'crashed', 'exit 7',
    23.0, 24.0);
INSERT INTO experiment VALUES (3, 1, 3, 'search', 'rest', 'the last', NULL, 0.0, 'pruned', 'large',
    24.0, 24.0);
INSERT INTO experiment VALUES (4, 2, 1, 'search', 'default', 'the default', NULL, 0.0,
    'interrupted', '5 tunes were killed', 41.0, 42.0);
INSERT INTO experiment VALUES (5, 2, 2, 'search', 'TPE', 'a guess', 4, 1.0, 'running', '', 43.0,
    44.0);
INSERT INTO attempt VALUES (1, 1, 1, 1, '18446744073709551615', 200, 'boot 1', 21.0, 22.0, 'done',
    '', 'all rows', '{}');
INSERT INTO attempt VALUES (2, 2, 1, 1, '5', 201, 'boot 2', 23.0, 24.0, 'crashed', 'exit 7', '',
    '{"stage":"verifying"}');
INSERT INTO attempt VALUES (3, 4, 1, 2, '6', NULL, NULL, 41.0, 42.0, 'interrupted', 'killed', '',
    '{"killed":true}');
INSERT INTO attempt VALUES (4, 5, 1, 2, '7', 202, 'boot 3', 43.0, NULL, NULL, '', '', '{}');
INSERT INTO check_result VALUES (1, 'y', 1, 1e-7, 1e-6, '');
INSERT INTO measurement VALUES (1, 'candidate', 'torch', '{"size":1}', '[1.0,2.0,3.0]', 2.0, 1.9,
    2.1, 1000);
INSERT INTO measurement VALUES (1, 'default', 'torch', '{"size":1}', '[2.0]', 2.0, 1.9, 2.1, NULL);
INSERT INTO comparison VALUES (1, 'default', 1.0, 0.95, 1.05);
"""


@pytest.fixture
def notebook(tmp_path):
    """A database as the first schema left it."""
    first = tmp_path / "first"
    first.mkdir()
    (script,) = MIGRATIONS_DIR.glob("0001_*.sql")
    (first / script.name).write_text(script.read_text())
    path = tmp_path / "notebook.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    assert migrate(connection, first) == 1
    connection.execute("PRAGMA foreign_keys = ON")
    with transaction(connection):
        for statement in module.statements(NOTEBOOK):
            connection.execute(statement)
    connection.close()
    return path


@pytest.fixture
def migrated(notebook):
    connection = connect(notebook)
    yield connection
    connection.close()


def rows(connection, query, *values):
    return [tuple(row) for row in connection.execute(query, values)]


def test_the_file_is_whole_afterwards_and_not_migrated_twice(migrated, notebook):
    assert rows(migrated, "PRAGMA integrity_check") == [("ok",)]
    assert rows(migrated, "PRAGMA foreign_key_check") == []
    newest = max(int(path.name[:4]) for path in MIGRATIONS_DIR.glob("*.sql"))
    connect(notebook).close()
    versions = rows(migrated, "SELECT version FROM schema_migration ORDER BY version")
    assert versions == [(number,) for number in range(1, newest + 1)]


def test_problems_say_how_they_are_loaded(migrated):
    found = rows(migrated, "SELECT kind, name, fingerprint, spec FROM problem ORDER BY id")
    assert [row[:3] for row in found] == [
        ("operator", "toy/small", "f1"),
        ("operator", "toy/large", "f2"),
    ]
    spec = json.loads(found[1][3])
    assert (spec["location"], spec["options"]) == ("toy", {"workload": "large"})
    assert (spec["axes"], spec["arguments"], spec["backward"]) == ({"N": 640}, {"cap": 2}, False)


def test_tunes_became_campaigns_of_their_study(migrated):
    found = rows(
        migrated,
        "SELECT id, title, problem_id, study_id, objective, seed, budget, pid, ended_why"
        " FROM campaign ORDER BY id",
    )
    assert found == [
        (1, "tune toy/small", 1, 1, "latency", 7, '{"wall_s":120.0}', 100, "exhausted"),
        (2, "tune toy/large", 2, 2, "pareto", 8, '{"wall_s":60.0}', 101, None),
    ]


def test_a_candidate_of_two_problems_became_two(migrated):
    found = rows(
        migrated,
        "SELECT experiment.id, experiment.study_id, candidate.problem_id, config FROM experiment"
        " JOIN candidate ON candidate.id = candidate_id ORDER BY experiment.id",
    )
    assert found == [
        (1, 1, 1, '{"size":1}'),
        (2, 1, 1, '{"size":2}'),
        (3, 1, 1, '{"size":3}'),
        (4, 2, 2, '{"size":1}'),
        (5, 2, 2, '{"size":2}'),
    ]
    assert rows(migrated, "SELECT count(*) FROM candidate") == [(5,)]


def test_results_read_back_as_they_were(migrated):
    first, second, third = history(migrated, 1)
    assert (first.state, second.state, third.state) == ("done", "crashed", "pruned")
    assert (second.proposer, second.why, second.parent_id) == ("TPE", "a guess", 1)
    assert first.verdict is not None
    timing = first.verdict.timing("candidate")
    assert timing is not None
    assert (timing.samples_ms, timing.median_ms, timing.peak_bytes) == ((1.0, 2.0, 3.0), 2.0, 1000)
    assert (timing.workload, timing.regime) == ("", "cold")
    assert first.verdict.against("default") is not None
    assert [check.max_error for check in first.verdict.checks] == [1e-7]
    assert rows(migrated, "SELECT seed FROM attempt WHERE id = 1") == [("18446744073709551615",)]


def test_what_was_given_up_stays_given_up_and_what_was_killed_runs_again(migrated):
    given_up, running = history(migrated, 2)
    assert (given_up.state, running.state) == ("dead", "running")
    assert rows(migrated, "SELECT outcome FROM attempt WHERE id = 3") == [("infra_lost",)]
    assert reap(migrated) == [4]
    worker = register_worker(migrated, "new", "local", {})
    again = claim(migrated, worker, seed=1, study_id=2)
    assert again is not None
    assert (again.experiment_id, again.n) == (5, 2)
    assert again.contender.config == {"size": 2}


def test_old_words_are_found(migrated):
    found = rows(migrated, "SELECT DISTINCT type FROM words WHERE words MATCH 'guess'")
    assert found == [("experiment",)]
