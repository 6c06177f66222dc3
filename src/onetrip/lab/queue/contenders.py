"""Read back what runs: a candidate, its rivals, and where its problem is found."""

import json
import sqlite3

from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.store.blobs import get_blob

# What a problem's first candidates have to beat.
DEFINITION = Contender("definition")


def problem_ref(kind: str, spec: str) -> ProblemRef:
    """Where a problem is found, from its row."""
    found = json.loads(spec)
    return ProblemRef(kind, found["location"], found.get("options", {}))


def contender_of(connection: sqlite3.Connection, candidate_id: int) -> Contender:
    """A candidate as the judge wants it."""
    row = connection.execute("SELECT * FROM candidate WHERE id = ?", (candidate_id,)).fetchone()
    source = b""
    if row["source_sha256"] is not None:
        source = get_blob(connection, row["source_sha256"]) or b""
    return Contender(row["kind"], source.decode(), row["impl"], json.loads(row["config"]))


def rivals_of(connection: sqlite3.Connection, experiment: sqlite3.Row) -> dict[str, Contender]:
    """What an experiment's candidate is compared with, by name.

    A champion that is measured again is held against the definition, not against itself.
    """
    if experiment["purpose"] == "baseline":
        return {}
    baseline_id = experiment["baseline_id"] or champion_id(connection, experiment["problem_id"])
    if baseline_id is None or baseline_id == experiment["candidate_id"]:
        return {"baseline": DEFINITION}
    return {"baseline": contender_of(connection, baseline_id)}


def champion_id(connection: sqlite3.Connection, problem_id: int) -> int | None:
    """The candidate that holds the problem's latest title, whichever device it was won on."""
    row = connection.execute(
        "SELECT candidate_id FROM champion WHERE problem_id = ? AND until IS NULL"
        " ORDER BY since DESC, id DESC LIMIT 1",
        (problem_id,),
    ).fetchone()
    return None if row is None else row["candidate_id"]
