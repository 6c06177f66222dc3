"""Experiments: the list with its query language, and everything about one."""

import difflib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.views import language
from onetrip.lab.views.attempts import attempts_of
from onetrip.lab.views.conditions import condition
from onetrip.lab.views.figures import figures, without_figures
from onetrip.lab.views.read import ids, one, rows

_FROM = (
    " FROM experiment JOIN candidate ON candidate.id = experiment.candidate_id"
    " JOIN problem ON problem.id = candidate.problem_id"
    " LEFT JOIN hypothesis ON hypothesis.id = experiment.hypothesis_id"
)
_COLUMNS = (
    "SELECT experiment.id, experiment.state, experiment.reason, experiment.purpose,"
    " experiment.proposer, experiment.why, experiment.hypothesis_id, experiment.campaign_id,"
    " experiment.parent_id, experiment.baseline_id, experiment.priority, experiment.pinned,"
    " experiment.expected_s, experiment.not_before, experiment.created_at, experiment.updated_at,"
    " candidate.id AS candidate_id, candidate.kind, candidate.impl, candidate.config,"
    " candidate.title, candidate.parent_id AS parent_candidate_id,"
    " problem.id AS problem_id, problem.name AS problem, problem.kind AS problem_kind,"
    " hypothesis.title AS hypothesis, hypothesis.status AS hypothesis_status,"
    " (SELECT count(*) FROM attempt WHERE experiment_id = experiment.id) AS attempts,"
    " (SELECT stage FROM attempt WHERE experiment_id = experiment.id AND outcome IS NULL) AS stage,"
    " EXISTS (SELECT 1 FROM champion WHERE champion.candidate_id = candidate.id"
    "  AND until IS NULL) AS champion"
) + _FROM

