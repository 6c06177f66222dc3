"""What became of a campaign's experiments, as its agent sees them."""

import json
import math
import sqlite3
from collections.abc import Iterable

from onetrip.lab.agents.agent import Past
from onetrip.lab.verdict import Comparison


def combined(pairs: Iterable[Comparison]) -> Comparison | None:
    """One comparison of several workloads: the geometric mean, its interval from theirs.

    >>> one = Comparison("baseline", 2.0, 1.8, 2.2, workload="a")
    >>> other = Comparison("baseline", 0.5, 0.45, 0.55, workload="b")
    >>> mean = combined([one, other])
    >>> mean.speedup, mean.low < 1 < mean.high
    (1.0, True)
    """
    pairs = [pair for pair in pairs if pair.regime == "cold"]
    if not pairs:
        return None
    count = len(pairs)
    middle = sum(math.log(pair.speedup) for pair in pairs) / count
    below = math.sqrt(sum(math.log(pair.speedup / pair.low) ** 2 for pair in pairs)) / count
    above = math.sqrt(sum(math.log(pair.high / pair.speedup) ** 2 for pair in pairs)) / count
    return Comparison(
        pairs[0].baseline, math.exp(middle), math.exp(middle - below), math.exp(middle + above)
    )


def comparisons(
    connection: sqlite3.Connection, attempt_id: int, baseline: str = "baseline"
) -> list[Comparison]:
    """The cold comparisons of one attempt with one rival, a workload each."""
    rows = connection.execute(
        "SELECT baseline, speedup, low, high, workload, regime FROM comparison"
        " WHERE attempt_id = ? AND baseline = ? AND regime = 'cold' ORDER BY workload",
        (attempt_id, baseline),
    )
    return [Comparison(**dict(row)) for row in rows]


def history_of(connection: sqlite3.Connection, campaign_id: int) -> list[Past]:
    """A campaign's search, oldest first; confirmations belong to what they confirm."""
    rows = connection.execute(
        "SELECT experiment.id, title, state, experiment.reason, hypothesis_id,"
        " hypothesis.status AS hypothesis_status, blob.data AS source, config,"
        " (SELECT max(attempt.id) FROM attempt WHERE experiment_id = experiment.id"
        "   AND outcome = 'done' AND invalid = '' AND quarantined = '') AS attempt_id"
        " FROM experiment JOIN candidate ON candidate.id = candidate_id"
        " LEFT JOIN blob ON blob.sha256 = source_sha256"
        " LEFT JOIN hypothesis ON hypothesis.id = hypothesis_id"
        " WHERE campaign_id = ? AND purpose = 'search' ORDER BY experiment.id",
        (campaign_id,),
    ).fetchall()
    return [_past(connection, row) for row in rows]


def _past(connection: sqlite3.Connection, row: sqlite3.Row) -> Past:
    median_ms, share = _times(connection, row["attempt_id"])
    pair = None
    if row["attempt_id"] is not None:
        pair = combined(comparisons(connection, row["attempt_id"]))
    return Past(
        experiment_id=row["id"],
        title=row["title"] or json.dumps(json.loads(row["config"])),
        state=row["state"],
        reason=row["reason"],
        source=(row["source"] or b"").decode(),
        median_ms=median_ms,
        share_of_floor=share,
        speedup=None if pair is None else pair.speedup,
        low=None if pair is None else pair.low,
        high=None if pair is None else pair.high,
        hypothesis_id=row["hypothesis_id"],
        hypothesis_status=row["hypothesis_status"] or "",
    )


def _times(
    connection: sqlite3.Connection, attempt_id: int | None
) -> tuple[float | None, float | None]:
    """Geometric means over the workloads: the time, and the share of the floor it reaches."""
    rows = connection.execute(
        "SELECT median_ms, floor_ms FROM measurement"
        " WHERE attempt_id = ? AND subject = 'candidate' AND regime = 'cold'",
        (attempt_id,),
    ).fetchall()
    if not rows:
        return None, None
    shares = [row["floor_ms"] / row["median_ms"] for row in rows if row["floor_ms"]]
    return (
        _geometric_mean([row["median_ms"] for row in rows]),
        _geometric_mean(shares) if len(shares) == len(rows) else None,
    )


def _geometric_mean(values: list[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))
