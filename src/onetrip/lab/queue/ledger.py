"""What experiments cost, line by line, and whether a campaign can still afford one.

GPU-seconds, wall-seconds of workers, energy, tokens and money stand in one table. A budget counts
what is spent, what runs now, and, before more is proposed, what waits.
"""

import json
import sqlite3
import time
from collections.abc import Mapping

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.queue.names import find_experiment
from onetrip.lab.store.database import transaction
from onetrip.lab.verdict import Outcome, Verdict

UNITS = {"gpu_s": "GPU-seconds", "wall_s": "seconds", "energy_j": "J", "tokens": "tokens"}
KINDS = (*UNITS, "usd")


def charge(
    connection: sqlite3.Connection,
    kind: str,
    amount: float,
    *,
    experiment_id: int | None = None,
    hypothesis_id: int | None = None,
    campaign_id: int | None = None,
    note: str = "",
) -> None:
    """Write one line; an experiment's hypothesis and campaign are charged with it.

    Parameters
    ----------
    kind : "gpu_s", "wall_s", "energy_j", "tokens" or "usd".

    Raises
    ------
    ArgumentError
        An unknown kind, a negative amount, or an experiment that is not there.
    """
    if kind not in KINDS:
        raise ArgumentError(complaint("kind", expected=f"one of {list(KINDS)}", got=repr(kind)))
    if not 0 <= amount < float("inf"):
        expected = "an amount that is not negative"
        raise ArgumentError(complaint("amount", expected=expected, got=amount))
    with transaction(connection):
        if experiment_id is not None:
            experiment = find_experiment(connection, experiment_id)
            hypothesis_id = hypothesis_id or experiment["hypothesis_id"]
            campaign_id = campaign_id or experiment["campaign_id"]
        _write(connection, experiment_id, hypothesis_id, campaign_id, kind, amount, note)


def charge_attempt(connection: sqlite3.Connection, attempt: sqlite3.Row, verdict: Verdict) -> None:
    """Charge an attempt that just ended, as part of the transaction that is open."""
    hypothesis_id = connection.execute(
        "SELECT hypothesis_id FROM experiment WHERE id = ?", (attempt["experiment_id"],)
    ).fetchone()["hypothesis_id"]
    lost = verdict.outcome is Outcome.INFRA_LOST
    # Of one that was lost, the last that was heard is the last that it cost for certain.
    ended_at = attempt["heartbeat_at"] if lost else attempt["ended_at"]
    wall_s = max((ended_at or attempt["started_at"]) - attempt["started_at"], 0.0)
    gpu_s = verdict.gpu_s
    if lost and attempt["device"].startswith("cuda"):
        gpu_s = max(gpu_s, wall_s)
    amounts = {"wall_s": wall_s, "gpu_s": gpu_s, "energy_j": verdict.energy_j}
    note = f"attempt {attempt['n']}: {verdict.outcome.value}"
    for kind, amount in amounts.items():
        if 0 < amount < float("inf"):
            _write(
                connection,
                attempt["experiment_id"],
                hypothesis_id,
                attempt["campaign_id"],
                kind,
                amount,
                note,
            )


def spent(
    connection: sqlite3.Connection,
    *,
    campaign_id: int | None = None,
    hypothesis_id: int | None = None,
    experiment_id: int | None = None,
) -> dict[str, float]:
    """Amount of each kind, of what is named or of everything."""
    rows = connection.execute(
        "SELECT kind, sum(amount) AS amount FROM ledger"
        " WHERE (? IS NULL OR campaign_id = ?) AND (? IS NULL OR hypothesis_id = ?)"
        " AND (? IS NULL OR experiment_id = ?) GROUP BY kind",
        _twice(campaign_id, hypothesis_id, experiment_id),
    )
    return dict.fromkeys(KINDS, 0.0) | {row["kind"]: row["amount"] for row in rows}


