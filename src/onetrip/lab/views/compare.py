"""Experiments beside each other: what differs, and what may be concluded."""

import sqlite3
from collections.abc import Sequence

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.views.experiments import candidate_of, diff_of, rows_of
from onetrip.lab.views.figures import CHANGING
from onetrip.lab.views.read import ids, rows

MOST = 20


def compare(connection: sqlite3.Connection, experiment_ids: Sequence[int]) -> dict:
    """Two experiments or more, the first being what the others are held against.

    A candidate that had the first as its baseline was timed beside it in one process. Two
    candidates that were not are compared through the baseline that both were timed beside, and
    only within one study: ratio over ratio, with the widest interval that the two intervals allow.

    Returns
    -------
    {`experiments`: rows of the list, `fields`: [{`name`, `values`, `differs`}], `workloads`:
    [{`workload`, `regime`, `times`: one per experiment or None}], `diffs`: unified diff from the
    first to each other, `against_first`: [{`id`, `speedup`, `low`, `high`, `through`} or
    {`id`, `why_not`}]}

    Raises
    ------
    ArgumentError
        Fewer than two numbers, more than 20, or one that is no experiment.
    """
    wanted = list(dict.fromkeys(experiment_ids))
    if not 2 <= len(wanted) <= MOST:
        expected = f"2 to {MOST} different experiments"
        raise ArgumentError(complaint("ids", expected=expected, got=wanted))
    found = rows_of(connection, wanted)
    missing = sorted(set(wanted) - {row["id"] for row in found})
    if missing:
        raise ArgumentError(complaint("ids", expected="numbers of experiments", got=missing))
    candidates = [candidate_of(connection, row["candidate_id"]) or {} for row in found]
    return {
        "experiments": found,
        "fields": _fields(found),
        "workloads": _workloads(connection, found),
        "diffs": [
            {"id": row["id"], "diff": diff_of(candidates[0], candidate)}
            for row, candidate in zip(found[1:], candidates[1:], strict=True)
        ],
        "against_first": [_against(found[0], row) for row in found[1:]],
    }


_PLAIN_FIELDS = (
    "state",
    "reason",
    "problem",
    "purpose",
    "proposer",
    "why",
    "title",
    "kind",
    "impl",
    "hypothesis",
    "hypothesis_status",
    "median_ms",
    "floor_share",
    "peak_bytes",
    "error_share",
    "workloads",
    "regime",
    "quarantined",
    "study_id",
)


def _fields(found: list[dict]) -> list[dict]:
    parameters = sorted({name for row in found for name in row["config"]})
    metrics = sorted({name for row in found for name in row["metrics"]})
    named: dict[str, list] = {name: [row[name] for row in found] for name in _PLAIN_FIELDS}
    named |= {f"config.{name}": [row["config"].get(name) for row in found] for name in parameters}
    named |= {
        f"metric.{name}": [row["metrics"].get(name, {}).get("value") for row in found]
        for name in metrics
    }
    return [
        {"name": name, "values": values, "differs": any(value != values[0] for value in values)}
        for name, values in named.items()
    ]


def _workloads(connection: sqlite3.Connection, found: list[dict]) -> list[dict]:
    place = {row["attempt_id"]: index for index, row in enumerate(found)}
    grouped: dict[tuple[str, str], list] = {}
    for row in rows(
        connection,
        "SELECT attempt_id, workload, regime, median_ms, low_ms, high_ms, floor_ms, peak_bytes"
        " FROM measurement WHERE subject = 'candidate'"
        " AND attempt_id IN (SELECT value FROM json_each(?)) ORDER BY workload, regime",
        ids(number for number in place if number is not None),
    ):
        times = grouped.setdefault((row.pop("workload"), row.pop("regime")), [None] * len(found))
        times[place[row.pop("attempt_id")]] = row
    return [
        {"workload": workload, "regime": regime, "times": times}
        for (workload, regime), times in grouped.items()
    ]


def _against(first: dict, other: dict) -> dict:
    if first["problem_id"] != other["problem_id"]:
        return {"id": other["id"], "why_not": "another problem"}
    if first["study_id"] != other["study_id"]:
        return {
            "id": other["id"],
            "why_not": "measured in another study: another device, environment or judge",
        }
    if other["baseline_id"] == first["candidate_id"]:
        # Timed in one process: nothing stands between the two.
        for theirs in other["ratios"]:
            if theirs["baseline"] == "baseline":
                interval = {name: theirs[name] for name in ("speedup", "low", "high")}
                return {"id": other["id"], **interval, "through": "itself"}
    ours = {ratio["baseline"]: ratio for ratio in first["ratios"]}
    shared = [ratio for ratio in other["ratios"] if _same_subject(first, other, ratio["baseline"])]
    for theirs in shared:
        base = ours.get(theirs["baseline"])
        if base is not None:
            return {
                "id": other["id"],
                "speedup": theirs["speedup"] / base["speedup"],
                "low": theirs["low"] / base["high"],
                "high": theirs["high"] / base["low"],
                "through": theirs["baseline"],
            }
    return {"id": other["id"], "why_not": "they share no baseline"}


def _same_subject(first: dict, other: dict, baseline: str) -> bool:
    """Whether a name means the same contender to both: a champion may have changed between."""
    if baseline == "baseline":
        return first["baseline_id"] is not None and first["baseline_id"] == other["baseline_id"]
    return baseline not in CHANGING
