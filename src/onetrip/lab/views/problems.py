"""Problems: the list, and the brief that whoever proposes reads first."""

import re
import sqlite3
from collections import Counter, defaultdict

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.queue.ledger import committed, within_budget
from onetrip.lab.views.brief_text import markdown
from onetrip.lab.views.experiments import rows_of, title_of
from onetrip.lab.views.figures import figures
from onetrip.lab.views.hypotheses import list_hypotheses
from onetrip.lab.views.language import GROUPS
from onetrip.lab.views.learnings import list_learnings
from onetrip.lab.views.now import campaigns
from onetrip.lab.views.read import one, rows
from onetrip.lab.views.results import best_so_far
from onetrip.lab.views.studies import cases_of, floors, places_of

UNDECIDED = ("open", "testing", "inconclusive")
# Groups of failures that a brief tells, the most frequent first.
_FAILURES = 12
_EXAMPLES = 3
_LONGEST_EXAMPLE = 200


def list_problems(connection: sqlite3.Connection) -> list[dict]:
    """All problems, the last added first.

    A row has `id`, `name`, `kind`, `weight`, `refused`, `created_at`, `counts_by_state` (of its
    experiments), `hypotheses` (how many in each status), `champion` (of the study with the newest
    result: `candidate_id`, `experiment_id`, `title`, `device` and what `figures` says) or None.
    """
    found = rows(
        connection,
        "SELECT id, name, kind, weight, refused, created_at FROM problem ORDER BY id DESC",
    )
    states: dict[int, Counter] = defaultdict(Counter)
    for row in connection.execute(
        "SELECT problem_id, state, count(*) AS n FROM experiment"
        " JOIN candidate ON candidate.id = candidate_id GROUP BY problem_id, state"
    ):
        states[row["problem_id"]][row["state"]] = row["n"]
    statuses: dict[int, Counter] = defaultdict(Counter)
    for row in connection.execute(
        "SELECT problem_id, status, count(*) AS n FROM hypothesis GROUP BY problem_id, status"
    ):
        statuses[row["problem_id"]][row["status"]] = row["n"]
    leaders = champions_of(connection)
    for row in found:
        row["counts_by_state"] = dict(states[row["id"]])
        row["hypotheses"] = dict(statuses[row["id"]])
        row["champion"] = next(iter(leaders.get(row["id"], ())), None)
    return found


def champions_of(connection: sqlite3.Connection) -> dict[int, list[dict]]:
    """Problem -> its champions, one a study, the one of the newest result first."""
    found = rows(
        connection,
        "SELECT champion.problem_id, champion.study_id, champion.candidate_id,"
        " champion.experiment_id, champion.why, champion.since, device.name AS device,"
        " candidate.kind, candidate.title, candidate.impl, candidate.config,"
        " candidate.source_sha256,"
        " (SELECT max(ended_at) FROM attempt WHERE attempt.study_id = champion.study_id) AS last_at"
        " FROM champion JOIN candidate ON candidate.id = champion.candidate_id"
        " JOIN study ON study.id = champion.study_id JOIN device ON device.id = device_id"
        " WHERE until IS NULL ORDER BY last_at DESC",
    )
    known = figures(connection, (row["experiment_id"] for row in found))
    grouped: dict[int, list[dict]] = defaultdict(list)
    for row in found:
        del row["last_at"]
        measured = known.get(row["experiment_id"], {})
        grouped[row["problem_id"]].append(measured | row | {"title": title_of(row)})
    return grouped


def brief(connection: sqlite3.Connection, problem_id: int) -> dict:
    """What one must know before proposing.

    Returns
    -------
    {`problem`, `definition` (Markdown), `entry`, `cases` (those that are not hidden),
    `hidden_cases`: how many, `tolerance`, `devices`: of `places_of`, each with
    its `floors`,
    `champions` (each with `source_sha256` and `candidate_id`), `best`: the five best so far,
    `baseline`, `failures`: [{`state`, `reason`, `count`, `experiments`, `example`}], `learnings`
    in scope, `hypotheses`: undecided ones, `decided`: the others, `campaigns`: budgets with
    `spent`, `committed`, `left`, `exhausted`, `counts_by_state`, `markdown`: all of it as a text}

    Raises
    ------
    ArgumentError
        There is no such problem.
    """
    problem = one(connection, "SELECT * FROM problem WHERE id = ?", problem_id)
    if problem is None:
        raise ArgumentError(
            complaint("problem_id", expected="the number of a problem", got=problem_id)
        )
    spec, definition = problem.pop("spec"), problem.pop("brief")
    every_case = spec.get("cases") if isinstance(spec.get("cases"), list) else []
    places = places_of(connection, problem_id)
    ideas = list_hypotheses(connection, problem_id=problem_id)
    tolerance = one(
        connection,
        "SELECT policy FROM tolerance WHERE problem_id = ? ORDER BY id DESC LIMIT 1",
        problem_id,
    )
    counts = rows(
        connection,
        "SELECT state, count(*) AS n FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " WHERE problem_id = ? GROUP BY state",
        problem_id,
    )
    found = {
        "problem": problem,
        "definition": definition,
        "entry": spec.get("entry"),
        "objective": spec.get("objective"),
        "cases": cases_of(spec),
        "hidden_cases": len(every_case) - len(cases_of(spec)),
        "tolerance": None if tolerance is None else tolerance["policy"],
        "devices": [place | {"floors": floors(spec, place)} for place in places],
        "champions": _newest_of_device(champions_of(connection).get(problem_id, [])),
        "best": _best(connection, problem_id),
        "failures": failures(connection, problem_id),
        "learnings": learnings_in_scope(connection, problem, spec, places),
        "hypotheses": [idea for idea in ideas if idea["status"] in UNDECIDED],
        "decided": [idea for idea in ideas if idea["status"] not in UNDECIDED],
        "campaigns": _budgets(connection, problem_id),
        "counts_by_state": {row["state"]: row["n"] for row in counts},
    }
    return found | {"markdown": markdown(found)}


