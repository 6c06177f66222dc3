"""How far the last run of a dataset is, read beside it from its manifest."""

import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from onetrip.core.errors import DataError, complaint
from onetrip.data.engine.account import Account, merged
from onetrip.data.store.dataset import Dataset


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far a stage is: tasks and input bytes done, accounts of its steps, seconds to go.

    `state` is "waiting", "running" or "done"; what ran when the run ended is as the run is.
    `seconds_left` is None where nothing can be said: the stage waits, or nothing is done yet.
    """

    folder: str
    name: str
    state: str
    tasks: int
    done: int
    failed: int
    bytes: int
    bytes_done: int
    accounts: Mapping[str, Account]
    quarantine: tuple[str, ...]
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The last run: "running", "done", "failed" or "interrupted", and its stages.

    A run whose process was killed is "interrupted".
    """

    state: str
    exit_code: int | None
    message: str
    input: str
    started: float
    ended: float | None
    stages: tuple[StageStatus, ...]
    units: Mapping[str, int]


def last_run(dataset: str | Path) -> RunStatus:
    """The last run of a dataset, also while it runs; raises DataError where there was none.

    Examples
    --------
    >>> last_run("/nowhere")
    Traceback (most recent call last):
    ...
    onetrip.core.errors.DataError: `dataset` must be a folder that `onetrip data run` ...
    """
    target = Dataset(Path(dataset))
    path = target.manifest
    if not path.exists():
        expected = "a folder that `onetrip data run` writes to"
        raise DataError(complaint("dataset", expected=expected, got=repr(str(dataset))))
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        begun = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone()
        runs = "SELECT * FROM runs ORDER BY run DESC LIMIT 1"
        run = database.execute(runs).fetchone() if begun else None
        if run is None:
            expected = "a folder in which a run has begun"
            raise DataError(complaint("dataset", expected=expected, got=repr(str(dataset))))
        rows = database.execute(
            "SELECT * FROM stages WHERE run = ? ORDER BY position", (run["run"],)
        ).fetchall()
        state = run["state"]
        if state == "running" and target.abandoned:
            state = "interrupted"
        stages = tuple(_stage(database, row, state) for row in rows)
        units = _units(database, [stage.folder for stage in stages])
    return RunStatus(
        state,
        run["exit_code"],
        run["message"],
        run["input"],
        run["started"],
        run["ended"],
        stages,
        units,
    )


def _stage(database: sqlite3.Connection, row: sqlite3.Row, of_run: str) -> StageStatus:
    tasks = database.execute(
        "SELECT state, bytes, accounts, quarantine, finished FROM tasks WHERE folder = ?",
        (row["folder"],),
    ).fetchall()
    ended = [task for task in tasks if task["state"] in ("done", "failed")]
    counted = merged(
        {step: Account.from_dict(account) for step, account in json.loads(t["accounts"]).items()}
        for t in ended
    )
    accounts = {step: counted.get(step, Account()) for step in json.loads(row["steps"])}
    total = sum(task["bytes"] for task in tasks)
    done = sum(task["bytes"] for task in ended)
    started = row["started"] or 0.0
    now = row["ended"] or time.time()
    here = sum(task["bytes"] for task in ended if (task["finished"] or 0.0) >= started)
    state = of_run if row["state"] == "running" else row["state"]
    left = (now - started) * (total - done) / here if state == "running" and here else None
    return StageStatus(
        row["folder"],
        row["name"],
        state,
        len(tasks),
        sum(task["state"] == "done" for task in tasks),
        sum(task["state"] == "failed" for task in tasks),
        total,
        done,
        accounts,
        tuple(name for task in ended for name in json.loads(task["quarantine"])),
        now - started if row["started"] else 0.0,
        left,
    )


def _units(database: sqlite3.Connection, folders: list[str]) -> dict[str, int]:
    marks = ", ".join("?" * len(folders))
    found = database.execute(
        f"SELECT state, count(*) FROM units WHERE folder IN ({marks}) GROUP BY state", folders
    )
    return {state: count for state, count in found}
