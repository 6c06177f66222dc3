"""The manifest: an index of stages, tasks and units in SQLite, for everybody who looks on.

Sidecars are the truth; a manifest that is lost is written again by the next run.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from onetrip.data.engine.outcome import Outcome
from onetrip.data.engine.task import Task

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run INTEGER PRIMARY KEY, started REAL NOT NULL, ended REAL, state TEXT NOT NULL,
    exit_code INTEGER, message TEXT NOT NULL DEFAULT '', recipe TEXT NOT NULL, input TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS stages (
    run INTEGER NOT NULL, position INTEGER NOT NULL, folder TEXT NOT NULL, name TEXT NOT NULL,
    steps TEXT NOT NULL, state TEXT NOT NULL, started REAL, ended REAL, PRIMARY KEY (run, position)
);
CREATE TABLE IF NOT EXISTS tasks (
    folder TEXT NOT NULL, key TEXT NOT NULL, label TEXT NOT NULL, bytes INTEGER NOT NULL,
    state TEXT NOT NULL, rows INTEGER, remarks INTEGER, seconds REAL, finished REAL,
    accounts TEXT NOT NULL DEFAULT '{}', quarantine TEXT NOT NULL DEFAULT '[]',
    message TEXT NOT NULL DEFAULT '', PRIMARY KEY (folder, key)
);
CREATE TABLE IF NOT EXISTS units (
    folder TEXT NOT NULL, key TEXT NOT NULL, unit_id TEXT NOT NULL, state TEXT NOT NULL,
    rows INTEGER NOT NULL, bytes INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (folder, key, unit_id)
);
"""

State = Literal["running", "done", "failed", "interrupted"]


class Manifest:
    """The manifest of a dataset, written by the one process that runs it."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        self._run = 0

    def begin(
        self, recipe: dict[str, Any], input: str, stages: Sequence[tuple[str, str, Sequence[str]]]
    ) -> None:
        """A run begins; `stages` are folder, name and labels of steps."""
        with self._transaction():
            self._database.execute("UPDATE runs SET state = 'interrupted' WHERE state = 'running'")
            cursor = self._database.execute(
                "INSERT INTO runs (started, state, recipe, input) VALUES (?, 'running', ?, ?)",
                (time.time(), json.dumps(recipe), input),
            )
            self._run = int(cursor.lastrowid or 0)
            self._database.executemany(
                "INSERT INTO stages (run, position, folder, name, steps, state) "
                "VALUES (?, ?, ?, ?, ?, 'waiting')",
                [
                    (self._run, position, folder, name, json.dumps(steps))
                    for position, (folder, name, steps) in enumerate(stages)
                ],
            )

    def begin_stage(self, folder: str, tasks: Iterable[Task]) -> None:
        """A stage begins; its tasks wait, and those that it does not have any more are gone."""
        tasks = list(tasks)
        with self._transaction():
            self._database.execute(
                "UPDATE stages SET state = 'running', started = ? WHERE run = ? AND folder = ?",
                (time.time(), self._run, folder),
            )
            keys = [row[0] for row in self._database.execute(
                "SELECT key FROM tasks WHERE folder = ?", (folder,)
            )]  # fmt: skip
            gone = set(keys) - {task.key for task in tasks}
            for table in ("tasks", "units"):
                self._database.executemany(
                    f"DELETE FROM {table} WHERE folder = ? AND key = ?",
                    [(folder, key) for key in gone],
                )
            self._database.executemany(
                "INSERT INTO tasks (folder, key, label, bytes, state) VALUES (?, ?, ?, ?, "
                "'waiting') ON CONFLICT DO UPDATE SET state = 'waiting'",
                [(folder, task.key, task.label, task.bytes) for task in tasks],
            )

    def finish_tasks(self, folder: str, outcomes: Iterable[Outcome]) -> None:
        """Tasks are done, now or since an earlier run."""
        with self._transaction():
            for outcome in outcomes:
                accounts = {step: account.as_dict() for step, account in outcome.accounts.items()}
                self._database.execute(
                    "UPDATE tasks SET state = ?, rows = ?, remarks = ?, seconds = ?, "
                    "finished = coalesce(finished, ?), accounts = ?, quarantine = ?, message = ? "
                    "WHERE folder = ? AND key = ?",
                    (
                        "failed" if outcome.failed else "done",
                        outcome.rows,
                        outcome.remarks,
                        outcome.seconds,
                        time.time(),
                        json.dumps(accounts),
                        json.dumps([shard.name for shard in outcome.quarantine]),
                        outcome.failed,
                        folder,
                        outcome.key,
                    ),
                )
                self._database.executemany(
                    "INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            folder,
                            outcome.key,
                            u.unit_id,
                            u.state,
                            u.rows,
                            u.bytes,
                            u.code,
                            u.message,
                        )
                        for u in outcome.units
                    ],
                )

    def end_stage(self, folder: str) -> None:
        """All tasks of a stage are done."""
        self._database.execute(
            "UPDATE stages SET state = 'done', ended = ? WHERE run = ? AND folder = ?",
            (time.time(), self._run, folder),
        )

    def end(self, state: State, exit_code: int | None, message: str = "") -> None:
        """The run ends."""
        self._database.execute(
            "UPDATE runs SET state = ?, exit_code = ?, ended = ?, message = ? WHERE run = ?",
            (state, exit_code, time.time(), message, self._run),
        )

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
