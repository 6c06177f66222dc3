"""Who holds a problem's title, and what it takes to win it.

Only a confirmation promotes: its comparison with "baseline" lies above 1 with its whole interval,
and an earlier run, with other inputs and another order, said the same. Where the baseline was not
the best so far, the comparison with that "champion" must say it too. What is quarantined or invalid
never counts.
"""

import math
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from onetrip.core.errors import UnsupportedError
from onetrip.lab.queue.names import experiment_name, find_experiment
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event

# Names of rivals: what an experiment is to beat, and the best so far where that is another.
BASELINE, CHAMPION = "baseline", "champion"


@dataclass(frozen=True, slots=True)
class Speedup:
    """Speed against a rival over all timed workloads, with its interval."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({self.low:.3f} to {self.high:.3f})"


def why_not(connection: sqlite3.Connection, experiment_id: int) -> str | None:
    """Why an experiment's candidate cannot be champion; None when it can."""
    experiment = find_experiment(connection, experiment_id)
    if experiment["purpose"] != "confirm":
        return f"#{experiment_id} is no confirmation: it was asked for as {experiment['purpose']}"
    reason = why_not_better(connection, experiment_id)
    if reason is not None:
        return reason
    if not has_agreement(connection, experiment):
        return f"no other run agrees with #{experiment_id}: a title takes two"
    return None


def why_not_better(connection: sqlite3.Connection, experiment_id: int) -> str | None:
    """Why a run does not show its candidate better than the baseline, and than the champion."""
    found = measured_speedup(connection, experiment_id)
    if isinstance(found, str):
        return found
    if not found.low > 1.0:
        return f"#{experiment_id} shows no gain over the baseline: {found}"
    best = measured_speedup(connection, experiment_id, CHAMPION)
    if isinstance(best, Speedup) and not best.low > 1.0:
        return f"#{experiment_id} shows no gain over the champion: {best}"
    return None


def has_agreement(connection: sqlite3.Connection, experiment: sqlite3.Row) -> bool:
    """Whether another run of the same candidate shows it better too."""
    others = connection.execute(
        "SELECT id FROM experiment WHERE candidate_id = ? AND id <> ? AND state = 'done'"
        " AND purpose IN ('search', 'confirm')",
        (experiment["candidate_id"], experiment["id"]),
    ).fetchall()
    return any(why_not_better(connection, other["id"]) is None for other in others)


def measured_speedup(
    connection: sqlite3.Connection, experiment_id: int, rival: str = BASELINE
) -> Speedup | str:
    """Speed against a rival as its last answer has it, or why there is none that counts."""
    attempt = last_answer(connection, experiment_id)
    if attempt is None:
        return f"#{experiment_id} has no answer yet"
    if attempt["invalid"]:
        return f"#{experiment_id} counts for nothing: {attempt['invalid']}"
    if attempt["quarantined"]:
        return f"#{experiment_id} is quarantined: {attempt['quarantined']}"
    if attempt["outcome"] != "done":
        return f"#{experiment_id} is not done: {attempt['outcome']}"
    found = overall(_pairs(connection, attempt["id"], rival))
    return found or f"#{experiment_id} was not compared with the {rival}"


def last_answer(connection: sqlite3.Connection, experiment_id: int) -> sqlite3.Row | None:
    """The last attempt that was answered, whatever it is worth."""
    return connection.execute(
        "SELECT * FROM attempt WHERE experiment_id = ? AND outcome IS NOT NULL"
        " AND outcome <> 'infra_lost' ORDER BY id DESC LIMIT 1",
        (experiment_id,),
    ).fetchone()


def holder(connection: sqlite3.Connection, problem_id: int, study_id: int) -> sqlite3.Row | None:
    """The title of a problem in a study as it is held now."""
    return connection.execute(
        "SELECT * FROM champion WHERE problem_id = ? AND study_id = ? AND until IS NULL",
        (problem_id, study_id),
    ).fetchone()


def unmet_holder(
    connection: sqlite3.Connection, experiment_id: int, study_id: int
) -> sqlite3.Row | None:
    """The champion that an experiment was not measured against; None when it was, or has none."""
    experiment = find_experiment(connection, experiment_id)
    attempt = last_answer(connection, experiment_id)
    held = holder(connection, problem_of(connection, experiment["candidate_id"]), study_id)
    if held is None or attempt is None or held["candidate_id"] == experiment["candidate_id"]:
        return None
    met = held["candidate_id"] == experiment["baseline_id"] or (
        held["since"] <= attempt["started_at"]
        and (experiment["baseline_id"] is None or _pairs(connection, attempt["id"], CHAMPION))
    )
    return None if met else held


