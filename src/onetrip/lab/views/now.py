"""The lab at this moment: what runs, on which devices, in which campaigns."""

import sqlite3
import time
from collections import Counter

from onetrip.lab.queue.evidence import typical_s
from onetrip.lab.store.events import last_seq
from onetrip.lab.views.experiments import title_of
from onetrip.lab.views.read import ids, rows

# A worker that has not been heard of for so long is shown as gone.
WORKER_GONE_S = 120.0


def now(connection: sqlite3.Connection) -> dict:
    """The first page.

    Returns
    -------
    {`at`, `last_seq`: continue from here with `events_after`, `counts_by_state`, `running`,
    `devices`: newest sample of each, `workers`, `campaigns` that have not ended with `spent`,
    `champions`: newest first, `open_hypotheses`: how many in each undecided status}.
    """
    at = time.time()
    counts = rows(connection, "SELECT state, count(*) AS n FROM experiment GROUP BY state")
    open_ones = rows(
        connection,
        "SELECT status, count(*) AS n FROM hypothesis"
        " WHERE status IN ('open', 'testing', 'inconclusive') GROUP BY status",
    )
    return {
        "at": at,
        "last_seq": last_seq(connection),
        "counts_by_state": {row["state"]: row["n"] for row in counts},
        "running": running(connection),
        "devices": devices(connection),
        "workers": workers(connection, at),
        "campaigns": campaigns(connection),
        "champions": champions(connection),
        "open_hypotheses": {row["status"]: row["n"] for row in open_ones},
    }


def running(connection: sqlite3.Connection) -> list[dict]:
    """Open attempts: experiment, stage, hypothesis, worker, `elapsed_s` and `left_s`.

    Where nobody said how long it takes, it is expected to take what attempts at the problem took so
    far; before the first of them, `left_s` is None.
    """
    at = time.time()
    found = rows(
        connection,
        "SELECT attempt.id AS attempt_id, n, stage, attempt.started_at, heartbeat_at, lease_until,"
        " attempt.pid, worker.name AS worker, worker.capabilities, experiment.id,"
        " experiment.state, experiment.purpose, experiment.proposer, experiment.why,"
        " experiment.expected_s, experiment.limits, experiment.campaign_id,"
        " candidate.id AS candidate_id, candidate.title, candidate.impl, candidate.config,"
        " problem.id AS problem_id, problem.name AS problem, hypothesis.id AS hypothesis_id,"
        " hypothesis.title AS hypothesis, hypothesis.status AS hypothesis_status,"
        " attempt.device, device.name AS device_name"
        " FROM attempt JOIN experiment ON experiment.id = experiment_id"
        " JOIN candidate ON candidate.id = candidate_id"
        " JOIN problem ON problem.id = candidate.problem_id"
        " LEFT JOIN hypothesis ON hypothesis.id = hypothesis_id"
        " LEFT JOIN worker ON worker.id = worker_id"
        " LEFT JOIN study ON study.id = attempt.study_id LEFT JOIN device ON device.id = device_id"
        " WHERE outcome IS NULL ORDER BY attempt.started_at",
    )
    typical = typical_s(connection) if found else {}
    for row in found:
        row["title"] = title_of(row)
        row["elapsed_s"] = max(0.0, at - row["started_at"])
        if row["expected_s"] is None:
            row["expected_s"] = typical.get(row["problem_id"])
        expected_s = row["expected_s"]
        row["left_s"] = None if expected_s is None else max(0.0, expected_s - row["elapsed_s"])
    return found


def devices(connection: sqlite3.Connection) -> list[dict]:
    """The newest sample of every device: `device`, `host`, `at`, `age_s`, `sample`."""
    at = time.time()
    found = []
    place = ("", "")
    # From one device to the next by the whole key: a day of samples is never walked through.
    while (
        row := connection.execute(
            "SELECT device, host FROM device_sample WHERE (device, host, at) > (?, ?, 9e999)"
            " ORDER BY device, host, at LIMIT 1",
            place,
        ).fetchone()
    ) is not None:
        place = (row["device"], row["host"])
        found += rows(
            connection,
            "SELECT device, host, at, sample FROM device_sample WHERE device = ? AND host = ?"
            " ORDER BY at DESC LIMIT 1",
            *place,
        )
    found.sort(key=lambda sample: (sample["host"], sample["device"]))
    return [sample | {"age_s": max(0.0, at - sample["at"])} for sample in found]


def workers(connection: sqlite3.Connection, at: float | None = None) -> list[dict]:
    """Workers that have not left, never their tokens; `gone` when one has long been silent."""
    at = time.time() if at is None else at
    found = rows(
        connection,
        "SELECT id, name, kind, capabilities, host, pid, seen_at FROM worker"
        " WHERE ended_at IS NULL ORDER BY name",
    )
    return [row | {"gone": at - row["seen_at"] > WORKER_GONE_S} for row in found]


def campaigns(connection: sqlite3.Connection, *, ended: bool = False) -> list[dict]:
    """Campaigns that go on (or that `ended`), newest first, with counts and what they `spent`."""
    found = rows(
        connection,
        "SELECT campaign.*, problem.name AS problem FROM campaign"
        " JOIN problem ON problem.id = problem_id"
        f" WHERE ended_at IS {'NOT ' if ended else ''}NULL ORDER BY campaign.id DESC LIMIT 50",
    )
    campaign_ids = ids(row["id"] for row in found)
    spent: dict[int, Counter] = {row["id"]: Counter() for row in found}
    states: dict[int, Counter] = {row["id"]: Counter() for row in found}
    for line in connection.execute(
        "SELECT campaign_id, kind, sum(amount) AS amount FROM ledger"
        " WHERE campaign_id IN (SELECT value FROM json_each(?)) GROUP BY campaign_id, kind",
        (campaign_ids,),
    ):
        spent[line["campaign_id"]][line["kind"]] = line["amount"]
    for line in connection.execute(
        "SELECT campaign_id, state, count(*) AS n FROM experiment"
        " WHERE campaign_id IN (SELECT value FROM json_each(?)) GROUP BY campaign_id, state",
        (campaign_ids,),
    ):
        states[line["campaign_id"]][line["state"]] = line["n"]
    for row in found:
        # The whole block of the machine is for the export, not for a list.
        del row["environment"]
        row["spent"] = dict(spent[row["id"]])
        row["counts_by_state"] = dict(states[row["id"]])
    return found


def champions(connection: sqlite3.Connection, limit: int = 10) -> list[dict]:
    """The best of each problem and study as it stands, newest first."""
    found = rows(
        connection,
        "SELECT champion.id, champion.problem_id, problem.name AS problem, champion.study_id,"
        " device.name AS device, champion.candidate_id, champion.experiment_id, champion.why,"
        " champion.since, candidate.title, candidate.impl, candidate.config"
        " FROM champion JOIN problem ON problem.id = champion.problem_id"
        " JOIN candidate ON candidate.id = champion.candidate_id"
        " JOIN study ON study.id = champion.study_id JOIN device ON device.id = device_id"
        " WHERE until IS NULL ORDER BY since DESC LIMIT ?",
        limit,
    )
    return [row | {"title": title_of(row)} for row in found]
