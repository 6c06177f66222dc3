"""The durable queue: propose, claim, finish, and take back what a killed process left behind."""

import json
import sqlite3
import time
from dataclasses import dataclass

from onetrip.core.selection import Config
from onetrip.lab.store.database import transaction
from onetrip.lab.store.study import canonical
from onetrip.lab.verdict import Outcome, Verdict

# A candidate that takes the whole machine down must not do so at every start for ever.
MAX_LOST_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration to try: who proposed it and why; `parent_id` is what it was made from."""

    impl: str
    config: Config
    proposer: str
    why: str
    parent_id: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt that is ours to make."""

    attempt_id: int
    experiment_id: int
    n: int
    impl: str
    config: Config
    purpose: str
    proposer: str
    why: str
    seed: int


@dataclass(frozen=True, slots=True)
class Lost:
    """An attempt whose session ended without an answer for it."""

    attempt_id: int
    experiment_id: int
    pid: int | None
    process_started: str | None


def enqueue(
    connection: sqlite3.Connection,
    study_id: int,
    operator: str,
    proposal: Proposal,
    *,
    purpose: str = "search",
    pruned: str | None = None,
    priority: float = 0.0,
    again: bool = False,
) -> int:
    """Queue a proposal, or record that it was `pruned` and why; return the experiment's id.

    What is already known of the same candidate for the same purpose stays as it is, unless the
    question is to be put `again`.
    """
    now = time.time()
    config = canonical(dict(proposal.config))
    key = (operator, "config", proposal.impl, config)
    with transaction(connection):
        connection.execute(
            "INSERT INTO candidate (operator, kind, impl, config, created_at)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*key, now),
        )
        candidate_id = connection.execute(
            "SELECT id FROM candidate WHERE (operator, kind, impl, config) = (?, ?, ?, ?)", key
        ).fetchone()["id"]
        connection.execute(
            "INSERT INTO experiment (study_id, candidate_id, purpose, proposer, why, parent_id,"
            " state, reason, priority, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                study_id,
                candidate_id,
                purpose,
                proposal.proposer,
                proposal.why,
                proposal.parent_id,
                "queued" if pruned is None else Outcome.PRUNED.value,
                pruned or "",
                priority,
                now,
                now,
            ),
        )
        experiment_id = connection.execute(
            "SELECT id FROM experiment WHERE (study_id, candidate_id, purpose) = (?, ?, ?)",
            (study_id, candidate_id, purpose),
        ).fetchone()["id"]
        if again:
            connection.execute(
                "UPDATE experiment SET state = 'queued', priority = ?, updated_at = ?"
                " WHERE id = ? AND state <> 'running'",
                (priority, now, experiment_id),
            )
        return experiment_id


def claim(
    connection: sqlite3.Connection, study_id: int, session_id: int, seed: int
) -> Claim | None:
    """Take the next queued experiment and open an attempt for it; None when none is queued."""
    now = time.time()
    with transaction(connection):
        row = connection.execute(
            "SELECT experiment.id, impl, config, purpose, proposer, why FROM experiment"
            " JOIN candidate ON candidate.id = candidate_id"
            " WHERE study_id = ? AND state = 'queued'"
            " ORDER BY priority DESC, experiment.id LIMIT 1",
            (study_id,),
        ).fetchone()
        if row is None:
            return None
        _set_state(connection, row["id"], "running", "", now)
        n = connection.execute(
            "SELECT count(*) + 1 FROM attempt WHERE experiment_id = ?", (row["id"],)
        ).fetchone()[0]
        attempt_id = connection.execute(
            "INSERT INTO attempt (experiment_id, n, session_id, seed, started_at)"
            " VALUES (?, ?, ?, ?, ?) RETURNING id",
            (row["id"], n, session_id, str(seed), now),
        ).fetchone()["id"]
    return Claim(
        attempt_id=attempt_id,
        experiment_id=row["id"],
        n=n,
        impl=row["impl"],
        config=json.loads(row["config"]),
        purpose=row["purpose"],
        proposer=row["proposer"],
        why=row["why"],
        seed=seed,
    )


