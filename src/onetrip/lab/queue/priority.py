"""What waits, scored anew after each result; each change is kept with its terms and a sentence.

score = gain + information + room + age - cost - likeness to failures, each weighted below. The
same store gives the same scores. What is pinned comes first whatever its score, and a tune orders
its own.
"""

import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onetrip.lab.queue.evidence import NOTHING, Evidence, Group, read_evidence
from onetrip.lab.queue.likeness import Likeness, Resemblance
from onetrip.lab.queue.names import experiment_name
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.store.study import canonical

# Every term but age lies between 0 and 1, so that a weight is what the term is worth at most.
WEIGHTS: Mapping[str, float] = {
    # A faster kernel is what all of this is for: the yardstick of the others.
    "gain": 1.0,
    # A decided hypothesis steers many later trials, each worth less than a sure gain.
    "information": 0.5,
    # Where the champion is far from its floor and the problem matters, a gain is worth more.
    "room": 0.5,
    # A cheap trial before a dear one of the same promise, never before a better one.
    "cost": -0.25,
    # A neighbour of what failed most often fails too; but one parameter can be the cure.
    "failures": -0.6,
    # An hour earlier is worth as much as a tenth of a sure gain: nothing waits for ever. All age
    # alike, so that the hour of arrival counts, and a score changes with results, not by itself.
    "age": 0.1,
}
# Arrival is counted from the watch in which the oldest that waits arrived.
_WATCH_S = 6 * 3600.0
# One in four wins before anything is known of whoever proposes; worth four trials.
_WINS, _LOSSES = 1.0, 3.0
# Before one is seen, a win is taken for 5 %; that counts as much as two that were seen.
_GAIN, _GAIN_COUNT = 0.05, 2.0
# A tenth faster for certain is a gain of 1.
_FULL_GAIN = 0.1
# What won once holds four times in five, as far as nothing else is known.
_HELD, _FELL = 4.0, 1.0
# A trial of this length costs half of what a trial can cost.
_HALF_COST_S = 60.0
_UNKNOWN_S = 30.0
# Beliefs in a hypothesis start at its prior, worth two answers.
_PRIOR_COUNT = 2.0
_UNDECIDED = ("open", "testing", "inconclusive")
# Less is no change worth telling.
LEAST_CHANGE = 0.005
_TOLD = 0.02


@dataclass(frozen=True, slots=True)
class Change:
    """One experiment's new place: its scores, their terms (weighted), and why in a sentence."""

    experiment_id: int
    before: float
    after: float
    terms: Mapping[str, float]
    why: str


def reorder(connection: sqlite3.Connection, because: str) -> list[Change]:
    """Score all that is queued anew; write what changed, with `because` in the event."""
    rows = _queued(connection)
    if not rows:
        return []
    changes = [
        change
        for row, terms, reasons in _scored(connection, rows, read_evidence(connection), Counter())
        if (change := _change(row, terms, reasons)) is not None
    ]
    if not changes:
        return []
    with transaction(connection):
        written = [change for change in changes if _write(connection, change)]
        first = connection.execute(
            "SELECT id FROM experiment WHERE state = 'queued' AND study_id IS NULL"
            " ORDER BY pinned DESC, priority DESC, id LIMIT 1"
        ).fetchone()
        if written and first is not None:
            append_event(
                connection,
                "queue.reordered",
                "experiment",
                first["id"],
                f"{because}: {len(written)} of {len(rows)} that wait were scored anew, "
                f"{experiment_name(connection, first['id'])} is next",
                changed=len(written),
            )
    return written


def follow(connection: sqlite3.Connection, experiment_id: int) -> None:
    """Re-order what waits after an experiment's answer."""
    state = connection.execute(
        "SELECT state FROM experiment WHERE id = ?", (experiment_id,)
    ).fetchone()["state"]
    reorder(connection, f"{experiment_name(connection, experiment_id)} is {_words(state)}")


def place(connection: sqlite3.Connection, experiment_id: int) -> None:
    """Give a new experiment its first score, as part of the transaction that is open."""
    rows = _queued(connection, experiment_id)
    if not rows:
        return
    evidence = read_evidence(connection, rows[0]["problem_id"])
    hypothesis_id = rows[0]["hypothesis_id"]
    before = connection.execute(
        "SELECT count(*) FROM experiment WHERE hypothesis_id = ? AND id < ? AND state = 'queued'",
        (hypothesis_id, experiment_id),
    ).fetchone()[0]
    for row, terms, reasons in _scored(
        connection, rows, evidence, Counter({hypothesis_id: before})
    ):
        change = _change(row, terms, reasons)
        if change is not None:
            _write(connection, change)


