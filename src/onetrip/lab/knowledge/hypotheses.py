"""Hypotheses: declared beforehand, frozen, their status computed from evidence.

There is no function that sets a status to what somebody wishes: `recompute` derives it from
valid comparisons, and `withdraw` takes an undecided one back.
"""

import json
import math
import sqlite3
import time
from collections.abc import Mapping, Sequence

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.knowledge.effects import effects_of, standing
from onetrip.lab.knowledge.status import by_answer, prediction_text, status_of
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.store.study import canonical, fingerprint

STATUSES = (
    "open",
    "testing",
    "supported",
    "refuted",
    "inconclusive",
    "superseded",
    "withdrawn",
)
DECIDED = ("supported", "refuted")
DIRECTIONS = ("decrease", "increase")
LONGEST_TITLE = 200
LONGEST_TEXT = 20_000
# Who signs the edges that follow from evidence.
LAB = "lab"
_DECLARED = (
    "title",
    "rationale",
    "problem_id",
    "metric",
    "direction",
    "least_effect",
    "workloads",
    "prior",
    "parent_id",
    "declared_by",
    "declared_at",
)


def declare(
    connection: sqlite3.Connection,
    *,
    title: str,
    rationale: str,
    problem_id: int,
    metric: str,
    direction: str,
    least_effect: float,
    workloads: Sequence[str] = (),
    prior: float = 0.5,
    parent_id: int | None = None,
    by: str,
) -> int:
    """Write down a prediction before it is tested; return its number. It never changes again.

    Parameters
    ----------
    title, rationale : what is believed, and why (Markdown).
    metric : "latency_ms", "peak_bytes", "max_error", or the name of a run's own metric.
    direction : "decrease" or "increase".
    least_effect : relative change against the baseline that must be reached: 0.05 is 5 %.
    workloads : names of those on which it must hold, each of them; empty for all.
    prior : how likely it seems to whoever declares it, between 0 and 1.
    parent_id : the hypothesis that it came from.
    by : who declares it.

    Raises
    ------
    ArgumentError
        A value that is not allowed, or a problem or parent that does not exist.
    """
    _check_text("title", title, LONGEST_TITLE)
    _check_text("rationale", rationale, LONGEST_TEXT)
    _check_text("metric", metric, LONGEST_TITLE)
    _check_text("by", by, LONGEST_TITLE)
    if direction not in DIRECTIONS:
        raise ArgumentError(
            complaint("direction", expected="'decrease' or 'increase'", got=repr(direction))
        )
    if not (math.isfinite(least_effect) and least_effect >= 0):
        way_out = "It is relative: 0.05 is five per cent."
        expected = "a number of at least 0"
        raise ArgumentError(
            complaint("least_effect", expected=expected, got=least_effect, way_out=way_out)
        )
    if not 0 < prior < 1:
        raise ArgumentError(complaint("prior", expected="between 0 and 1, neither", got=prior))
    if isinstance(workloads, str) or not all(isinstance(name, str) for name in workloads):
        raise ArgumentError(complaint("workloads", expected="a list of names", got=workloads))
    values = {
        "title": title.strip(),
        "rationale": rationale.strip(),
        "problem_id": problem_id,
        "metric": metric,
        "direction": direction,
        "least_effect": float(least_effect),
        "workloads": canonical(sorted(set(workloads))),
        "prior": float(prior),
        "parent_id": parent_id,
        "declared_by": by,
        "declared_at": time.time(),
    }
    with transaction(connection):
        _check_exists(connection, "problem", "problem_id", problem_id)
        if parent_id is not None:
            _check_exists(connection, "hypothesis", "parent_id", parent_id)
        values["frozen_sha256"] = frozen_sha256(values)
        values["status_why"] = "no experiment tests it yet"
        hypothesis_id = connection.execute(
            f"INSERT INTO hypothesis ({', '.join(values)})"
            f" VALUES ({', '.join('?' * len(values))}) RETURNING id",
            tuple(values.values()),
        ).fetchone()["id"]
        append_event(
            connection,
            "hypothesis.declared",
            "hypothesis",
            hypothesis_id,
            f"{by} predicts: {values['title']} ({prediction_text(values)})",
            problem=problem_id,
        )
    return hypothesis_id


