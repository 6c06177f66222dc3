"""What results say about what waits: who won, by how much, what failed, what is undecided."""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from onetrip.lab.queue.champions import BASELINE, Speedup, overall

# States that speak against a candidate's neighbours; what the lab itself lost does not.
FAILED = (
    "incorrect",
    "compile_error",
    "crashed",
    "timeout",
    "out_of_memory",
    "hacked",
)
_ANSWERED = ("done", *FAILED)
# Older results say little about what is tried now, and looking at all would take too long.
_REMEMBERED = 3000


@dataclass(frozen=True, slots=True)
class Result:
    """An answered experiment; `speedup` is None where none counts."""

    experiment_id: int
    problem_id: int
    candidate_id: int
    parent_candidate_id: int | None
    hypothesis_id: int | None
    proposer: str
    purpose: str
    state: str
    kind: str
    impl: str
    config: str
    source_sha256: str | None
    speedup: Speedup | None

    @property
    def failed(self) -> bool:
        """Ended through a fault of the candidate."""
        return self.state in FAILED

    @property
    def won(self) -> bool:
        """Faster than its baseline with the whole interval."""
        return self.speedup is not None and self.speedup.low > 1.0

    @property
    def gain(self) -> float:
        """Logarithm of the speedup of one that won."""
        return math.log(self.speedup.middle) if self.speedup is not None else 0.0


@dataclass(slots=True)
class Group:
    """Results with something in common: how many, how many won, and what the wins brought."""

    count: int = 0
    wins: int = 0
    gain: float = 0.0
    newest: Result | None = None

    def add(self, result: Result) -> None:
        """Count one; the newest comes first."""
        self.count += 1
        self.newest = self.newest or result
        if result.won:
            self.wins += 1
            self.gain += result.gain


NOTHING = Group()


@dataclass(frozen=True)
class Evidence:
    """Results by what they have in common with an experiment that waits.

    `shares` is the share of its floor that each problem's champion reaches. `says` counts the
    answers that support and refute each hypothesis.
    """

    results: Sequence[Result]
    shares: dict[int, float]
    says: dict[int, tuple[int, int]]
    typical_s: dict[int, float] = field(default_factory=dict)

    @cached_property
    def by_proposer(self) -> dict[tuple[int, str], Group]:
        """(problem, proposer) -> results of the search."""
        return _grouped(
            ((r.problem_id, r.proposer), r) for r in self.results if r.purpose == "search"
        )

    @cached_property
    def by_hypothesis(self) -> dict[int, Group]:
        """Hypothesis -> results under it."""
        return _grouped((r.hypothesis_id, r) for r in self.results if r.hypothesis_id is not None)

    @cached_property
    def by_parent(self) -> dict[int, Group]:
        """Candidate -> results of the search with what was made from it."""
        return _grouped(
            (r.parent_candidate_id, r)
            for r in self.results
            if r.parent_candidate_id is not None and r.purpose == "search"
        )

    @cached_property
    def wins_of(self) -> dict[int, Result]:
        """Candidate -> its newest win."""
        return {r.candidate_id: r for r in reversed(self.results) if r.won}

    @cached_property
    def by_problem(self) -> dict[int, list[Result]]:
        """Problem -> results, the newest first."""
        groups: dict[int, list[Result]] = defaultdict(list)
        for result in self.results:
            groups[result.problem_id].append(result)
        return dict(groups)

    @cached_property
    def confirmations(self) -> tuple[int, int]:
        """How many confirmations held, and how many did not."""
        asked = [r for r in self.results if r.purpose == "confirm"]
        held = sum(r.won for r in asked)
        return held, len(asked) - held


def read_evidence(connection: sqlite3.Connection, problem_id: int | None = None) -> Evidence:
    """Everything that scores need, of one problem or of all, in a few queries."""
    return Evidence(
        results=_results(connection, problem_id),
        shares=_shares(connection),
        says=_says(connection),
        typical_s=typical_s(connection),
    )