def _queued(connection: sqlite3.Connection, experiment_id: int | None = None) -> list[sqlite3.Row]:
    return connection.execute(
        "SELECT experiment.id, candidate_id, purpose, hypothesis_id, experiment.proposer,"
        " experiment.priority, expected_s, experiment.created_at, candidate.problem_id,"
        " candidate.kind, impl, config, source_sha256, candidate.parent_id AS parent_candidate_id,"
        " weight, problem.name AS problem, status, prior,"
        " (SELECT max(weight) FROM problem) AS most,"
        " (SELECT min(created_at) FROM experiment WHERE state = 'queued') AS oldest,"
        " (SELECT terms FROM priority_change WHERE experiment_id = experiment.id"
        "   ORDER BY priority_change.id DESC LIMIT 1) AS terms"
        " FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " JOIN problem ON problem.id = candidate.problem_id"
        " LEFT JOIN hypothesis ON hypothesis.id = hypothesis_id"
        " WHERE state = 'queued' AND study_id IS NULL AND (? IS NULL OR experiment.id = ?)"
        " ORDER BY experiment.id",
        (experiment_id, experiment_id),
    ).fetchall()


def _scored(
    connection: sqlite3.Connection,
    rows: Sequence[sqlite3.Row],
    evidence: Evidence,
    waiting_tests: Counter[int],
) -> Iterator[tuple[sqlite3.Row, dict[str, float], dict[str, str]]]:
    """Each row with its weighted terms and the reasons for them.

    `waiting_tests` counts, for each hypothesis, the tests that wait before the first row.
    """
    likeness: dict[int, Likeness] = {}
    for problem_id in sorted({row["problem_id"] for row in rows}):
        judged = Likeness(connection, evidence.by_problem.get(problem_id, []))
        judged.read(row["source_sha256"] for row in rows if row["problem_id"] == problem_id)
        likeness[problem_id] = judged
    for row in rows:
        gain, why_gain = _gain(row, evidence)
        information, why_information = _information(row, evidence, waiting_tests)
        share = evidence.shares.get(row["problem_id"])
        expected_s = row["expected_s"] or evidence.typical_s.get(row["problem_id"], _UNKNOWN_S)
        alike = likeness[row["problem_id"]].to_failures(
            row["kind"], row["impl"], row["config"], row["source_sha256"]
        )
        raw = {
            "gain": gain,
            "information": information,
            "room": row["weight"] / (row["most"] or 1.0) * (1.0 - (share or 0.0)),
            "cost": expected_s / (expected_s + _HALF_COST_S),
            "failures": alike.amount,
            "age": (row["oldest"] // _WATCH_S * _WATCH_S - row["created_at"]) / 3600.0,
        }
        reasons = {
            "gain": why_gain,
            "information": why_information,
            "room": _why_room(row, share),
            "cost": f"an attempt is expected to take {expected_s:.3g} s",
            "failures": _why_failures(alike),
            "age": f"it came {-raw['age']:.2g} hours into the watch",
        }
        yield row, {name: WEIGHTS[name] * value for name, value in raw.items()}, reasons


def _gain(row: sqlite3.Row, evidence: Evidence) -> tuple[float, str]:
    """Chance to win times what a win brings, told by its relatives."""
    if row["purpose"] == "confirm":
        return _gain_of_confirmation(row, evidence)
    relatives = {
        "sibling": evidence.by_parent.get(row["parent_candidate_id"], NOTHING),
        "hypothesis": evidence.by_hypothesis.get(row["hypothesis_id"], NOTHING),
        "proposer": evidence.by_proposer.get((row["problem_id"], row["proposer"]), NOTHING),
    }
    known = [group for group in relatives.values() if group.count] or [NOTHING]
    chance = sum(_chance(group) for group in known) / len(known)
    brings = sum(_brings(group) for group in known) / len(known)
    return min(chance * brings / _FULL_GAIN, 1.0), _why_gain(row, relatives)


def _gain_of_confirmation(row: sqlite3.Row, evidence: Evidence) -> tuple[float, str]:
    held, fell = evidence.confirmations
    chance = (_HELD + held) / (_HELD + _FELL + held + fell)
    won = evidence.wins_of.get(row["candidate_id"])
    if won is None:
        return min(chance * _GAIN / _FULL_GAIN, 1.0), "it confirms what is known elsewhere"
    why = f"it won as #{won.experiment_id}, and a second run decides the title"
    return min(chance * won.gain / _FULL_GAIN, 1.0), why


def _chance(group: Group) -> float:
    """Mean of the posterior of a win."""
    return (_WINS + group.wins) / (_WINS + _LOSSES + group.count)


def _brings(group: Group) -> float:
    """What a win brings: what it brought, drawn towards what it brings most often."""
    return (_GAIN * _GAIN_COUNT + group.gain) / (_GAIN_COUNT + group.wins)


def _information(
    row: sqlite3.Row, evidence: Evidence, waiting_tests: Counter[int]
) -> tuple[float, str]:
    """Entropy of the belief in its hypothesis, shared with the tests that wait before it."""
    number = row["hypothesis_id"]
    if number is None:
        return 0.0, "it tests no hypothesis"
    if row["status"] not in _UNDECIDED:
        return 0.0, f"hypothesis {number} is {row['status']}"
    supports, refutes = evidence.says.get(number, (0, 0))
    belief = (row["prior"] * _PRIOR_COUNT + supports) / (_PRIOR_COUNT + supports + refutes)
    entropy = -sum(p * math.log2(p) for p in (belief, 1.0 - belief) if p > 0)
    waiting_tests[number] += 1
    why = f"hypothesis {number} is undecided"
    if supports or refutes:
        why += f" ({supports} for, {refutes} against)"
    return entropy / waiting_tests[number], why


def _why_gain(row: sqlite3.Row, relatives: Mapping[str, Group]) -> str:
    for relation in ("sibling", "hypothesis"):
        newest = relatives[relation].newest
        if newest is None:
            continue
        who = f"its sibling #{newest.experiment_id}"
        if relation == "hypothesis":
            who = f"#{newest.experiment_id} under the same hypothesis"
        if newest.won and newest.speedup is not None:
            return f"{who} won {newest.speedup.middle:.2f}x"
        return f"{who} {'did not win' if newest.state == 'done' else _ended(newest.state)}"
    group = relatives["proposer"]
    if group.count:
        return f"{row['proposer']} won {group.wins} of {group.count}"
    return f"nothing is known of what {row['proposer']} proposes here"


def _why_room(row: sqlite3.Row, share: float | None) -> str:
    if share is None:
        return f"{row['problem']} has no champion yet"
    return f"the champion of {row['problem']} reaches {share:.0%} of the floor"


def _why_failures(alike: Resemblance) -> str:
    if alike.experiment_id is None:
        return "it is like nothing that failed"
    return f"it is like #{alike.experiment_id}, which {_ended(alike.state)}"


def _change(
    row: sqlite3.Row, terms: Mapping[str, float], reasons: Mapping[str, str]
) -> Change | None:
    before, after = row["priority"], sum(terms.values())
    known = row["terms"]
    if known is not None and abs(after - before) < LEAST_CHANGE:
        return None
    earlier = json.loads(known) if known is not None else {}
    moved = {name: value - earlier.get(name, 0.0) for name, value in terms.items()}
    # The hour counts against all that came in it alike, so it is told when there is nothing else.
    names = sorted(moved, key=lambda name: (name == "age", -abs(moved[name]), name))
    # What pulled the other way and lost is no reason.
    pulled = [name for name in names if known is None or moved[name] * (after - before) > 0]
    names = pulled or names
    told = [reasons[name] for name in names if abs(moved[name]) >= _TOLD][:2]
    told = told or [reasons[name] for name in names[:1]]
    start = f"starts at {after:.2f}" if known is None else _direction(after - before)
    rounded = {name: round(value, 6) for name, value in terms.items()}
    return Change(row["id"], before, after, rounded, f"{start}: {' and '.join(told)}")


def _write(connection: sqlite3.Connection, change: Change) -> bool:
    """False when somebody else was faster: it runs, or was scored from what is newer."""
    now = time.time()
    written = connection.execute(
        "UPDATE experiment SET priority = ? WHERE id = ? AND state = 'queued' AND priority = ?",
        (change.after, change.experiment_id, change.before),
    )
    if written.rowcount == 0:
        return False
    connection.execute(
        "INSERT INTO priority_change (experiment_id, before, after, terms, why, at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            change.experiment_id,
            change.before,
            change.after,
            canonical(dict(change.terms)),
            change.why,
            now,
        ),
    )
    return True


def _direction(difference: float) -> str:
    return f"{'up' if difference > 0 else 'down'} {abs(difference):.2f}"


def _words(state: str) -> str:
    return state.replace("_", " ")


def _ended(state: str) -> str:
    return f"ended as {_words(state)}"
