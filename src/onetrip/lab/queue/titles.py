"""What a result means for the title: a winner of the search is confirmed, a confirmed one wins it.

A tune decides by its own table and is left alone here.
"""

import json
import sqlite3

from onetrip.lab.queue.champions import (
    CHAMPION,
    Speedup,
    has_agreement,
    last_answer,
    measured_speedup,
    problem_of,
    promote,
    unmet_holder,
    why_not_better,
)
from onetrip.lab.queue.contenders import contender_of
from onetrip.lab.queue.names import find_experiment
from onetrip.lab.queue.submit import submit

# A confirmation takes more samples than a search does.
_CONFIRM_FACTOR = 2.5


def follow(connection: sqlite3.Connection, experiment_id: int) -> None:
    """Queue the confirmation of a search that won, or promote what was confirmed."""
    experiment = find_experiment(connection, experiment_id)
    if experiment["state"] != "done" or experiment["study_id"] is not None:
        return
    if experiment["purpose"] == "search":
        _confirm(connection, experiment)
    elif experiment["purpose"] == "confirm":
        _promote(connection, experiment)


def _confirm(connection: sqlite3.Connection, search: sqlite3.Row) -> None:
    found = measured_speedup(connection, search["id"])
    if not isinstance(found, Speedup) or not found.low > 1.0:
        return
    best = measured_speedup(connection, search["id"], CHAMPION)
    if isinstance(best, Speedup) and best.high < 1.0 and search["hypothesis_id"] is None:
        # It beat its parent, the champion beat it, and no prediction waits for a second run.
        return
    _ask_again(connection, search, found)


def _promote(connection: sqlite3.Connection, confirmation: sqlite3.Row) -> None:
    answer = last_answer(connection, confirmation["id"])
    found = measured_speedup(connection, confirmation["id"])
    # Without a study nobody knows on which device and versions it was measured.
    if answer is None or answer["study_id"] is None or not isinstance(found, Speedup):
        return
    if why_not_better(connection, confirmation["id"]) is not None:
        return
    unmet = unmet_holder(connection, confirmation["id"], answer["study_id"])
    if unmet is not None or not has_agreement(connection, confirmation):
        _ask_again(connection, confirmation, found)
        return
    why = f"confirmed at {found} times the baseline's speed"
    promote(connection, confirmation["id"], answer["study_id"], why)


def _ask_again(connection: sqlite3.Connection, asked: sqlite3.Row, found: Speedup) -> None:
    """Queue a confirmation of what a search found, or a confirmation that was not enough."""
    answer = last_answer(connection, asked["id"])
    if answer is None:
        return
    factor = _CONFIRM_FACTOR if asked["purpose"] == "search" else 1.0
    expected_s = asked["expected_s"]
    submit(
        connection,
        problem_of(connection, asked["candidate_id"]),
        contender_of(connection, asked["candidate_id"]),
        proposer="lab",
        why=f"#{asked['id']} was {found} times as fast: again, on other inputs, in another order",
        hypothesis_id=asked["hypothesis_id"],
        baseline_id=asked["baseline_id"],
        campaign_id=asked["campaign_id"],
        parent_id=asked["id"],
        purpose="confirm",
        idempotency_key=f"lab:confirm:{answer['id']}",
        limits=json.loads(asked["limits"]),
        expected_s=None if expected_s is None else expected_s * factor,
        max_attempts=asked["max_attempts"],
    )