def _results(connection: sqlite3.Connection, problem_id: int | None) -> list[Result]:
    rows = connection.execute(
        "SELECT experiment.id AS experiment_id, problem_id, candidate_id,"
        " candidate.parent_id AS parent_candidate_id, hypothesis_id, experiment.proposer, purpose,"
        " state, kind, impl, config, source_sha256 FROM experiment"
        " JOIN candidate ON candidate.id = candidate_id"
        f" WHERE state IN ({', '.join('?' * len(_ANSWERED))}) AND study_id IS NULL"
        " AND (? IS NULL OR problem_id = ?) ORDER BY experiment.id DESC LIMIT ?",
        (*_ANSWERED, problem_id, problem_id, _REMEMBERED),
    ).fetchall()
    oldest = rows[-1]["experiment_id"] if rows else 0
    speedups = _speedups(connection, oldest)
    return [Result(**dict(row), speedup=speedups.get(row["experiment_id"])) for row in rows]


def _speedups(connection: sqlite3.Connection, oldest: int) -> dict[int, Speedup]:
    """Of the last answer of each experiment, where it counts."""
    rows = connection.execute(
        "SELECT experiment_id, attempt.n, workload, regime, speedup, low, high"
        " FROM attempt JOIN comparison ON attempt_id = attempt.id AND baseline = ?"
        " WHERE experiment_id >= ? AND outcome = 'done' AND invalid = '' AND quarantined = ''",
        (BASELINE, oldest),
    ).fetchall()
    pairs: dict[int, dict[int, list[sqlite3.Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        pairs[row["experiment_id"]][row["n"]].append(row)
    found = {number: overall(attempts[max(attempts)]) for number, attempts in pairs.items()}
    return {number: speedup for number, speedup in found.items() if speedup is not None}


def _shares(connection: sqlite3.Connection) -> dict[int, float]:
    """Problem -> the share of the floor that its champion reaches; the best, over studies."""
    rows = connection.execute(
        "SELECT champion.problem_id, champion.id, avg(min(floor_ms / median_ms, 1.0)) AS share"
        " FROM champion JOIN attempt ON attempt.experiment_id = champion.experiment_id"
        " JOIN measurement ON attempt_id = attempt.id"
        " WHERE until IS NULL AND outcome = 'done' AND invalid = '' AND subject = 'candidate'"
        " AND regime = 'cold' AND floor_ms IS NOT NULL AND median_ms > 0 GROUP BY champion.id"
    )
    shares: dict[int, float] = {}
    for row in rows:
        shares[row["problem_id"]] = max(row["share"], shares.get(row["problem_id"], 0.0))
    return shares


def _says(connection: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    rows = connection.execute(
        "SELECT target_id, sum(relation = 'supports') AS supports,"
        " sum(relation = 'refutes') AS refutes FROM edge WHERE source_type = 'experiment'"
        " AND target_type = 'hypothesis' AND relation IN ('supports', 'refutes') GROUP BY target_id"
    )
    return {row["target_id"]: (row["supports"], row["refutes"]) for row in rows}


def typical_s(connection: sqlite3.Connection) -> dict[int, float]:
    """Problem -> what an attempt took on average."""
    rows = connection.execute(
        "SELECT problem_id, avg(amount) AS seconds FROM ledger"
        " JOIN experiment ON experiment.id = experiment_id"
        " JOIN candidate ON candidate.id = candidate_id WHERE ledger.kind = 'wall_s'"
        " GROUP BY problem_id"
    )
    return {row["problem_id"]: row["seconds"] for row in rows}


def _grouped(pairs: Iterable[tuple[Any, Result]]) -> dict[Any, Group]:
    groups: dict[Any, Group] = defaultdict(Group)
    for key, result in pairs:
        groups[key].add(result)
    return dict(groups)