def overall(pairs: Sequence[sqlite3.Row]) -> Speedup | None:
    """The geometric mean over workloads; what is measured warm counts where nothing is cold.

    Workloads are measured one by one, so the widths of their intervals add up like independent
    errors do: the mean of n has the root of the summed squares over n.
    """
    cold = [pair for pair in pairs if pair["regime"] == "cold"]
    counted = cold or pairs
    whole = [pair for pair in counted if pair["workload"] == ""]
    counted = whole or counted
    if not counted or any(pair["low"] <= 0 for pair in counted):
        return None
    middle = sum(math.log(pair["speedup"]) for pair in counted) / len(counted)

    def width(side: str) -> float:
        widths = (math.log(pair[side] / pair["speedup"]) for pair in counted)
        return math.sqrt(sum(one**2 for one in widths)) / len(counted)

    return Speedup(
        math.exp(middle), math.exp(middle - width("low")), math.exp(middle + width("high"))
    )


def promote(connection: sqlite3.Connection, experiment_id: int, study_id: int, why: str) -> int:
    """Give the title of a problem, in a study, to a confirmed candidate; return the title's id.

    Raises
    ------
    UnsupportedError
        The rule does not allow it, with the reason.
    """
    with transaction(connection):
        reason = why_not(connection, experiment_id)
        if unmet_holder(connection, experiment_id, study_id) is not None:
            reason = f"#{experiment_id} was not measured against the champion"
        if reason is not None:
            raise UnsupportedError(f"No promotion: {reason}.")
        return _crown(connection, experiment_id, study_id, why)


def withdraw_unfounded(connection: sqlite3.Connection, experiment_id: int, why: str) -> None:
    """Take titles back that rested on an experiment; part of the transaction that is open.

    The one before returns, if what it rests on still stands.
    """
    candidate_id = find_experiment(connection, experiment_id)["candidate_id"]
    held = connection.execute(
        "SELECT * FROM champion WHERE candidate_id = ? AND until IS NULL", (candidate_id,)
    ).fetchall()
    for title in held:
        if why_not(connection, title["experiment_id"]) is None:
            continue
        connection.execute("UPDATE champion SET until = ? WHERE id = ?", (time.time(), title["id"]))
        append_event(
            connection,
            "champion.withdrawn",
            "experiment",
            title["experiment_id"],
            f"{experiment_name(connection, title['experiment_id'])} is champion no longer: {why}",
        )
        earlier = connection.execute(
            "SELECT DISTINCT experiment_id FROM champion WHERE problem_id = ? AND study_id = ?"
            " AND id < ? ORDER BY id DESC",
            (title["problem_id"], title["study_id"], title["id"]),
        ).fetchall()
        for row in earlier:
            if why_not(connection, row["experiment_id"]) is None:
                reason = f"the title returns to it: its successor's measurement is invalid ({why})"
                _crown(connection, row["experiment_id"], title["study_id"], reason)
                break


def _crown(connection: sqlite3.Connection, experiment_id: int, study_id: int, why: str) -> int:
    candidate_id = find_experiment(connection, experiment_id)["candidate_id"]
    key = (problem_of(connection, candidate_id), study_id)
    now = time.time()
    held = holder(connection, *key)
    if held is not None and held["candidate_id"] == candidate_id:
        return held["id"]
    connection.execute(
        "UPDATE champion SET until = ? WHERE problem_id = ? AND study_id = ? AND until IS NULL",
        (now, *key),
    )
    title_id = connection.execute(
        "INSERT INTO champion (problem_id, study_id, candidate_id, experiment_id, why, since)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (*key, candidate_id, experiment_id, why, now),
    ).fetchone()["id"]
    append_event(
        connection,
        "champion.new",
        "experiment",
        experiment_id,
        f"{experiment_name(connection, experiment_id)} is the champion: {why}",
        champion=title_id,
        study=study_id,
    )
    return title_id


def problem_of(connection: sqlite3.Connection, candidate_id: int) -> int:
    """The problem that a candidate is of."""
    query = "SELECT problem_id FROM candidate WHERE id = ?"
    return connection.execute(query, (candidate_id,)).fetchone()["problem_id"]


def _pairs(connection: sqlite3.Connection, attempt_id: int, rival: str) -> list[sqlite3.Row]:
    return connection.execute(
        "SELECT workload, regime, speedup, low, high FROM comparison"
        " WHERE attempt_id = ? AND baseline = ? ORDER BY workload, regime",
        (attempt_id, rival),
    ).fetchall()
