"""The status that follows from evidence, and the sentence that says why."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from onetrip.lab.knowledge.effects import TESTS, Effect

_UNTESTED = ("cancelled", "pruned")
_UNANSWERED = ("queued", "paused", "running")


def status_of(
    connection: sqlite3.Connection,
    declared: sqlite3.Row,
    answers: list[list[Effect]],
    says: Mapping[int, str],
) -> tuple[str, str]:
    """The status and why: `says` tells for each experiment what its `answers` say together."""
    predicted = prediction_text(declared)
    proof = _proof(answers, says)
    if proof is not None:
        search, confirm = proof
        return "supported", (
            f"#{search[0].experiment_id} and its confirmation #{confirm[0].experiment_id} with "
            f"another seed show {_range_text(declared, search + confirm)}; predicted: {predicted}"
        )
    successor = connection.execute(
        "SELECT source_id FROM edge WHERE source_type = 'hypothesis' AND relation = 'supersedes'"
        " AND target_type = 'hypothesis' AND target_id = ?",
        (declared["id"],),
    ).fetchone()
    states = Counter(row["state"] for row in connection.execute(TESTS, (declared["id"],)))
    unanswered = sum(states[state] for state in _UNANSWERED)
    latest = _latest(answers, says)
    refuting = [answer for answer, word in latest if word == "refutes"]
    only_refuted = bool(refuting) and len(refuting) == len(latest)
    if only_refuted and not unanswered:
        numbers = ", ".join(f"#{answer[0].experiment_id}" for answer in refuting)
        shown = _range_text(declared, [effect for answer in refuting for effect in answer])
        return "refuted", f"{numbers} shows {shown}; predicted: {predicted}"
    if successor is not None:
        return "superseded", f"hypothesis {successor['source_id']} takes its place"
    if unanswered:
        return "testing", f"{unanswered} experiment{'s' * (unanswered > 1)} of it wait or run"
    if not states.keys() - set(_UNTESTED):
        return "open", "no experiment tests it yet"
    if not latest:
        ends = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        missing = (
            f"; none that is done has a valid {declared['metric']} beside its baseline's,"
            " taken after the declaration"
        )
        return "inconclusive", f"no valid evidence: {ends}{missing * bool(states['done'])}"
    hopeful = [answer for answer, word in latest if word == "supports"]
    if hopeful:
        return "inconclusive", (
            f"#{hopeful[0][0].experiment_id} supports it, but no run with another seed confirms it"
        )
    shown = _range_text(declared, [effect for answer, _ in latest for effect in answer])
    return "inconclusive", f"the evidence shows {shown}, which decides nothing; {predicted}"


def by_answer(effects: Sequence[Effect]) -> list[list[Effect]]:
    """The effects of each answer together, one a workload."""
    grouped: dict[int, list[Effect]] = defaultdict(list)
    for effect in effects:
        grouped[effect.experiment_id].append(effect)
    return list(grouped.values())


def _proof(
    answers: list[list[Effect]], says: Mapping[int, str]
) -> tuple[list[Effect], list[Effect]] | None:
    """A search and a confirmation of one candidate in one study that both support."""
    latest = {_key(answer): answer for answer in answers}
    for (candidate, study, purpose), search in latest.items():
        confirm = latest.get((candidate, study, "confirm"))
        if purpose != "search" or confirm is None or confirm[0].seed == search[0].seed:
            continue
        if says[search[0].experiment_id] == says[confirm[0].experiment_id] == "supports":
            return search, confirm
    return None


def _latest(answers: list[list[Effect]], says: Mapping[int, str]) -> list[tuple[list[Effect], str]]:
    """The last word on each candidate: its confirmation, where there is one, over its search."""
    words: dict[tuple, tuple[list[Effect], str]] = {}
    ordered = sorted(answers, key=lambda answer: answer[0].purpose == "confirm")
    for answer in ordered:
        candidate, study, _ = _key(answer)
        words[candidate, study] = (answer, says[answer[0].experiment_id])
    return list(words.values())


def _key(answer: list[Effect]) -> tuple[int, int | None, str]:
    return answer[0].candidate_id, answer[0].study_id, answer[0].purpose


def prediction_text(declared: Mapping | sqlite3.Row) -> str:
    """The prediction in words.

    >>> prediction_text({"metric": "latency_ms", "direction": "decrease", "least_effect": 0.05,
    ...     "workloads": []})
    'latency_ms decreases by at least 5 % on all workloads'
    """
    workloads = declared["workloads"]
    names = json.loads(workloads) if isinstance(workloads, str) else workloads
    where = ", ".join(names) if names else "all workloads"
    least = _percent(declared["least_effect"])
    return f"{declared['metric']} {declared['direction']}s by at least {least} on {where}"


_OPPOSITE = {"decrease": "increase", "increase": "decrease"}


def _range_text(declared: sqlite3.Row, effects: Sequence[Effect]) -> str:
    low = min(effect.low for effect in effects)
    high = max(effect.high for effect in effects)
    direction = declared["direction"]
    if high < 0:
        # All of it went the other way.
        low, high, direction = -high, -low, _OPPOSITE[direction]
    ends = _percent(low) if low == high else f"{_percent(low)} to {_percent(high)}"
    article = "an" if direction == "increase" else "a"
    return f"{article} {direction} of {declared['metric']} by {ends}"


def _percent(share: float) -> str:
    # Adding zero takes the sign from a zero.
    return f"{round(share * 100, 3) + 0.0:.3g} %"