# Fields that are known only once some part of the figures is: the part, and the number there.
_MEASURED: dict[str, tuple[str, Callable[[dict], float | None]]] = {
    "ratio": ("ratios", lambda row: row["ratio"] and row["ratio"]["speedup"]),
    "peer": ("ratios", lambda row: row["best_peer"] and row["best_peer"]["speedup"]),
    "median": ("times", lambda row: row["median_ms"]),
    "share": ("times", lambda row: row["floor_share"]),
    "peak": ("times", lambda row: row["peak_bytes"]),
    "error": ("errors", lambda row: row["error_share"]),
}
ORDERS = {
    "id": "experiment.id",
    "created": "experiment.created_at",
    "updated": "experiment.updated_at",
    "state": "experiment.state",
    "title": "candidate.title",
    "problem": "problem.name",
    "proposer": "experiment.proposer",
    "hypothesis": "experiment.hypothesis_id",
    "priority": "experiment.priority",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list: its rows, how many match in all, how many in each state.

    `counts_by_state` leaves the query's own ``state:`` out, so that each state's count says what
    choosing it would show.
    """

    rows: list[dict]
    total: int
    counts_by_state: dict[str, int]


def list_experiments(
    connection: sqlite3.Connection,
    query: str = "",
    *,
    limit: int = 50,
    offset: int = 0,
    order: str = "-updated",
) -> Listing:
    """Experiments that match `query`, one page of them.

    `order` is one of `ORDERS`, or "ratio", "peer", "median", "share", "error", "peak"; with "-"
    before it the largest first. What was not measured comes last either way.

    Raises
    ------
    ArgumentError
        An unknown field, value or order, or a page that cannot be.
    """
    if limit < 1 or offset < 0:
        expected = "at least 1, and at least 0"
        raise ArgumentError(complaint("limit, offset", expected=expected, got=(limit, offset)))
    asked = language.parse(query)
    descending, name = order.startswith("-"), order.removeprefix("-")
    if name not in ORDERS and name not in _MEASURED:
        expected = f"one of {', '.join((*ORDERS, *_MEASURED))}, or one of these after a minus"
        raise ArgumentError(complaint("order", expected=expected, got=repr(order)))
    stored = ORDERS.get(name, "experiment.id")
    direction = "DESC" if descending else "ASC"
    where, values = condition(asked.without("state"), skip=_MEASURED)
    found = connection.execute(
        f"SELECT experiment.id, experiment.state{_FROM} WHERE {where}"
        f" ORDER BY {stored} {direction}, experiment.id {direction}",
        values,
    ).fetchall()
    measured = [term for term in asked.terms if term.field in _MEASURED]
    known: dict[int, dict] = {}
    parts = {_MEASURED[term.field][0] for term in measured}
    if name in _MEASURED:
        parts.add(_MEASURED[name][0])
    if parts:
        known = figures(connection, (row["id"] for row in found), parts)
        found = [row for row in found if _holds(known.get(row["id"]), measured)]
    counts = Counter(row["state"] for row in found)
    chosen = [row["id"] for row in found if _state_holds(row["state"], asked)]
    if name in _MEASURED:
        chosen = _by_measure(chosen, known, _MEASURED[name][1], descending)
    page = chosen[offset : offset + limit]
    return Listing(rows_of(connection, page), len(chosen), dict(counts))


def rows_of(connection: sqlite3.Connection, experiment_ids: list[int]) -> list[dict]:
    """Rows as the list shows them, in the order asked for.

    A row has the experiment's columns, `title` (of the candidate; a configuration is its own
    title), `problem`, `hypothesis`, `hypothesis_status`, `stage` of a running attempt, `attempts`,
    `champion`, and what `figures` says.
    """
    found = rows(
        connection,
        _COLUMNS + " WHERE experiment.id IN (SELECT value FROM json_each(?))",
        ids(experiment_ids),
    )
    known = figures(connection, experiment_ids)
    named = {row["id"]: row for row in found}
    return [
        named[number]
        | {
            "title": title_of(named[number]),
            "champion": bool(named[number]["champion"]),
        }
        | known.get(number, without_figures())
        for number in experiment_ids
        if number in named
    ]


def title_of(candidate: dict) -> str:
    """What a candidate is called: its title, else its configuration in words.

    >>> title_of({"title": "", "impl": "triton", "config": {"BLOCK_N": 64}})
    'triton BLOCK_N=64'
    """
    config = " ".join(f"{name}={value}" for name, value in candidate["config"].items())
    return candidate["title"] or f"{candidate['impl']} {config}".strip() or "untitled"


def experiment(connection: sqlite3.Connection, id: int) -> dict | None:
    """Everything about one experiment; None when there is none with this number.

    The list's row, and besides: `candidate` with its `source`, `parent` (candidate) with its own
    and `diff` between the two, `baseline`, `prediction` (of the hypothesis), `campaign`,
    `attempts` each with checks, timings, comparisons, metrics, flags and log, `ledger` and
    `spent`, `priority_changes`, `events`, `edges`, `children`.
    """
    found = rows_of(connection, [id])
    if not found:
        return None
    row = found[0]
    candidate = candidate_of(connection, row["candidate_id"])
    parent = candidate_of(connection, row["parent_candidate_id"])
    ledger = rows(
        connection, "SELECT kind, amount, note, at FROM ledger WHERE experiment_id = ?", id
    )
    spent: Counter = Counter()
    for line in ledger:
        spent[line["kind"]] += line["amount"]
    limits = one(connection, "SELECT limits, max_attempts FROM experiment WHERE id = ?", id)
    return (
        row
        | (limits or {})
        | {
            "figures": {name: row[name] for name in without_figures()},
            "candidate": candidate,
            "parent": parent,
            "diff": "" if parent is None or candidate is None else diff_of(parent, candidate),
            "baseline": candidate_of(connection, row["baseline_id"]),
            "prediction": _prediction(connection, row["hypothesis_id"]),
            "campaign": one(
                connection,
                "SELECT id, title, proposer, objective, budget, started_at, ended_at, ended_why"
                " FROM campaign WHERE id = ?",
                row["campaign_id"],
            ),
            "attempts": attempts_of(connection, id),
            "ledger": ledger,
            "spent": dict(spent),
            "priority_changes": rows(
                connection,
                "SELECT before, after, terms, why, at FROM priority_change"
                " WHERE experiment_id = ? ORDER BY id",
                id,
            ),
            "events": rows(
                connection,
                "SELECT seq, at, type, text, document FROM event"
                " WHERE subject_type = 'experiment' AND subject_id = ? ORDER BY seq",
                id,
            ),
            "edges": rows(
                connection,
                "SELECT * FROM edge WHERE (source_type = 'experiment' AND source_id = ?)"
                " OR (target_type = 'experiment' AND target_id = ?) ORDER BY created_at",
                id,
                id,
            ),
            "children": rows(
                connection,
                "SELECT id, state, purpose, why FROM experiment WHERE parent_id = ? ORDER BY id",
                id,
            ),
        }
    )


def candidate_of(connection: sqlite3.Connection, candidate_id: int | None) -> dict | None:
    """A candidate with the text of its source."""
    found = one(
        connection,
        "SELECT candidate.*, data FROM candidate LEFT JOIN blob ON sha256 = source_sha256"
        " WHERE candidate.id = ?",
        candidate_id,
    )
    if found is None:
        return None
    data = found.pop("data")
    source = None if data is None else data.decode("utf-8", errors="replace")
    return found | {"title": title_of(found), "source": source}


def diff_of(before: dict, after: dict) -> str:
    """What changed from one candidate to another, as a unified diff; "" when nothing did."""
    return "\n".join(
        difflib.unified_diff(
            _lines(before),
            _lines(after),
            f"candidate {before['id']}",
            f"candidate {after['id']}",
            lineterm="",
        )
    )


def _lines(candidate: dict) -> list[str]:
    if candidate["source"] is not None:
        return candidate["source"].splitlines()
    return [
        f"impl = {candidate['impl']}",
        *(f"{name} = {json.dumps(value)}" for name, value in sorted(candidate["config"].items())),
    ]


def _prediction(connection: sqlite3.Connection, hypothesis_id: int | None) -> dict | None:
    return one(
        connection,
        "SELECT id, title, metric, direction, least_effect, workloads, prior, status, status_why"
        " FROM hypothesis WHERE id = ?",
        hypothesis_id,
    )


def _holds(known: dict | None, terms: list[language.Term]) -> bool:
    for term in terms:
        value = None if known is None else _MEASURED[term.field][1](known)
        inside = any(
            value is None if wanted is None else value is not None and wanted.holds(value)
            for wanted in term.values
            if wanted is None or isinstance(wanted, language.Range)
        )
        if inside == term.negated:
            return False
    return True


def _state_holds(state: str, asked: language.Query) -> bool:
    for term in asked.terms:
        if term.field == "state":
            wanted = {
                name for value in term.values for name in language.GROUPS.get(str(value), (value,))
            }
            if (state in wanted) == term.negated:
                return False
    return True


def _by_measure(
    chosen: list[int],
    known: dict[int, dict],
    measure: Callable[[dict], float | None],
    descending: bool,
) -> list[int]:
    values = {
        number: value
        for number in chosen
        if number in known and (value := measure(known[number])) is not None
    }
    first = sorted(values, key=lambda number: values[number], reverse=descending)
    return first + [number for number in chosen if number not in values]
