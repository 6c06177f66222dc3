"""How an attempt ends, as part of the transaction that is open: answered, lost, given back."""

import sqlite3

from onetrip.lab.queue.answers import write_answer
from onetrip.lab.queue.ledger import charge_attempt
from onetrip.lab.queue.names import experiment_name
from onetrip.lab.store.events import append_event
from onetrip.lab.verdict import Outcome, Verdict


def close_attempt(
    connection: sqlite3.Connection,
    attempt_id: int,
    n: int,
    verdict: Verdict,
    now: float,
    study_id: int | None = None,
) -> bool:
    """Write the answer, charge what it cost, move the experiment on; False when it was closed."""
    closed = write_answer(connection, attempt_id, n, verdict, now, study_id)
    if closed is None:
        return False
    charge_attempt(connection, closed, verdict)
    if verdict.outcome is Outcome.INFRA_LOST:
        _queue_again(connection, closed, verdict, now)
        return True
    experiment_id = closed["experiment_id"]
    set_state(connection, experiment_id, verdict.outcome.value, closed["reason"], now)
    name = experiment_name(connection, experiment_id)
    said = f"{verdict.outcome.value.replace('_', ' ')}"
    append_event(
        connection,
        "experiment.finished",
        "experiment",
        experiment_id,
        f"{name}: {said}{', ' + closed['reason'] if closed['reason'] else ''}",
        attempt=attempt_id,
        outcome=verdict.outcome.value,
    )
    return True


def lose_attempt(
    connection: sqlite3.Connection, attempt: sqlite3.Row, why: str, now: float
) -> bool:
    """Its process is gone and gave no answer: the experiment runs again, but not for ever."""
    verdict = Verdict(Outcome.INFRA_LOST, reason=why, evidence={"killed": True})
    return close_attempt(connection, attempt["id"], attempt["n"], verdict, now)


def return_attempt(
    connection: sqlite3.Connection, attempt: sqlite3.Row, why: str, now: float
) -> bool:
    """It was told to stop: the experiment runs again, and nothing is held against it."""
    verdict = Verdict(Outcome.INFRA_LOST, reason=why, evidence={"given_back": True})
    return close_attempt(connection, attempt["id"], attempt["n"], verdict, now)


def open_attempts(
    connection: sqlite3.Connection, worker_id: int | None = None
) -> list[sqlite3.Row]:
    """Attempts without an answer, of one worker or of all."""
    return connection.execute(
        "SELECT * FROM attempt WHERE outcome IS NULL AND (? IS NULL OR worker_id = ?) ORDER BY id",
        (worker_id, worker_id),
    ).fetchall()


def set_state(
    connection: sqlite3.Connection, experiment_id: int, state: str, reason: str, now: float
) -> None:
    """Move an experiment to a state."""
    connection.execute(
        "UPDATE experiment SET state = ?, reason = ?, updated_at = ? WHERE id = ?",
        (state, reason, now, experiment_id),
    )


def cancel_waiting(
    connection: sqlite3.Connection, experiment_id: int, why: str, now: float
) -> None:
    """Give up an experiment that waits, for a reason of the lab's own."""
    set_state(connection, experiment_id, "cancelled", why, now)
    text = f"{experiment_name(connection, experiment_id)} is cancelled: {why}"
    append_event(connection, "experiment.cancelled", "experiment", experiment_id, text)


def _queue_again(
    connection: sqlite3.Connection, attempt: sqlite3.Row, verdict: Verdict, now: float
) -> None:
    experiment_id = attempt["experiment_id"]
    # What was cancelled meanwhile stays cancelled.
    row = connection.execute(
        "SELECT state, max_attempts FROM experiment WHERE id = ?", (experiment_id,)
    ).fetchone()
    if row["state"] != "running":
        return
    times = connection.execute(
        "SELECT count(*) FROM attempt WHERE experiment_id = ? AND outcome = 'infra_lost'"
        " AND NOT coalesce(json_extract(evidence, '$.given_back'), 0)",
        (experiment_id,),
    ).fetchone()[0]
    name = experiment_name(connection, experiment_id)
    if times >= row["max_attempts"]:
        # A candidate that takes the whole machine down must not do so at every start for ever.
        reason = f"{times} attempts were lost while it ran: it may take the machine down"
        set_state(connection, experiment_id, "dead", reason, now)
        text = f"{name} is given up: {reason}"
    else:
        set_state(connection, experiment_id, "queued", verdict.reason, now)
        text = f"{name} is queued again: {verdict.reason}"
    append_event(
        connection, "experiment.lost", "experiment", experiment_id, text, attempt=attempt["id"]
    )
