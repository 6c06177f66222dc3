"""Bring work into the lab: problems, candidates, and the experiments that are asked of them."""

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue.after import KNOWLEDGE, settle
from onetrip.lab.queue.names import experiment_name, find_experiment
from onetrip.lab.queue.priority import place
from onetrip.lab.store.blobs import LARGEST_BLOB, put_blob
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.store.study import canonical, fingerprint

PURPOSES = ("search", "confirm", "baseline")
# What an experiment may ask of its attempts.
LIMITS = ("seconds", "memory_bytes", "device", "cases")
_LONGEST_TITLE = 200
_LONGEST_WHY = 20_000


@dataclass(frozen=True, slots=True)
class ProblemFacts:
    """A problem as the store keeps it, without loading it.

    Parameters
    ----------
    kind : "operator", "folder", "kernelbench" or "run".
    name : short and unique in a lab.
    fingerprint : SHA-256 of all that changes the work.
    spec : "location" and "options", of which a `ProblemRef` is made, and whatever else a reader
        of the problem wants.
    brief : Markdown for who proposes.
    weight : its share of the whole that it stands for (Amdahl).
    refused : why it may not be judged; empty when it may.
    tolerance : what decides right or wrong, kept with every attempt.
    """

    kind: str
    name: str
    fingerprint: str
    spec: Mapping[str, object]
    brief: str = ""
    weight: float = 1.0
    refused: str = ""
    tolerance: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submission became; `created` is False when the experiment was there before."""

    experiment_id: int
    candidate_id: int
    created: bool


def add_problem(connection: sqlite3.Connection, problem: ProblemFacts) -> int:
    """Id of the problem with this fingerprint; what may change about it is brought up to date."""
    if not isinstance(problem.spec.get("location"), str):
        raise ArgumentError(
            complaint(
                "problem.spec",
                expected='a mapping with a "location" that loads the problem again',
                got=sorted(problem.spec),
            )
        )
    with transaction(connection):
        return insert_problem(connection, problem)


def insert_problem(connection: sqlite3.Connection, problem: ProblemFacts) -> int:
    """`add_problem` as part of the transaction that is open."""
    now = time.time()
    before = connection.execute(
        "SELECT id, refused FROM problem WHERE fingerprint = ?", (problem.fingerprint,)
    ).fetchone()
    problem_id = connection.execute(
        "INSERT INTO problem (fingerprint, kind, name, spec, brief, weight, refused, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (fingerprint) DO UPDATE SET spec = excluded.spec, brief = excluded.brief,"
        " weight = excluded.weight, refused = excluded.refused RETURNING id",
        (
            problem.fingerprint,
            problem.kind,
            problem.name,
            canonical(dict(problem.spec)),
            problem.brief,
            problem.weight,
            problem.refused,
            now,
        ),
    ).fetchone()["id"]
    tolerance = canonical(dict(problem.tolerance))
    connection.execute(
        "INSERT INTO tolerance (problem_id, sha256, policy, created_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (problem_id, fingerprint(dict(problem.tolerance)), tolerance, now),
    )
    if problem.refused and (before is None or before["refused"] != problem.refused):
        text = f"{problem.name} is refused: {problem.refused}"
        append_event(connection, "problem.refused", "problem", problem_id, text)
    elif before is None:
        text = f"{problem.name} can be worked on"
        append_event(connection, "problem.added", "problem", problem_id, text, kind=problem.kind)
    return problem_id


def submit(
    connection: sqlite3.Connection,
    problem_id: int,
    contender: Contender,
    *,
    proposer: str,
    why: str,
    title: str = "",
    parent_candidate_id: int | None = None,
    hypothesis_id: int | None = None,
    baseline_id: int | None = None,
    campaign_id: int | None = None,
    parent_id: int | None = None,
    purpose: str = "search",
    idempotency_key: str | None = None,
    limits: Mapping[str, object] | None = None,
    expected_s: float | None = None,
    max_attempts: int = 5,
    study_id: int | None = None,
    priority: float = 0.0,
    pruned: str | None = None,
) -> Submitted:
    """Queue an experiment of a candidate, in one transaction with its event.

    What it tests and what it was made from stand in columns, from which the graph's edges follow.

    Parameters
    ----------
    contender : a source, or an implementation with a configuration.
    proposer : who asks: "person", "grid", "TPE", "agent:NAME".
    why : what it is hoped to show.
    parent_candidate_id : what the candidate was made from; by default that of `parent_id`.
    hypothesis_id : which prediction it tests.
    baseline_id : the candidate it is compared with; by default the champion of the day.
    parent_id : the experiment that led to this one.
    purpose : "search" (few samples), "confirm" (many), "baseline" (of the yardstick itself).
    idempotency_key : the same key gives the same experiment, however often it is sent.
    limits : "seconds", "memory_bytes", "device" and "cases" of an attempt.
    expected_s : what one attempt is expected to take.
    max_attempts : so often may its process be lost before it is given up.
    study_id : a tune's: measured in that study only, once for each candidate and purpose.
    priority : of a tune's; any other gets its first score here.
    pruned : why it will never run: it is recorded, not queued.

    Raises
    ------
    UnsupportedError
        The problem is refused.
    ArgumentError
        Something that is named is not there, or has a value that is not allowed.
    """
    _check(contender, proposer, why, title, purpose, limits)
    now = time.time()
    with transaction(connection):
        if idempotency_key is not None:
            known = connection.execute(
                "SELECT id, candidate_id FROM experiment WHERE idempotency_key = ?",
                (idempotency_key,),
            ).fetchone()
            if known is not None:
                return Submitted(known["id"], known["candidate_id"], created=False)
        problem = _accepted_problem(connection, problem_id)
        for name, table, number in (
            ("parent_candidate_id", "candidate", parent_candidate_id),
            ("baseline_id", "candidate", baseline_id),
            ("hypothesis_id", "hypothesis", hypothesis_id),
            ("campaign_id", "campaign", campaign_id),
            ("study_id", "study", study_id),
        ):
            _require_row(connection, name, table, number)
        if parent_id is not None:
            parent = find_experiment(connection, parent_id)
            parent_candidate_id = parent_candidate_id or parent["candidate_id"]
        candidate_id = _candidate(
            connection, problem, contender, title, parent_candidate_id, proposer, now
        )
        known = connection.execute(
            "SELECT id FROM experiment WHERE study_id = ? AND candidate_id = ? AND purpose = ?",
            (study_id, candidate_id, purpose),
        ).fetchone()
        if known is not None:
            return Submitted(known["id"], candidate_id, created=False)
        experiment_id = connection.execute(
            "INSERT INTO experiment (candidate_id, purpose, study_id, campaign_id, hypothesis_id,"
            " baseline_id, parent_id, proposer, why, idempotency_key, limits, state, reason,"
            " priority, expected_s, max_attempts, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                candidate_id,
                purpose,
                study_id,
                campaign_id,
                hypothesis_id,
                baseline_id,
                parent_id,
                proposer,
                why,
                idempotency_key,
                canonical(dict(limits or {})),
                "queued" if pruned is None else "pruned",
                pruned or "",
                priority,
                expected_s,
                max_attempts,
                now,
                now,
            ),
        ).fetchone()["id"]
        if study_id is None and pruned is None:
            place(connection, experiment_id)
        name = experiment_name(connection, experiment_id)
        kind, text = "experiment.queued", f"{proposer} queued {name}: {why}"
        if pruned is not None:
            kind, text = "experiment.pruned", f"{name} will not run: {pruned}"
        append_event(
            connection, kind, "experiment", experiment_id, text, purpose=purpose, proposer=proposer
        )
    if hypothesis_id is not None:
        # From now on it is being tested.
        settle(connection, experiment_id, [KNOWLEDGE])
    return Submitted(experiment_id, candidate_id, created=True)


def _check(
    contender: Contender,
    proposer: str,
    why: str,
    title: str,
    purpose: str,
    limits: Mapping[str, object] | None,
) -> None:
    if contender.kind not in ("source", "config"):
        expected = '"source" or "config"'
        raise ArgumentError(
            complaint("contender.kind", expected=expected, got=repr(contender.kind))
        )
    if contender.kind == "source" and not contender.source.strip():
        expected = "the text of a Python file"
        raise ArgumentError(complaint("contender.source", expected=expected, got="nothing"))
    if purpose not in PURPOSES:
        expected = f"one of {list(PURPOSES)}"
        raise ArgumentError(complaint("purpose", expected=expected, got=repr(purpose)))
    for name, text, longest in (
        ("proposer", proposer, _LONGEST_TITLE),
        ("title", title, _LONGEST_TITLE),
        ("why", why, _LONGEST_WHY),
        ("contender.source", contender.source, LARGEST_BLOB),
    ):
        if len(text) > longest:
            expected = f"at most {longest} characters"
            raise ArgumentError(complaint(name, expected=expected, got=len(text)))
        if not _is_text(text):
            raise ArgumentError(complaint(name, expected="Unicode text", got="lone surrogates"))
    if not proposer.strip():
        expected = 'a name: "person", "agent:NAME"'
        raise ArgumentError(complaint("proposer", expected=expected, got="nothing"))
    unknown = sorted(set(limits or {}) - set(LIMITS))
    if unknown:
        raise ArgumentError(complaint("limits", expected=f"some of {list(LIMITS)}", got=unknown))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _accepted_problem(connection: sqlite3.Connection, problem_id: int) -> sqlite3.Row:
    problem = connection.execute("SELECT * FROM problem WHERE id = ?", (problem_id,)).fetchone()
    if problem is None:
        raise ArgumentError(
            complaint("problem_id", expected="the number of a problem", got=problem_id)
        )
    if problem["refused"]:
        raise UnsupportedError(
            f"The problem {problem['name']} is refused, nothing can be tried on it: "
            f"{problem['refused']}"
        )
    return problem


def _require_row(connection: sqlite3.Connection, name: str, table: str, number: int | None) -> None:
    if number is None:
        return
    if connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (number,)).fetchone() is None:
        raise ArgumentError(complaint(name, expected=f"the number of a {table}", got=number))


def _candidate(
    connection: sqlite3.Connection,
    problem: sqlite3.Row,
    contender: Contender,
    title: str,
    parent_id: int | None,
    proposer: str,
    now: float,
) -> int:
    """Id of the candidate; the same text or configuration of the same problem is the same one."""
    source_sha256 = None
    if contender.kind == "source":
        source_sha256 = put_blob(connection, contender.source.encode(), "text/x-python")
    config = canonical(dict(contender.config))
    key = fingerprint(
        [problem["fingerprint"], contender.kind, contender.impl, json.loads(config), source_sha256]
    )
    known = connection.execute("SELECT id FROM candidate WHERE fingerprint = ?", (key,)).fetchone()
    if known is not None:
        return known["id"]
    return connection.execute(
        "INSERT INTO candidate (fingerprint, problem_id, kind, impl, config, source_sha256, title,"
        " parent_id, proposer, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            key,
            problem["id"],
            contender.kind,
            contender.impl,
            config,
            source_sha256,
            title,
            parent_id,
            proposer,
            now,
        ),
    ).fetchone()["id"]