def recompute(connection: sqlite3.Connection, hypothesis_id: int) -> str:
    """Derive the status from the evidence as it is now; return it.

    - supported: one candidate's search and its confirmation with another seed both show, on every
      named workload, an interval that lies beyond the least effect;
    - testing: not yet supported, and experiments wait or run;
    - refuted: nothing waits, no answer leaves the effect possible, and at least one interval
      excludes it;
    - inconclusive: all is done and neither;
    - open: nothing tests it.

    A candidate that is incorrect, crashes or does not compile refutes nothing: it says that this
    program is wrong, not that the idea is. It counts as no valid evidence.

    Edges "supports" and "refutes" are written and taken back as the evidence comes and goes, and
    a decision that loses its evidence is reopened, with an event each.
    """
    with transaction(connection):
        _check_exists(connection, "hypothesis", "hypothesis_id", hypothesis_id)
        declared = connection.execute(
            "SELECT * FROM hypothesis WHERE id = ?", (hypothesis_id,)
        ).fetchone()
        effects = effects_of(connection, hypothesis_id)
        as_declared = is_as_declared(connection, hypothesis_id)
        answers = by_answer(effects if as_declared else [])
        says = {
            answer[0].experiment_id: standing(answer, json.loads(declared["workloads"]))
            for answer in answers
        }
        _write_edges(connection, declared, says)
        if declared["status"] == "withdrawn":
            return "withdrawn"
        if as_declared:
            status, why = status_of(connection, declared, answers, says)
        else:
            status, why = "inconclusive", "it was altered after its declaration: nothing counts"
        _write_status(connection, declared, status, why)
    return status


def recompute_for(connection: sqlite3.Connection, experiment_id: int) -> None:
    """Recompute what an experiment bears on.

    That is the hypothesis it tests, the one its parent tests when it confirms the parent, and
    those whose candidates are compared with its candidate. Besides, whatever a process left
    behind that was killed between a result and this: what is open although it was tested, and
    what is being tested although nothing waits.
    """
    found = connection.execute(
        "SELECT hypothesis_id FROM experiment WHERE id = ?1 AND hypothesis_id IS NOT NULL"
        " UNION SELECT parent.hypothesis_id FROM experiment JOIN experiment AS parent"
        " ON parent.id = experiment.parent_id WHERE experiment.id = ?1"
        " AND experiment.purpose = 'confirm' AND parent.hypothesis_id IS NOT NULL"
        " UNION SELECT other.hypothesis_id FROM experiment JOIN experiment AS other"
        " ON other.baseline_id = experiment.candidate_id WHERE experiment.id = ?1"
        " AND other.hypothesis_id IS NOT NULL"
        " UNION SELECT id FROM hypothesis WHERE status = 'open' AND id IN"
        "  (SELECT hypothesis_id FROM experiment WHERE state NOT IN ('cancelled', 'pruned'))"
        " UNION SELECT id FROM hypothesis WHERE status = 'testing' AND id NOT IN"
        "  (SELECT hypothesis_id FROM experiment WHERE hypothesis_id IS NOT NULL"
        "   AND state IN ('queued', 'paused', 'running'))",
        (experiment_id,),
    ).fetchall()
    for row in found:
        recompute(connection, row["hypothesis_id"])


