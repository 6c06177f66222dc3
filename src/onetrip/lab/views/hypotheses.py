"""Hypotheses: what is being validated, what was ruled out, and by which evidence."""

import sqlite3
from collections import Counter

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.knowledge.effects import effects_of
from onetrip.lab.knowledge.hypotheses import STATUSES, is_as_declared
from onetrip.lab.knowledge.status import prediction_text
from onetrip.lab.views.experiments import rows_of
from onetrip.lab.views.learnings import list_learnings
from onetrip.lab.views.read import one, rows

_COLUMNS = (
    "SELECT hypothesis.*, problem.name AS problem FROM hypothesis"
    " JOIN problem ON problem.id = problem_id"
)


def list_hypotheses(
    connection: sqlite3.Connection, status: str | None = None, *, problem_id: int | None = None
) -> list[dict]:
    """Hypotheses, newest first: the columns, and `problem` (its name), `prediction` (a sentence).

    `counts_by_state` counts the experiments that test it, `supports` and `refutes` those whose
    result speaks for or against it.

    Raises
    ------
    ArgumentError
        `status` is none.
    """
    if status is not None and status not in STATUSES:
        expected = f"one of {', '.join(STATUSES)} or None"
        raise ArgumentError(complaint("status", expected=expected, got=repr(status)))
    found = rows(
        connection,
        f"{_COLUMNS} WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR problem_id = ?2)"
        " ORDER BY hypothesis.id DESC",
        status,
        problem_id,
    )
    states: dict[int, Counter] = {row["id"]: Counter() for row in found}
    for row in connection.execute(
        "SELECT hypothesis_id, state, count(*) AS n FROM experiment"
        " WHERE hypothesis_id IS NOT NULL GROUP BY hypothesis_id, state"
    ):
        if row["hypothesis_id"] in states:
            states[row["hypothesis_id"]][row["state"]] = row["n"]
    evidence = _evidence_counts(connection)
    for row in found:
        row["prediction"] = prediction_text(row)
        row["counts_by_state"] = dict(states[row["id"]])
        row["supports"] = evidence[row["id"], "supports"]
        row["refutes"] = evidence[row["id"], "refutes"]
    return found


def hypothesis(connection: sqlite3.Connection, id: int) -> dict | None:
    """Everything about one hypothesis; None when there is none with this number.

    The list's row, and besides: `as_declared` (its prediction is the one that was frozen),
    `experiments` (rows of the list), `effects` (what each valid answer shows on each workload:
    `gain`, `low`, `high`, `says` "supports", "refutes" or "undecided"), `learnings`, `children`,
    `events`, `edges` and `spent`.
    """
    found = one(connection, f"{_COLUMNS} WHERE hypothesis.id = ?", id)
    if found is None:
        return None
    experiment_ids = [
        row["id"]
        for row in connection.execute(
            "SELECT id FROM experiment WHERE hypothesis_id = ? ORDER BY id", (id,)
        )
    ]
    tests = rows_of(connection, experiment_ids)
    evidence = _evidence_counts(connection)
    return found | {
        "prediction": prediction_text(found),
        "as_declared": is_as_declared(connection, id),
        "counts_by_state": dict(Counter(row["state"] for row in tests)),
        "supports": evidence[id, "supports"],
        "refutes": evidence[id, "refutes"],
        "experiments": tests,
        "effects": [effect.as_dict() for effect in effects_of(connection, id)],
        "learnings": list_learnings(connection, about=("hypothesis", id)),
        "children": rows(
            connection, "SELECT id, title, status FROM hypothesis WHERE parent_id = ?", id
        ),
        "events": rows(
            connection,
            "SELECT seq, at, type, text, document FROM event"
            " WHERE subject_type = 'hypothesis' AND subject_id = ? ORDER BY seq",
            id,
        ),
        "edges": rows(
            connection,
            "SELECT * FROM edge WHERE (source_type = 'hypothesis' AND source_id = ?)"
            " OR (target_type = 'hypothesis' AND target_id = ?) ORDER BY created_at",
            id,
            id,
        ),
        "spent": {
            row["kind"]: row["amount"]
            for row in connection.execute(
                "SELECT kind, sum(amount) AS amount FROM ledger WHERE hypothesis_id = ?"
                " GROUP BY kind",
                (id,),
            )
        },
    }


def _evidence_counts(connection: sqlite3.Connection) -> Counter:
    return Counter(
        {
            (row["target_id"], row["relation"]): row["n"]
            for row in connection.execute(
                "SELECT target_id, relation, count(*) AS n FROM edge"
                " WHERE source_type = 'experiment' AND target_type = 'hypothesis'"
                " AND relation IN ('supports', 'refutes') GROUP BY target_id, relation"
            )
        }
    )
