"""What the valid answers under a hypothesis show: the effect with its interval, or nothing.

An effect counts when its experiment was submitted to test this hypothesis, was measured after the
declaration, ended right, and was neither made invalid nor quarantined. A link that somebody drew
afterwards does not make a result into evidence.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

# With whom a candidate is compared, the first that was there.
_BASELINES = ("baseline", "default", "current")

TESTS = (
    "SELECT experiment.id, experiment.purpose, experiment.state, experiment.candidate_id,"
    " experiment.baseline_id FROM experiment WHERE hypothesis_id = ?1 OR (purpose = 'confirm'"
    " AND hypothesis_id IS NULL"
    " AND parent_id IN (SELECT id FROM experiment WHERE hypothesis_id = ?1))"
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What one answer shows on one workload.

    `gain` is the relative change of the metric against the baseline in the predicted direction:
    0.1 for a time that is ten per cent shorter when a decrease was predicted. `low` to `high` is
    its interval. `says` is "supports", "refutes" or "undecided".
    """

    experiment_id: int
    attempt_id: int
    candidate_id: int
    study_id: int | None
    purpose: str
    seed: str
    workload: str
    gain: float
    low: float
    high: float
    says: str

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON; the seed is not among them."""
        values = asdict(self)
        del values["seed"]
        return values


def effects_of(connection: sqlite3.Connection, hypothesis_id: int) -> list[Effect]:
    """All effects that count under a hypothesis, oldest experiment first."""
    declared = connection.execute(
        "SELECT * FROM hypothesis WHERE id = ?", (hypothesis_id,)
    ).fetchone()
    if declared is None:
        return []
    answers = connection.execute(
        f"SELECT tests.*, answer.id AS attempt_id, seed, study_id, started_at FROM ({TESTS}) tests"
        " JOIN answer ON answer.experiment_id = tests.id"
        " JOIN candidate ON candidate.id = tests.candidate_id"
        " WHERE outcome = 'done' AND quarantined = '' AND purpose IN ('search', 'confirm')"
        " AND started_at >= ?2 AND problem_id = ?3 ORDER BY tests.id",
        (hypothesis_id, declared["declared_at"], declared["problem_id"]),
    ).fetchall()
    workloads = json.loads(declared["workloads"])
    objective = _objective(connection, declared["problem_id"])
    return [
        Effect(
            experiment_id=answer["id"],
            attempt_id=answer["attempt_id"],
            candidate_id=answer["candidate_id"],
            study_id=answer["study_id"],
            purpose=answer["purpose"],
            seed=answer["seed"],
            workload=workload,
            gain=gain,
            low=low,
            high=high,
            says=judgement(low, high, declared["least_effect"]),
        )
        for answer in answers
        for workload, (low, gain, high) in sorted(
            _gains(connection, declared, objective, answer).items()
        )
        if not workloads or workload in workloads
    ]


def judgement(low: float, high: float, least_effect: float) -> str:
    """What an interval of gains says about a least effect.

    >>> judgement(0.06, 0.10, 0.05), judgement(-0.01, 0.04, 0.05), judgement(0.04, 0.10, 0.05)
    ('supports', 'refutes', 'undecided')
    """
    if low >= least_effect and low > 0:
        return "supports"
    if high < least_effect or high <= 0:
        return "refutes"
    return "undecided"


def standing(effects: Iterable[Effect], workloads: Iterable[str]) -> str:
    """What one answer says over all its workloads.

    A prediction is made for every workload: all must support it, and one is enough to refute it.
    """
    says = {effect.workload: effect.says for effect in effects}
    if "refutes" in says.values():
        return "refutes"
    wanted = set(workloads) or says.keys()
    holds = bool(wanted) and all(says.get(workload) == "supports" for workload in wanted)
    return "supports" if holds else "undecided"


def _objective(connection: sqlite3.Connection, problem_id: int) -> tuple[str, bool] | None:
    """Of a run: the metric that its comparisons are about, and whether more of it is better."""
    found = connection.execute(
        "SELECT json_extract(spec, '$.objective') AS metric,"
        " json_extract(spec, '$.direction') = 'maximize' AS more FROM problem"
        " WHERE id = ? AND kind = 'run'",
        (problem_id,),
    ).fetchone()
    return None if found is None else (found["metric"], bool(found["more"]))


def _gains(
    connection: sqlite3.Connection,
    declared: sqlite3.Row,
    objective: tuple[str, bool] | None,
    answer: sqlite3.Row,
) -> dict[str, tuple[float, float, float]]:
    """Workload -> (low, gain, high)."""
    metric = declared["metric"]
    compared = ("latency_ms", False) if objective is None else objective
    if metric == compared[0]:
        changes = _paired_changes(connection, answer["attempt_id"], more_is_better=compared[1])
    elif metric == "latency_ms":
        changes = _time_changes(connection, answer["attempt_id"])
    elif metric == "peak_bytes":
        changes = _peak_changes(connection, answer["attempt_id"])
    else:
        changes = _changes_of_values(connection, metric, answer)
    if declared["direction"] == "increase":
        return changes
    return {workload: (-high, -middle, -low) for workload, (low, middle, high) in changes.items()}


def _paired_changes(
    connection: sqlite3.Connection, attempt_id: int, *, more_is_better: bool
) -> dict:
    """From ratios that were measured in pairs, above 1 being better."""
    found = _of_first_baseline(
        connection.execute(
            "SELECT workload, regime, baseline AS name, speedup, low, high FROM comparison"
            " WHERE attempt_id = ?",
            (attempt_id,),
        ).fetchall()
    )
    if more_is_better:
        return {
            row["workload"]: (row["low"] - 1, row["speedup"] - 1, row["high"] - 1) for row in found
        }
    # The candidate's time over the baseline's is one over the speedup: the ends change places.
    return {
        row["workload"]: (1 / row["high"] - 1, 1 / row["speedup"] - 1, 1 / row["low"] - 1)
        for row in found
        if row["low"] > 0
    }


def _time_changes(connection: sqlite3.Connection, attempt_id: int) -> dict:
    """From times that were not paired: the widest interval that theirs allow."""
    query = (
        "SELECT workload, regime, subject AS name, median_ms, low_ms, high_ms FROM measurement"
        " WHERE attempt_id = ? AND low_ms > 0 AND subject {} 'candidate'"
    )
    own = connection.execute(query.format("="), (attempt_id,)).fetchall()
    others = _of_first_baseline(connection.execute(query.format("<>"), (attempt_id,)).fetchall())
    base = {(row["workload"], row["regime"]): row for row in others}
    return {
        row["workload"]: (
            row["low_ms"] / other["high_ms"] - 1,
            row["median_ms"] / other["median_ms"] - 1,
            row["high_ms"] / other["low_ms"] - 1,
        )
        for row in own
        if (other := base.get((row["workload"], row["regime"]))) is not None
    }


def _peak_changes(connection: sqlite3.Connection, attempt_id: int) -> dict:
    query = (
        "SELECT workload, regime, subject AS name, peak_bytes FROM measurement"
        " WHERE attempt_id = ? AND peak_bytes IS NOT NULL AND subject {} 'candidate'"
    )
    own = connection.execute(query.format("="), (attempt_id,)).fetchall()
    others = _of_first_baseline(connection.execute(query.format("<>"), (attempt_id,)).fetchall())
    base = {(row["workload"], row["regime"]): row["peak_bytes"] for row in others}
    # Peaks are counted, not sampled: the interval is a point.
    return {
        row["workload"]: (change, change, change)
        for row in own
        if (other := base.get((row["workload"], row["regime"])))
        for change in [row["peak_bytes"] / other - 1]
    }


def _of_first_baseline(found: list[sqlite3.Row]) -> list[sqlite3.Row]:
    names = {row["name"] for row in found}
    name = next((name for name in _BASELINES if name in names), None)
    mine = [row for row in found if row["name"] == name]
    regime = "cold" if any(row["regime"] == "cold" for row in mine) else "warm"
    return [row for row in mine if row["regime"] == regime]


def _changes_of_values(connection: sqlite3.Connection, metric: str, answer: sqlite3.Row) -> dict:
    """Against every valid value of the baseline in the same study: their range is the interval."""
    own = _values(connection, metric, "answer.id = ?", answer["attempt_id"])
    base = _values(
        connection,
        metric,
        "answer.outcome = 'done' AND answer.quarantined = '' AND candidate_id = ?"
        " AND answer.study_id IS ?",
        _baseline_of(connection, answer),
        answer["study_id"],
    )
    changes = {}
    for workload, values in own.items():
        found = sorted(values[0] / other - 1 for other in base.get(workload, ()) if other > 0)
        if found:
            changes[workload] = (found[0], found[len(found) // 2], found[-1])
    return changes


def _values(
    connection: sqlite3.Connection, metric: str, condition: str, *values: object
) -> dict[str, list[float]]:
    if metric == "max_error":
        query = (
            "SELECT workload, max(max_error) AS value FROM check_result"
            " JOIN answer ON answer.id = attempt_id JOIN experiment ON experiment.id ="
            f" experiment_id WHERE {condition} GROUP BY attempt_id, workload"
        )
    else:
        query = (
            "SELECT '' AS workload, value FROM metric JOIN answer ON answer.id = attempt_id"
            f" JOIN experiment ON experiment.id = experiment_id WHERE {condition} AND name = ?"
        )
        values = (*values, metric)
    found: dict[str, list[float]] = defaultdict(list)
    for row in connection.execute(query, values):
        if row["value"] is not None:
            found[row["workload"]].append(row["value"])
    return found


def _baseline_of(connection: sqlite3.Connection, answer: sqlite3.Row) -> int | None:
    if answer["baseline_id"] is not None:
        return answer["baseline_id"]
    champion = connection.execute(
        "SELECT candidate_id FROM champion WHERE study_id IS ? AND since <= ?"
        " AND coalesce(until, 9e999) > ? ORDER BY id DESC LIMIT 1",
        (answer["study_id"], answer["started_at"], answer["started_at"]),
    ).fetchone()
    return None if champion is None else champion["candidate_id"]