def withdraw(connection: sqlite3.Connection, hypothesis_id: int, by: str, why: str) -> None:
    """Take an undecided hypothesis back.

    Raises
    ------
    ArgumentError
        It does not exist, or is decided: what evidence has shown cannot be taken back.
    """
    _check_text("by", by, LONGEST_TITLE)
    _check_text("why", why, LONGEST_TEXT)
    with transaction(connection):
        _check_exists(connection, "hypothesis", "hypothesis_id", hypothesis_id)
        status = connection.execute(
            "SELECT status FROM hypothesis WHERE id = ?", (hypothesis_id,)
        ).fetchone()["status"]
        if status in DECIDED:
            way_out = "Add a learning that says what was wrong with it."
            raise ArgumentError(
                complaint(
                    "hypothesis_id",
                    expected="an undecided hypothesis",
                    got=f"{hypothesis_id}, which is {status}",
                    way_out=way_out,
                )
            )
        connection.execute(
            "UPDATE hypothesis SET status = 'withdrawn', status_why = ? WHERE id = ?",
            (f"{by}: {why}", hypothesis_id),
        )
        text = f"{by} withdraws hypothesis {hypothesis_id}: {why}"
        append_event(connection, "hypothesis.withdrawn", "hypothesis", hypothesis_id, text)


def is_as_declared(connection: sqlite3.Connection, hypothesis_id: int) -> bool:
    """Whether what was declared is still what was frozen."""
    row = connection.execute("SELECT * FROM hypothesis WHERE id = ?", (hypothesis_id,)).fetchone()
    return row is not None and row["frozen_sha256"] == frozen_sha256(row)


def _write_edges(
    connection: sqlite3.Connection, declared: sqlite3.Row, says: Mapping[int, str]
) -> None:
    number = declared["id"]
    wanted = {(experiment, word) for experiment, word in says.items() if word != "undecided"}
    there = {
        (row["source_id"], row["relation"])
        for row in connection.execute(
            "SELECT source_id, relation FROM edge WHERE source_type = 'experiment'"
            " AND target_type = 'hypothesis' AND target_id = ?"
            " AND relation IN ('supports', 'refutes')",
            (number,),
        )
    }
    for experiment, word in sorted(there - wanted):
        connection.execute(
            "DELETE FROM edge WHERE source_type = 'experiment' AND source_id = ?"
            " AND relation = ? AND target_type = 'hypothesis' AND target_id = ?",
            (experiment, word, number),
        )
    for experiment, word in sorted(wanted - there):
        connection.execute(
            "INSERT INTO edge (source_type, source_id, relation, target_type, target_id,"
            " created_by, created_at) VALUES ('experiment', ?, ?, 'hypothesis', ?, ?, ?)",
            (experiment, word, number, LAB, time.time()),
        )
        text = f"experiment {experiment} {word} hypothesis {number}: {declared['title']}"
        append_event(
            connection, "edge.added", "hypothesis", number, text, experiment=experiment, says=word
        )


def _write_status(
    connection: sqlite3.Connection, declared: sqlite3.Row, status: str, why: str
) -> None:
    before = declared["status"]
    if (before, declared["status_why"]) == (status, why):
        return
    connection.execute(
        "UPDATE hypothesis SET status = ?, status_why = ? WHERE id = ?",
        (status, why, declared["id"]),
    )
    if before == status:
        return
    reopened = status == "open" or (before in DECIDED and status not in DECIDED)
    append_event(
        connection,
        f"hypothesis.{'reopened' if reopened else status}",
        "hypothesis",
        declared["id"],
        f"hypothesis {declared['id']} ({declared['title']}) was {before}, is {status}: {why}",
        before=before,
        status=status,
    )


def frozen_sha256(declared: Mapping | sqlite3.Row) -> str:
    """One hash of all that is declared; `workloads` as the JSON text that is stored."""
    return fingerprint([declared[name] for name in _DECLARED])


def _check_text(name: str, text: str, longest: int) -> None:
    if not isinstance(text, str) or not text.strip() or len(text) > longest:
        got = f"{len(text)} characters" if isinstance(text, str) else repr(text)
        raise ArgumentError(complaint(name, expected=f"1 to {longest} characters", got=got))


def _check_exists(
    connection: sqlite3.Connection, table: str, argument: str, number: int | None
) -> None:
    if connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (number,)).fetchone() is None:
        raise ArgumentError(complaint(argument, expected=f"the number of a {table}", got=number))
