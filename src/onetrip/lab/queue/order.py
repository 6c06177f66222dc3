"""What waits, in the order in which it will run, and the hands that change that order."""

import sqlite3
import time
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.queue.endings import open_attempts, return_attempt, set_state
from onetrip.lab.queue.names import experiment_name, find_experiment
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event

_WAITING = ("queued", "paused")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An experiment that waits; `state` is "queued" or "paused"."""

    experiment_id: int
    candidate_id: int
    problem_id: int
    problem: str
    title: str
    purpose: str
    proposer: str
    why: str
    state: str
    reason: str
    pinned: int
    priority: float
    expected_s: float | None
    not_before: float
    hypothesis_id: int | None
    campaign_id: int | None
    study_id: int | None
    created_at: float


def waiting(connection: sqlite3.Connection) -> list[Waiting]:
    """Everything that waits: first what is queued, in the order it will run, then what is paused.

    Pinned ones come first, the larger number before the smaller; a number below 0 comes last.
    Then the priority decides, then age.
    """
    rows = connection.execute(
        "SELECT experiment.id AS experiment_id, candidate_id, problem_id, problem.name AS problem,"
        " title, purpose, experiment.proposer, why, state, reason, pinned, priority, expected_s,"
        " not_before, hypothesis_id, campaign_id, study_id, experiment.created_at FROM experiment"
        " JOIN candidate ON candidate.id = candidate_id JOIN problem ON problem.id = problem_id"
        " WHERE state IN ('queued', 'paused')"
        " ORDER BY state = 'paused', pinned DESC, priority DESC, experiment.id"
    )
    return [Waiting(**dict(row)) for row in rows]


def pin(
    connection: sqlite3.Connection, experiment_id: int, pinned: int, *, by: str = "person"
) -> None:
    """Put an experiment before all that is pinned lower; 0 lets its priority decide again."""
    with transaction(connection):
        _require_state(connection, experiment_id, _WAITING)
        _set_pin(connection, experiment_id, pinned)
        name = experiment_name(connection, experiment_id)
        text = f"{by} pinned {name}" if pinned else f"{by} let the priority of {name} decide again"
        append_event(
            connection, "experiment.pinned", "experiment", experiment_id, text, pinned=pinned
        )


def move(
    connection: sqlite3.Connection, experiment_id: int, before: int | None, *, by: str = "person"
) -> None:
    """Put an experiment directly before another that waits, or last of all for None.

    What the person saw above that place is pinned in the order in which it was seen: a later
    result re-orders what is below, and not what was put there by hand.
    """
    with transaction(connection):
        _require_state(connection, experiment_id, ("queued",))
        name = experiment_name(connection, experiment_id)
        if before is None:
            lowest = connection.execute(
                "SELECT min(min(pinned), 0) FROM experiment WHERE state = 'queued'"
            ).fetchone()[0]
            _set_pin(connection, experiment_id, lowest - 1)
            text = f"{by} put {name} last"
        else:
            _require_state(connection, before, ("queued",))
            if before == experiment_id:
                expected = "another experiment than the one that moves"
                raise ArgumentError(complaint("before", expected=expected, got=before))
            _pin_above(connection, experiment_id, before)
            text = f"{by} put {name} before {experiment_name(connection, before)}"
        append_event(
            connection, "experiment.moved", "experiment", experiment_id, text, before=before
        )


def pause(connection: sqlite3.Connection, experiment_id: int, *, by: str = "person") -> None:
    """Keep a queued experiment from running until it is resumed."""
    _change(connection, experiment_id, ("queued",), "paused", f"paused by {by}")


def resume(connection: sqlite3.Connection, experiment_id: int, *, by: str = "person") -> None:
    """Queue a paused experiment again."""
    _change(connection, experiment_id, ("paused",), "queued", "")


def ask_again(
    connection: sqlite3.Connection, experiment_id: int, *, priority: float, by: str = "person"
) -> None:
    """Put a question again that has an answer, which stays as an earlier attempt of it."""
    with transaction(connection):
        if find_experiment(connection, experiment_id)["state"] in (*_WAITING, "running"):
            return
        set_state(connection, experiment_id, "queued", "", time.time())
        connection.execute(
            "UPDATE experiment SET priority = ? WHERE id = ?", (priority, experiment_id)
        )
        text = f"{by} asks again: {experiment_name(connection, experiment_id)}"
        append_event(connection, "experiment.queued", "experiment", experiment_id, text)


def cancel(
    connection: sqlite3.Connection, experiment_id: int, *, by: str = "person", why: str = ""
) -> None:
    """Give an experiment up, whether it waits or runs; a running one is told by its heartbeat."""
    reason = f"cancelled by {by}{': ' + why if why else ''}"
    _change(connection, experiment_id, (*_WAITING, "running"), "cancelled", reason)


def _change(
    connection: sqlite3.Connection,
    experiment_id: int,
    allowed: tuple[str, ...],
    state: str,
    reason: str,
) -> None:
    now = time.time()
    with transaction(connection):
        _require_state(connection, experiment_id, allowed)
        set_state(connection, experiment_id, state, reason, now)
        for attempt in open_attempts(connection):
            if attempt["experiment_id"] == experiment_id:
                # Fenced: whoever works on it finds its lease gone, and its answer is not taken.
                return_attempt(connection, attempt, reason, now)
        name = experiment_name(connection, experiment_id)
        append_event(
            connection,
            f"experiment.{state}",
            "experiment",
            experiment_id,
            f"{name}: {reason or 'queued again'}",
        )


def _pin_above(connection: sqlite3.Connection, experiment_id: int, before: int) -> None:
    rows = [row for row in waiting(connection) if row.state == "queued"]
    order = [row.experiment_id for row in rows if row.experiment_id != experiment_id]
    place = order.index(before)
    order.insert(place, experiment_id)
    pinned = {row.experiment_id for row in rows if row.pinned > 0}
    fixed = max([place, *(place for place, number in enumerate(order) if number in pinned)])
    for place, number in enumerate(order[: fixed + 1]):
        _set_pin(connection, number, fixed + 1 - place)


def _set_pin(connection: sqlite3.Connection, experiment_id: int, pinned: int) -> None:
    connection.execute("UPDATE experiment SET pinned = ? WHERE id = ?", (pinned, experiment_id))


def _require_state(
    connection: sqlite3.Connection, experiment_id: int, allowed: tuple[str, ...]
) -> None:
    state = find_experiment(connection, experiment_id)["state"]
    if state not in allowed:
        raise ArgumentError(
            complaint(
                f"experiment #{experiment_id}",
                expected=" or ".join(allowed),
                got=state,
            )
        )
