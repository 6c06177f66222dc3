"""What a result leads to: a promising one is confirmed with other inputs, a confirmed one wins."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue import champions, submit
from onetrip.lab.queue.claims import Claim
from onetrip.lab.queue.contenders import contender_of
from onetrip.lab.verdict import Comparison
from onetrip.lab.work.past import combined, comparisons

# Names of rivals: what the experiment is to beat, and the best so far where that is another.
BASELINE, CHAMPION = "baseline", "champion"


@dataclass(frozen=True, slots=True)
class _Result:
    experiment_id: int
    candidate_id: int
    problem_id: int
    study_id: int | None
    campaign_id: int | None
    hypothesis_id: int | None
    baseline_id: int | None
    purpose: str
    title: str
    limits: str
    attempt_id: int


def rivals_of(
    connection: sqlite3.Connection, claim: Claim, study_id: int
) -> Mapping[str, Contender]:
    """Whom a claim's candidate is timed beside: its baseline, and the best so far of its study."""
    rivals = dict(claim.rivals)
    best = _champion(connection, claim.problem_id, study_id)
    if rivals and best not in (None, claim.candidate_id):
        champion = contender_of(connection, best)
        if champion != rivals[BASELINE]:
            rivals[CHAMPION] = champion
    return rivals


def advance(connection: sqlite3.Connection, experiment_id: int) -> None:
    """Queue the confirmation of a promising search, or promote what is confirmed."""
    result = _result(connection, experiment_id)
    if result is None or result.study_id is None:
        return
    pair = _against_the_best(connection, result)
    if pair is None or not pair.faster:
        return
    if result.purpose == "search":
        _confirm(connection, result, pair)
    elif result.purpose == "confirm":
        why = (
            f"#{result.experiment_id} confirmed {pair.speedup:.3g}x "
            f"[{pair.low:.3g}, {pair.high:.3g}] over the best before"
        )
        champions.promote(connection, result.experiment_id, result.study_id, why)


def _against_the_best(connection: sqlite3.Connection, result: _Result) -> Comparison | None:
    """How it stands to the champion; to its baseline where there is none yet."""
    best = _champion(connection, result.problem_id, result.study_id)
    if best == result.candidate_id:
        return None
    baseline = combined(comparisons(connection, result.attempt_id, BASELINE))
    champion = combined(comparisons(connection, result.attempt_id, CHAMPION))
    if champion is not None:
        return champion
    if best is None or result.baseline_id in (None, best):
        return baseline
    # Measured before there was this champion: only a new measurement can tell.
    return None


def _confirm(connection: sqlite3.Connection, result: _Result, pair: Comparison) -> None:
    submit.submit(
        connection,
        result.problem_id,
        contender_of(connection, result.candidate_id),
        proposer="confirm",
        why=(
            f"#{result.experiment_id} measured {pair.speedup:.3g}x [{pair.low:.3g}, "
            f"{pair.high:.3g}]: a second run with other inputs and order must agree"
        ),
        title=result.title,
        hypothesis_id=result.hypothesis_id,
        baseline_id=result.baseline_id,
        campaign_id=result.campaign_id,
        parent_id=result.experiment_id,
        purpose="confirm",
        limits=json.loads(result.limits),
        idempotency_key=f"confirm {result.experiment_id} attempt {result.attempt_id}",
    )


def _champion(connection: sqlite3.Connection, problem_id: int, study_id: int | None) -> int | None:
    row = connection.execute(
        "SELECT candidate_id FROM champion WHERE problem_id = ? AND study_id = ? AND until IS NULL",
        (problem_id, study_id),
    ).fetchone()
    return None if row is None else row["candidate_id"]


def _result(connection: sqlite3.Connection, experiment_id: int) -> _Result | None:
    """A done experiment with its valid attempt; None for any other."""
    row = connection.execute(
        "SELECT experiment.id AS experiment_id, candidate_id, candidate.problem_id,"
        " attempt.study_id, experiment.campaign_id, hypothesis_id, baseline_id, purpose,"
        " candidate.title, limits, attempt.id AS attempt_id"
        " FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " JOIN attempt ON attempt.experiment_id = experiment.id"
        " WHERE experiment.id = ? AND experiment.state = 'done' AND outcome = 'done'"
        " AND invalid = '' AND quarantined = '' ORDER BY attempt.id DESC LIMIT 1",
        (experiment_id,),
    ).fetchone()
    return None if row is None else _Result(**dict(row))