def committed(
    connection: sqlite3.Connection,
    *,
    campaign_id: int | None = None,
    hypothesis_id: int | None = None,
    experiment_id: int | None = None,
    queued: bool = True,
    now: float | None = None,
) -> dict[str, float]:
    """What is spent, what the running attempts will have taken, and what waits will take.

    Parameters
    ----------
    queued : count what waits too; without it, only what is spent or runs.
    """
    now = time.time() if now is None else now
    total = spent(
        connection,
        campaign_id=campaign_id,
        hypothesis_id=hypothesis_id,
        experiment_id=experiment_id,
    )
    rows = connection.execute(
        "SELECT expected_s, json_extract(limits, '$.device') AS wanted, device, started_at"
        " FROM experiment LEFT JOIN attempt ON experiment_id = experiment.id AND outcome IS NULL"
        " WHERE (state = 'running' OR ? AND state = 'queued')"
        " AND (? IS NULL OR experiment.campaign_id = ?) AND (? IS NULL OR hypothesis_id = ?)"
        " AND (? IS NULL OR experiment.id = ?)",
        (queued, *_twice(campaign_id, hypothesis_id, experiment_id)),
    ).fetchall()
    typical_s = _typical_s(connection, campaign_id)
    on_gpu = total["gpu_s"] > 0
    for row in rows:
        expected_s = typical_s if row["expected_s"] is None else row["expected_s"]
        if row["started_at"] is not None:
            expected_s = max(expected_s, now - row["started_at"])
        total["wall_s"] += expected_s
        device = row["device"] or row["wanted"]
        if on_gpu if device is None else device.startswith("cuda"):
            total["gpu_s"] += expected_s
    return total


def within_budget(
    connection: sqlite3.Connection,
    campaign_id: int,
    *,
    queued: bool = True,
    more_s: float = 0.0,
) -> str | None:
    """Why a campaign can afford no more; None when it can.

    Parameters
    ----------
    queued : count what waits too: asked before proposing. Without it: before claiming.
    more_s : what the next attempt is expected to take.
    """
    row = connection.execute("SELECT budget FROM campaign WHERE id = ?", (campaign_id,)).fetchone()
    if row is None:
        raise ArgumentError(
            complaint("campaign_id", expected="the number of a campaign", got=campaign_id)
        )
    budget: Mapping[str, float] = json.loads(row["budget"])
    limits = {kind: budget[kind] for kind in KINDS if budget.get(kind) is not None}
    if not limits:
        return None
    total = committed(connection, campaign_id=campaign_id, queued=queued)
    gone = spent(connection, campaign_id=campaign_id)
    more = {"wall_s": more_s, "gpu_s": more_s if total["gpu_s"] > 0 else 0.0}
    for kind, limit in limits.items():
        amount = total[kind] + more.get(kind, 0.0)
        if amount > limit or total[kind] >= limit:
            promised = amount - gone[kind]
            return (
                f"its budget of {limit:.6g} {_unit(kind)}: {gone[kind]:.6g} are spent, "
                f"{promised:.6g} in flight or promised"
            )
    return None


def _typical_s(connection: sqlite3.Connection, campaign_id: int | None) -> float:
    """What an attempt took so far, on average."""
    query = (
        "SELECT avg(amount) FROM ledger WHERE kind = 'wall_s' AND (? IS NULL OR campaign_id = ?)"
    )
    return connection.execute(query, (campaign_id, campaign_id)).fetchone()[0] or 0.0


def _write(
    connection: sqlite3.Connection,
    experiment_id: int | None,
    hypothesis_id: int | None,
    campaign_id: int | None,
    kind: str,
    amount: float,
    note: str,
) -> None:
    connection.execute(
        "INSERT INTO ledger (experiment_id, hypothesis_id, campaign_id, kind, amount, note, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (experiment_id, hypothesis_id, campaign_id, kind, amount, note, time.time()),
    )


def _twice(*values: int | None) -> tuple[int | None, ...]:
    return tuple(value for value in values for _ in range(2))


def _unit(kind: str) -> str:
    return UNITS.get(kind, "USD")
