"""Whom a candidate is timed beside."""

import sqlite3
from collections.abc import Mapping

from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.champions import BASELINE, CHAMPION
from onetrip.lab.queue.claims import Claim
from onetrip.lab.queue.contenders import contender_of


def rivals_of(
    connection: sqlite3.Connection, claim: Claim, study_id: int
) -> Mapping[str, Contender]:
    """A claim's baseline, and the best so far of its study where that is another."""
    rivals = dict(claim.rivals)
    row = connection.execute(
        "SELECT candidate_id FROM champion WHERE problem_id = ? AND study_id = ? AND until IS NULL",
        (claim.problem_id, study_id),
    ).fetchone()
    if rivals and row is not None and row["candidate_id"] != claim.candidate_id:
        champion = contender_of(connection, row["candidate_id"])
        if champion != rivals[BASELINE]:
            rivals[CHAMPION] = champion
    return rivals
