"""Read a study back: every experiment with what its last answered attempt taught."""

import json
import sqlite3
from collections import defaultdict
from dataclasses import dataclass

from onetrip.core.selection import Config
from onetrip.lab.verdict import Check, Comparison, Outcome, Timing, Verdict


@dataclass(frozen=True, slots=True)
class Trial:
    """One experiment; `state` is an outcome's value, "queued", "running", "paused" or "pruned".

    `seconds` and `verdict` are of its last answered attempt: 0.0 and None before there is one.
    """

    experiment_id: int
    impl: str
    config: Config
    purpose: str
    proposer: str
    why: str
    parent_id: int | None
    state: str
    reason: str
    campaign_id: int | None
    seconds: float
    verdict: Verdict | None

    @property
    def done(self) -> bool:
        """Correct and measured."""
        return self.state == Outcome.DONE

    @property
    def settled(self) -> bool:
        """Has an answer, good or bad, and will not run again."""
        return self.state not in ("queued", "running", "paused")


def history(connection: sqlite3.Connection, study_id: int) -> list[Trial]:
    """All experiments of a study, oldest first."""
    experiments = connection.execute(
        "SELECT experiment.id, impl, config, purpose, experiment.proposer, why,"
        " experiment.parent_id, state, experiment.reason, attempt.id AS attempt_id,"
        " attempt.campaign_id, outcome, attempt.reason AS attempt_reason, scope, evidence,"
        " ended_at - started_at AS seconds"
        " FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " LEFT JOIN attempt ON attempt.id ="
        "  (SELECT max(id) FROM attempt AS last WHERE last.experiment_id = experiment.id"
        "   AND outcome IS NOT NULL AND invalid = '')"
        " WHERE experiment.study_id = ? ORDER BY experiment.id",
        (study_id,),
    ).fetchall()
    details = _Details(connection, study_id)
    return [
        Trial(
            experiment_id=row["id"],
            impl=row["impl"],
            config=json.loads(row["config"]),
            purpose=row["purpose"],
            proposer=row["proposer"],
            why=row["why"],
            parent_id=row["parent_id"],
            state=row["state"],
            reason=row["reason"],
            campaign_id=row["campaign_id"],
            seconds=row["seconds"] or 0.0,
            verdict=None if row["attempt_id"] is None else details.verdict(row),
        )
        for row in experiments
    ]


class _Details:
    """Checks, timings and comparisons of a study's attempts, read in three queries."""

    def __init__(self, connection: sqlite3.Connection, study_id: int) -> None:
        self.checks: dict[int, list[Check]] = defaultdict(list)
        self.timings: dict[int, list[Timing]] = defaultdict(list)
        self.comparisons: dict[int, list[Comparison]] = defaultdict(list)
        for row in _rows(connection, "check_result", study_id):
            self.checks[row["attempt_id"]].append(
                Check(
                    row["tensor"],
                    bool(row["passed"]),
                    row["max_error"],
                    row["allowance"],
                    row["message"],
                )
            )
        for row in _rows(connection, "measurement", study_id):
            self.timings[row["attempt_id"]].append(
                Timing(
                    subject=row["subject"],
                    impl=row["impl"],
                    config=json.loads(row["config"]),
                    samples_ms=tuple(json.loads(row["samples_ms"])),
                    median_ms=row["median_ms"],
                    low_ms=row["low_ms"],
                    high_ms=row["high_ms"],
                    peak_bytes=row["peak_bytes"],
                )
            )
        for row in _rows(connection, "comparison", study_id):
            self.comparisons[row["attempt_id"]].append(
                Comparison(row["baseline"], row["speedup"], row["low"], row["high"])
            )

    def verdict(self, row: sqlite3.Row) -> Verdict:
        attempt_id = row["attempt_id"]
        return Verdict(
            outcome=Outcome(row["outcome"]),
            reason=row["attempt_reason"],
            scope=row["scope"],
            evidence=json.loads(row["evidence"]),
            checks=tuple(self.checks[attempt_id]),
            timings=tuple(self.timings[attempt_id]),
            comparisons=tuple(self.comparisons[attempt_id]),
        )


def _rows(connection: sqlite3.Connection, table: str, study_id: int) -> list[sqlite3.Row]:
    return connection.execute(
        f"SELECT {table}.* FROM {table} JOIN attempt ON attempt.id = attempt_id"
        " JOIN experiment ON experiment.id = experiment_id WHERE experiment.study_id = ?"
        f" ORDER BY {table}.rowid",
        (study_id,),
    ).fetchall()