def failures(connection: sqlite3.Connection, problem_id: int) -> list[dict]:
    """What failed and why, alike reasons together (numbers apart), the most frequent first."""
    states = ", ".join(f"'{state}'" for state in GROUPS["failed"])
    grouped: dict[tuple[str, str], list[sqlite3.Row]] = defaultdict(list)
    for row in connection.execute(
        "SELECT experiment.id, state, experiment.reason, candidate.title, impl, config"
        " FROM experiment JOIN candidate ON candidate.id = candidate_id"
        f" WHERE problem_id = ? AND state IN ({states}) ORDER BY experiment.id DESC",
        (problem_id,),
    ):
        first_line = row["reason"].strip().partition("\n")[0][:200]
        alike = re.sub(r"\d[\d.,]*", "…", first_line)
        grouped[row["state"], alike].append(row)
    largest = sorted(grouped.items(), key=lambda item: -len(item[1]))[:_FAILURES]
    return [
        {
            "state": state,
            "reason": alike,
            "example": _first_line(found[0]["reason"]),
            "count": len(found),
            "experiments": [row["id"] for row in found[:_EXAMPLES]],
        }
        for (state, alike), found in largest
    ]


def learnings_in_scope(
    connection: sqlite3.Connection, problem: dict, spec: dict, places: list[dict]
) -> list[dict]:
    """Active learnings that hold for a problem: by their scope, or since they are about it."""
    here = {
        "problem": {problem["name"], str(problem["id"])},
        "operator": {problem["name"].partition("/")[0], str(spec.get("location"))},
        "device": {place["device"] for place in places},
        "arch": {str(place["arch"]) for place in places},
        "dtype": {str(case["dtype"]) for case in cases_of(spec) if case.get("dtype")},
    }
    return [
        learning
        for learning in list_learnings(connection, "active")
        if _holds(learning["scope"], here)
        or any(
            (node["type"], node["id"]) == ("problem", problem["id"]) for node in learning["about"]
        )
    ]


def _holds(scope: dict, here: dict[str, set[str]]) -> bool:
    return all(
        # Nothing is known yet of where it will run: then it may hold.
        not here.get(matter) or str(value).lower() in {name.lower() for name in here[matter]}
        for matter, value in scope.items()
        if matter != "impl"
    )


def _newest_of_device(champions: list[dict]) -> list[dict]:
    """A changed judge or environment opens another study: the older titles are history."""
    newest: dict[str, dict] = {}
    for champion in champions:
        newest.setdefault(champion["device"], champion)
    return list(newest.values())


def _best(connection: sqlite3.Connection, problem_id: int) -> list[dict]:
    studies = best_so_far(connection, problem_id)["studies"]
    if not studies:
        return []
    points = studies[0]["points"]
    better = -1 if studies[0]["direction"] == "increase" else 1
    # A candidate once, by its last answer: a confirmation comes after its search.
    last = {point["candidate_id"]: point for point in points}
    first = sorted(last.values(), key=lambda point: better * point["value"])[:5]
    return rows_of(connection, [point["id"] for point in first])


def _budgets(connection: sqlite3.Connection, problem_id: int) -> list[dict]:
    found = []
    for campaign in campaigns(connection):
        if campaign["problem_id"] != problem_id:
            continue
        total = committed(connection, campaign_id=campaign["id"])
        limits = {kind: limit for kind, limit in campaign["budget"].items() if kind in total}
        campaign["committed"] = {kind: amount for kind, amount in total.items() if amount}
        campaign["left"] = {kind: max(0.0, limit - total[kind]) for kind, limit in limits.items()}
        campaign["exhausted"] = within_budget(connection, campaign["id"])
        found.append(campaign)
    return found


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _LONGEST_EXAMPLE else f"{line[: _LONGEST_EXAMPLE - 1]}…"
