"""Searches over candidates of one problem: when they began, under which budget, why they ended."""

import sqlite3
import time
from collections.abc import Mapping

from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event
from onetrip.lab.store.study import canonical


def open_campaign(
    connection: sqlite3.Connection,
    problem_id: int,
    *,
    title: str,
    proposer: str,
    objective: str,
    seed: int,
    budget: Mapping[str, float],
    environment: Mapping[str, object],
    pid: int,
    study_id: int | None = None,
) -> int:
    """Note that a search starts; return its id."""
    with transaction(connection):
        campaign_id = connection.execute(
            "INSERT INTO campaign (title, problem_id, study_id, proposer, objective, seed, budget,"
            " environment, pid, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                title,
                problem_id,
                study_id,
                proposer,
                objective,
                seed,
                canonical(dict(budget)),
                canonical(dict(environment)),
                pid,
                time.time(),
            ),
        ).fetchone()["id"]
        text = f"{title} started: {proposer}, for {objective}"
        append_event(connection, "campaign.started", "campaign", campaign_id, text)
    return campaign_id


def close_campaign(
    connection: sqlite3.Connection, campaign_id: int, why: str, **document: object
) -> None:
    """Note that a search ended, and why; `document` is what its event tells a program of it."""
    with transaction(connection):
        row = connection.execute(
            "UPDATE campaign SET ended_at = ?, ended_why = ? WHERE id = ? AND ended_at IS NULL"
            " RETURNING title",
            (time.time(), why, campaign_id),
        ).fetchone()
        if row is not None:
            text = f"{row['title']} ended: {why}"
            append_event(connection, "campaign.ended", "campaign", campaign_id, text, **document)
