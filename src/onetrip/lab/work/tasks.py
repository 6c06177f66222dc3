"""The lab's side of a worker, near or far: hand out a task, take in its answer, see to the rest."""

import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from onetrip.lab.judge.machine import Machine
from onetrip.lab.judge.trial_job import TrialJob, trial_job_from
from onetrip.lab.queue import claims
from onetrip.lab.queue.after import settle
from onetrip.lab.queue.claims import LEASE_S
from onetrip.lab.store.database import transaction
from onetrip.lab.verdict import Verdict
from onetrip.lab.work.place import study_of
from onetrip.lab.work.rivals import rivals_of
from onetrip.lab.work.trial import trial_job

# Stage of an attempt that is answered, and whose followers have run.
SETTLED = "settled"
# Nobody takes longer over that: who did was killed, is not waited for, and is made up for.
SETTLES_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt that is ours to make: its numbers, and the job for the judge."""

    attempt_id: int
    n: int
    experiment_id: int
    title: str
    job: TrialJob

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def task_from(document: Mapping) -> Task:
    """Read what `Task.as_dict` wrote."""
    values: dict = dict(document) | {"job": trial_job_from(document["job"])}
    return Task(**values)


def take(
    connection: sqlite3.Connection,
    worker_id: int,
    device: str,
    machine: Machine,
    *,
    campaign_id: int | None = None,
) -> Task | None:
    """The next task for a worker's device; None when none waits."""
    claims.reap(connection)
    claim = claims.claim(
        connection,
        worker_id,
        # Drawn here, when the candidate is fixed: nothing can have been fitted to the inputs.
        seed=secrets.randbits(63),
        lease_s=LEASE_S,
        campaign_id=campaign_id,
        devices=(device,),
    )
    if claim is None:
        return None
    study_id = study_of(connection, claim.problem_id, claim.problem, claim.contender, machine)
    with transaction(connection):
        connection.execute(
            "UPDATE attempt SET study_id = ? WHERE id = ? AND outcome IS NULL",
            (study_id, claim.attempt_id),
        )
    job = trial_job(claim, device, rivals_of(connection, claim, study_id))
    return Task(claim.attempt_id, claim.n, claim.experiment_id, claim.title, job)


def answer(connection: sqlite3.Connection, attempt_id: int, n: int, verdict: Verdict) -> bool:
    """Take in an answer and see to what follows; False when it came too late to count."""
    row = connection.execute(
        "SELECT experiment_id, study_id FROM attempt WHERE id = ?", (attempt_id,)
    ).fetchone()
    if row is None:
        return False
    if not claims.finish(connection, attempt_id, n, verdict, study_id=row["study_id"]):
        return False
    _see_to(connection, attempt_id, row["experiment_id"])
    return True


def settle_left_over(connection: sqlite3.Connection) -> list[int]:
    """Run the followers of answers whose process was killed before it came to them.

    Returns
    -------
    list[int]
        The experiments of those answers.
    """
    rows = connection.execute(
        "SELECT attempt.id, experiment_id FROM attempt"
        " JOIN experiment ON experiment.id = experiment_id"
        # A tune's own session sees to what follows in it.
        " WHERE outcome IS NOT NULL AND stage <> ? AND experiment.study_id IS NULL"
        " AND ended_at < ? AND invalid = '' AND outcome <> 'infra_lost' ORDER BY attempt.id",
        (SETTLED, time.time() - SETTLES_WITHIN_S),
    ).fetchall()
    for row in rows:
        _see_to(connection, row["id"], row["experiment_id"])
    return [row["experiment_id"] for row in rows]


def _see_to(connection: sqlite3.Connection, attempt_id: int, experiment_id: int) -> None:
    settle(connection, experiment_id)
    # What follows from it stands in the queue by now: whoever waits for the end of a campaign
    # must not take the moment in between for it.
    with transaction(connection):
        connection.execute("UPDATE attempt SET stage = ? WHERE id = ?", (SETTLED, attempt_id))