def note_process(
    connection: sqlite3.Connection, attempt_id: int, pid: int, process_started: str | None
) -> None:
    """Remember which process works on an attempt, to end it if we are killed before it is."""
    with transaction(connection):
        connection.execute(
            "UPDATE attempt SET pid = ?, process_started = ? WHERE id = ?",
            (pid, process_started, attempt_id),
        )


def finish(connection: sqlite3.Connection, attempt_id: int, verdict: Verdict) -> bool:
    """Commit an attempt's answer; False when the attempt was closed before (a stale answer).

    An interrupted attempt puts its experiment back into the queue.
    """
    now = time.time()
    with transaction(connection):
        closed = connection.execute(
            "UPDATE attempt SET ended_at = ?, outcome = ?, reason = ?, scope = ?, evidence = ?"
            " WHERE id = ? AND outcome IS NULL RETURNING experiment_id",
            (
                now,
                verdict.outcome.value,
                verdict.reason,
                verdict.scope,
                canonical(dict(verdict.evidence)),
                attempt_id,
            ),
        ).fetchone()
        if closed is None:
            return False
        interrupted = verdict.outcome is Outcome.INTERRUPTED
        state = "queued" if interrupted else verdict.outcome.value
        _set_state(connection, closed["experiment_id"], state, verdict.reason, now)
        connection.executemany(
            "INSERT INTO check_result VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    attempt_id,
                    check.tensor,
                    int(check.passed),
                    check.max_error,
                    check.allowance,
                    check.message,
                )
                for check in verdict.checks
            ),
        )
        connection.executemany(
            "INSERT INTO measurement VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    attempt_id,
                    timing.subject,
                    timing.impl,
                    canonical(dict(timing.config)),
                    canonical(timing.samples_ms),
                    timing.median_ms,
                    timing.low_ms,
                    timing.high_ms,
                    timing.peak_bytes,
                )
                for timing in verdict.timings
            ),
        )
        connection.executemany(
            "INSERT INTO comparison VALUES (?, ?, ?, ?, ?)",
            (
                (attempt_id, pair.baseline, pair.speedup, pair.low, pair.high)
                for pair in verdict.comparisons
            ),
        )
    return True


def open_attempts(connection: sqlite3.Connection) -> list[Lost]:
    """Attempts without an answer. Whoever holds the writer lock owns none: all are lost."""
    rows = connection.execute(
        "SELECT id, experiment_id, pid, process_started FROM attempt WHERE outcome IS NULL"
    )
    return [Lost(row[0], row[1], row[2], row[3]) for row in rows]


def take_back(
    connection: sqlite3.Connection, lost: Lost, max_lost_attempts: int = MAX_LOST_ATTEMPTS
) -> None:
    """Close a lost attempt as interrupted and queue its experiment again, but not for ever."""
    finish(
        connection,
        lost.attempt_id,
        Verdict(
            Outcome.INTERRUPTED,
            reason="the tune was killed before this attempt answered",
            evidence={"killed": True},
        ),
    )
    with transaction(connection):
        times = connection.execute(
            "SELECT count(*) FROM attempt WHERE experiment_id = ?"
            " AND json_extract(evidence, '$.killed')",
            (lost.experiment_id,),
        ).fetchone()[0]
        if times >= max_lost_attempts:
            reason = f"{times} tunes were killed while it ran: it may take the machine down"
            state = Outcome.INTERRUPTED.value
            _set_state(connection, lost.experiment_id, state, reason, time.time())


def _set_state(
    connection: sqlite3.Connection, experiment_id: int, state: str, reason: str, now: float
) -> None:
    connection.execute(
        "UPDATE experiment SET state = ?, reason = ?, updated_at = ? WHERE id = ?",
        (state, reason, now, experiment_id),
    )
