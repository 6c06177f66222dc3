"""Who works on what: claims with leases, heartbeats, answers, and what is taken back.

Every claim opens one attempt, and an experiment has one open attempt at most. Its number `n` is
the fencing token: an answer counts only while the attempt is open. A process that dies, or a
lease that lapses, costs an attempt and never an experiment.
"""

import json
import platform
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.judge.process import kill_left_over
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.queue import champions
from onetrip.lab.queue.contenders import contender_of, problem_ref, rivals_of
from onetrip.lab.queue.endings import (
    cancel_waiting,
    close_attempt,
    lose_attempt,
    open_attempts,
    return_attempt,
    set_state,
)
from onetrip.lab.queue.ledger import within_budget
from onetrip.lab.queue.names import experiment_name
from onetrip.lab.queue.workers import is_dead
from onetrip.lab.queue.workers import register_worker as register_worker
from onetrip.lab.queue.workers import retire_worker as retire_worker
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.verdict import Verdict

LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt that is ours to make, and all that it takes.

    `n` is the fencing token. `rivals` has "baseline" (what the experiment names, else the
    champion, else the problem's own definition), unless this is a measurement of the baseline.
    """

    attempt_id: int
    experiment_id: int
    n: int
    candidate_id: int
    problem_id: int
    problem: ProblemRef
    contender: Contender
    rivals: Mapping[str, Contender]
    purpose: str
    hypothesis_id: int | None
    limits: Mapping[str, object]
    device: str
    seed: int
    title: str
    proposer: str
    why: str


def claim(
    connection: sqlite3.Connection,
    worker_id: int,
    *,
    seed: int,
    lease_s: float = LEASE_S,
    campaign_id: int | None = None,
    study_id: int | None = None,
    devices: Sequence[str] = ("cpu",),
) -> Claim | None:
    """Take what is first in the queue and open an attempt for it; None when there is nothing.

    What would exceed its campaign's budget stays where it is.

    Parameters
    ----------
    seed : secret, drawn now, when the candidate is fixed.
    lease_s : so long the attempt is ours without a heartbeat.
    campaign_id : take from this campaign only. With a study: whose attempt it is, and what is
        taken may have been proposed by another.
    study_id : take a tune's experiments of this study; by default those of no study.
    devices : what the worker can use; the first runs what asks for none.
    """
    with transaction(connection):
        # Inside: what was declared and queued while we waited for the lock is older than us.
        now = time.time()
        row = _first(connection, campaign_id, study_id, devices, now)
        if row is None:
            return None
        limits = json.loads(row["limits"])
        device = _device(limits.get("device"), devices)
        set_state(connection, row["id"], "running", "", now)
        n = connection.execute(
            "SELECT coalesce(max(n), 0) + 1 FROM attempt WHERE experiment_id = ?", (row["id"],)
        ).fetchone()[0]
        attempt_id = connection.execute(
            "INSERT INTO attempt (experiment_id, n, campaign_id, study_id, worker_id, device,"
            " tolerance_id, seed, heartbeat_at, lease_until, started_at)"
            " VALUES (?, ?, ?, ?, ?, ?,"
            " (SELECT max(id) FROM tolerance WHERE problem_id = ?), ?, ?, ?, ?) RETURNING id",
            (
                row["id"],
                n,
                row["campaign_id"] if study_id is None else campaign_id,
                row["study_id"],
                worker_id,
                device,
                row["problem_id"],
                str(seed),
                now,
                now + lease_s,
                now,
            ),
        ).fetchone()["id"]
        connection.execute("UPDATE worker SET seen_at = ? WHERE id = ?", (now, worker_id))
        append_event(
            connection,
            "experiment.started",
            "experiment",
            row["id"],
            f"{experiment_name(connection, row['id'])} started on {device}, attempt {n}",
            attempt=attempt_id,
            n=n,
            device=device,
        )
        return Claim(
            attempt_id=attempt_id,
            experiment_id=row["id"],
            n=n,
            candidate_id=row["candidate_id"],
            problem_id=row["problem_id"],
            problem=problem_ref(row["problem_kind"], row["spec"]),
            contender=contender_of(connection, row["candidate_id"]),
            rivals=rivals_of(connection, row),
            purpose=row["purpose"],
            hypothesis_id=row["hypothesis_id"],
            limits=limits,
            device=device,
            seed=seed,
            title=row["title"],
            proposer=row["proposer"],
            why=row["why"],
        )


def note_process(
    connection: sqlite3.Connection, attempt_id: int, pid: int, started: str | None
) -> None:
    """Remember which process works on an attempt, to end it should ours be killed before it."""
    with transaction(connection):
        connection.execute(
            "UPDATE attempt SET pid = ?, process_started = ? WHERE id = ?",
            (pid, started, attempt_id),
        )


def heartbeat(
    connection: sqlite3.Connection,
    attempt_id: int,
    n: int,
    *,
    stage: str | None = None,
    lease_s: float = LEASE_S,
) -> bool:
    """Renew the lease and say what is being done; False: it is no longer ours, stop."""
    now = time.time()
    with transaction(connection):
        row = _open_attempt(connection, attempt_id, n)
        if row is None:
            return False
        connection.execute(
            "UPDATE attempt SET heartbeat_at = ?, lease_until = ?, stage = ? WHERE id = ?",
            (now, now + lease_s, stage or row["stage"], attempt_id),
        )
        connection.execute("UPDATE worker SET seen_at = ? WHERE id = ?", (now, row["worker_id"]))
        if stage is not None and _without_share(stage) != _without_share(row["stage"]):
            text = f"{experiment_name(connection, row['experiment_id'])}: {_without_share(stage)}"
            append_event(
                connection,
                "attempt.stage",
                "experiment",
                row["experiment_id"],
                text,
                attempt=attempt_id,
                stage=stage,
            )
    return True


def finish(
    connection: sqlite3.Connection,
    attempt_id: int,
    n: int,
    verdict: Verdict,
    *,
    study_id: int | None = None,
) -> bool:
    """Commit an attempt's answer; False when it came too late, and then nothing is written.

    A lost one queues its experiment again, or gives it up after too many.

    Parameters
    ----------
    study_id : where it was measured; by default the experiment's own study.
    """
    with transaction(connection):
        return close_attempt(connection, attempt_id, n, verdict, time.time(), study_id)


def give_back(connection: sqlite3.Connection, attempt_id: int, n: int, why: str) -> bool:
    """Put an attempt back without blame: its worker was told to stop."""
    with transaction(connection):
        row = _open_attempt(connection, attempt_id, n)
        return row is not None and return_attempt(connection, row, why, time.time())


def reap(connection: sqlite3.Connection, now: float | None = None) -> list[int]:
    """Take back attempts whose lease is over or whose worker, on this machine, is gone.

    The processes of this machine that still work on such an attempt are ended.

    Returns
    -------
    list[int]
        The attempts that were lost.
    """
    now = time.time() if now is None else now
    if not any(_why_lost(connection, attempt, now) for attempt in open_attempts(connection)):
        return []
    lost = []
    with transaction(connection):
        for attempt in open_attempts(connection):
            why = _why_lost(connection, attempt, now)
            if why is None:
                continue
            # Fenced first: what the kill makes of the process cannot pass for its answer. And in
            # one transaction: should we be killed here, the next one finds the attempt open.
            lose_attempt(connection, attempt, why, time.time())
            lost.append(attempt["id"])
            if _is_here(connection, attempt):
                kill_left_over(attempt["pid"], attempt["process_started"])
    return lost


def invalidate(connection: sqlite3.Connection, attempt_id: int, why: str) -> None:
    """An answer counts for nothing: a bug of the judge, a new rule against a hack, a hot device.

    Its experiment is queued again, a champion that rested on it gives way to the one before, and
    the followers run.

    Raises
    ------
    ArgumentError
        There is no such answered attempt, or no reason is given.
    """
    from onetrip.lab.queue.after import settle

    if not why.strip():
        raise ArgumentError(complaint("why", expected="a reason", got="nothing"))
    now = time.time()
    with transaction(connection):
        row = connection.execute(
            "UPDATE attempt SET invalid = ? WHERE id = ? AND outcome IS NOT NULL RETURNING *",
            (why, attempt_id),
        ).fetchone()
        if row is None:
            expected = "the number of an answered attempt"
            raise ArgumentError(complaint("attempt_id", expected=expected, got=attempt_id))
        experiment_id = row["experiment_id"]
        name = experiment_name(connection, experiment_id)
        last = connection.execute(
            "SELECT max(id) FROM attempt WHERE experiment_id = ?", (experiment_id,)
        ).fetchone()[0]
        state = connection.execute(
            "SELECT state FROM experiment WHERE id = ?", (experiment_id,)
        ).fetchone()["state"]
        if last == attempt_id and state == row["outcome"]:
            set_state(connection, experiment_id, "queued", f"measured again: {why}", now)
        append_event(
            connection,
            "experiment.invalidated",
            "experiment",
            experiment_id,
            f"{name}: its attempt {row['n']} counts for nothing: {why}",
            attempt=attempt_id,
        )
        champions.withdraw_unfounded(connection, experiment_id, why)
    settle(connection, experiment_id)


def _first(
    connection: sqlite3.Connection,
    campaign_id: int | None,
    study_id: int | None,
    devices: Sequence[str],
    now: float,
) -> sqlite3.Row | None:
    """What runs next on these devices, within the budgets."""
    usable = [*devices, *{device.partition(":")[0] for device in devices}]
    campaign = None if study_id is not None else campaign_id
    rows = connection.execute(
        "SELECT experiment.*, candidate.title, candidate.problem_id, problem.kind AS problem_kind,"
        " problem.spec FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " JOIN problem ON problem.id = candidate.problem_id"
        " WHERE state = 'queued' AND refused = '' AND not_before <= ?"
        " AND study_id IS ? AND (? IS NULL OR campaign_id = ?)"
        " AND coalesce(json_extract(limits, '$.device'), ?)"
        f" IN ({', '.join('?' * len(usable))})"
        " ORDER BY pinned DESC, priority DESC, experiment.id",
        (now, study_id, campaign, campaign, devices[0], *usable),
    )
    # A tune keeps to its own time, and takes up what an earlier one left.
    budgeted = study_id is None
    too_much_s: dict[int, tuple[float, str]] = {}
    hopeless: dict[int, str] = {}
    found = None
    for row in rows:
        campaign_id, expected_s = row["campaign_id"], row["expected_s"] or 0.0
        if campaign_id is None or not budgeted:
            found = row
            break
        least_s, over = too_much_s.get(campaign_id, (float("inf"), None))
        if expected_s < least_s:
            over = within_budget(connection, campaign_id, queued=False, more_s=expected_s)
        if over is None:
            found = row
            break
        too_much_s[campaign_id] = (min(expected_s, least_s), over)
        if all(attempt["campaign_id"] != campaign_id for attempt in open_attempts(connection)):
            # Nothing will become cheaper: who waits for the campaign's end need not wait for it.
            hopeless[row["id"]] = over
    for experiment_id, over in hopeless.items():
        cancel_waiting(connection, experiment_id, over, now)
    return found


def _device(wanted: object, devices: Sequence[str]) -> str:
    """The device that was asked for: by name, or the first of its kind."""
    if wanted is None or wanted in devices:
        return devices[0] if wanted is None else str(wanted)
    return next(device for device in devices if device.partition(":")[0] == wanted)


def _open_attempt(connection: sqlite3.Connection, attempt_id: int, n: int) -> sqlite3.Row | None:
    return connection.execute(
        "SELECT * FROM attempt WHERE id = ? AND n = ? AND outcome IS NULL", (attempt_id, n)
    ).fetchone()


def _why_lost(connection: sqlite3.Connection, attempt: sqlite3.Row, now: float) -> str | None:
    worker = _worker(connection, attempt)
    if worker is None:
        return "it was killed before it answered, by an earlier version of the lab"
    if is_dead(worker):
        return f"its worker {worker['name']} was killed before it answered"
    silent_s = now - attempt["lease_until"]
    if silent_s > 0:
        return f"its worker {worker['name']} was not heard of: {silent_s:.0f} s over its lease"
    return None


def _is_here(connection: sqlite3.Connection, attempt: sqlite3.Row) -> bool:
    worker = _worker(connection, attempt)
    return worker is None or worker["host"] == platform.node()


def _worker(connection: sqlite3.Connection, attempt: sqlite3.Row) -> sqlite3.Row | None:
    query = "SELECT * FROM worker WHERE id = ?"
    return connection.execute(query, (attempt["worker_id"],)).fetchone()


def _without_share(stage: str) -> str:
    """A stage without how much of it is done: "timing" of "timing (40%)"."""
    return stage.partition(" (")[0]
