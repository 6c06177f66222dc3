"""A campaign: an agent proposes, workers answer, until the agent or the budget is done."""

import os
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from onetrip.core.errors import OnetripError
from onetrip.lab.agents.agent import Agent, AgentStopped, Past, Proposal
from onetrip.lab.judge.machine import Machine, machine
from onetrip.lab.knowledge import hypotheses, learnings
from onetrip.lab.problems.problem import Contender
from onetrip.lab.queue import ledger
from onetrip.lab.queue.campaigns import close_campaign, open_campaign
from onetrip.lab.queue.submit import submit
from onetrip.lab.store.database import connect
from onetrip.lab.views.problems import brief
from onetrip.lab.work.loop import Condition, never, work
from onetrip.lab.work.past import history_of
from onetrip.lab.work.tasks import SETTLED, SETTLES_WITHIN_S
from onetrip.lab.work.trial import Judge

_POLL_S = 0.1
_OPEN = ("queued", "running")


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """What a campaign works on, and how far it may go.

    Parameters
    ----------
    problem_id : of a problem in the database.
    title : for people.
    objective : "latency" or a run's metric.
    budget : the most of each kind: {"experiments": 100, "wall_s": 600, "gpu_s": …, "usd": …}.
    ahead : proposals that may wait unanswered; 1 for an agent that learns from each.
    limits : of each trial: {"seconds": 60}.
    """

    problem_id: int
    title: str
    objective: str = "latency"
    budget: Mapping[str, float] = field(default_factory=dict)
    ahead: int = 1
    limits: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CampaignEnd:
    """How a campaign ended: why, and everything that it tried."""

    campaign_id: int
    why: str
    history: Sequence[Past]
    seconds: float


class WorkerDiedError(OnetripError):
    """A campaign's own worker ended with an error; what was answered before is kept."""


def run_campaign(
    database: Path,
    plan: CampaignPlan,
    agent: Agent,
    *,
    devices: Sequence[str] = ("cpu",),
    abort: Condition = never,
    judge: Judge | None = None,
    look: Callable[[str], Machine] = machine,
    on_campaign: Callable[[int], None] = lambda campaign_id: None,
) -> CampaignEnd:
    """Let `agent` propose and workers of this process answer.

    Parameters
    ----------
    devices : where candidates run; empty leaves the answers to other workers.
    abort : True ends the campaign at once and gives what runs back to the queue, as an interrupt
        does.
    on_campaign : receives the campaign's id as soon as it has one.

    Raises
    ------
    WorkerDiedError
        A worker ended with an error, which is the cause; the message says what is kept and where.
    """
    started = time.monotonic()
    done, broken_off = threading.Event(), threading.Event()
    with closing(connect(database)) as connection:
        campaign_id = _open(connection, plan, agent)
        on_campaign(campaign_id)
        with ThreadPoolExecutor(1, thread_name_prefix="workers") as pool:
            try:
                workers = None
                if devices:
                    workers = pool.submit(
                        work,
                        database,
                        devices=devices,
                        until=done.is_set,
                        abort=lambda: broken_off.is_set() or abort(),
                        campaign_id=campaign_id,
                        judge=judge,
                        look=look,
                    )
                why = _propose(connection, campaign_id, plan, agent, abort, workers)
            except BaseException:
                broken_off.set()  # whoever pressed Ctrl-C does not wait for a trial to end
                raise
            finally:
                done.set()
        death = workers.exception() if workers else None
        if death is not None:
            why = f"a worker died: {_what_happened(death)}"
            trace = "".join(traceback.format_exception(death))
            close_campaign(connection, campaign_id, why, traceback=trace)
            kept = _what_is_kept(connection, database, campaign_id)
            raise WorkerDiedError(f"Campaign {campaign_id} ended: {why}. {kept}") from death
        history = history_of(connection, campaign_id)
        _learn(connection, plan, agent, history)
        close_campaign(connection, campaign_id, why)
    return CampaignEnd(campaign_id, why, history, time.monotonic() - started)


def _propose(
    connection: sqlite3.Connection,
    campaign_id: int,
    plan: CampaignPlan,
    agent: Agent,
    abort: Condition,
    workers: Future[int] | None,
) -> str:
    """Keep the queue filled; return why that ended. `workers` are this process's, if it has any."""
    finished = ""
    while not (abort() or (workers is not None and workers.done())):
        unanswered = _unanswered(connection, campaign_id)
        if finished and not unanswered:
            return finished
        if not finished and unanswered < plan.ahead:
            history = history_of(connection, campaign_id)
            finished = _spent_up(connection, campaign_id, plan, history)
            if finished:
                continue
            proposal, why = None, "the agent has nothing more to try"
            try:
                proposal = agent.propose(brief(connection, plan.problem_id), history)
            except AgentStopped as stopped:
                why = str(stopped)
            _charge_thinking(connection, campaign_id, agent)
            if proposal is None:
                finished = why
            else:
                _submit(connection, campaign_id, plan, agent, proposal, history)
            continue
        time.sleep(_POLL_S)
    return "stopped"


def _what_happened(error: BaseException) -> str:
    """The error's own words; of one that nobody raised on purpose also its kind and place."""
    if isinstance(error, OnetripError):
        return str(error).removesuffix(".")
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"


def _what_is_kept(connection: sqlite3.Connection, database: Path, campaign_id: int) -> str:
    """What a campaign that broke off leaves, and how to see it and go on."""
    answered, waiting = connection.execute(
        "SELECT count(*) FILTER (WHERE state NOT IN (?, ?)),"
        " count(*) FILTER (WHERE state IN (?, ?)) FROM experiment WHERE campaign_id = ?",
        (*_OPEN, *_OPEN, campaign_id),
    ).fetchone()
    ended = f"type = 'campaign.ended' AND subject_id = {campaign_id}"
    return (
        f"Experiments answered and kept: {answered}; waiting: {waiting}. "
        "To look at them, to go on with them, to read the error's whole trace:\n"
        f"  onetrip lab list --db {database}\n"
        f"  onetrip lab work --db {database}\n"
        f'  onetrip lab query --db {database} --json "SELECT document FROM event WHERE {ended}"'
    )


def _submit(
    connection: sqlite3.Connection,
    campaign_id: int,
    plan: CampaignPlan,
    agent: Agent,
    proposal: Proposal,
    history: Sequence[Past],
) -> None:
    hypothesis_id = None
    if proposal.prediction is not None:
        prediction = proposal.prediction
        hypothesis_id = hypotheses.declare(
            connection,
            title=prediction.title,
            rationale=prediction.rationale,
            problem_id=plan.problem_id,
            metric=prediction.metric,
            direction=prediction.direction,
            least_effect=prediction.least_effect,
            workloads=prediction.workloads,
            prior=prediction.prior,
            by=agent.name,
        )
    parent_candidate = None
    if proposal.parent is not None:
        row = connection.execute(
            "SELECT candidate_id FROM experiment WHERE id = ?", (proposal.parent,)
        ).fetchone()
        parent_candidate = None if row is None else row["candidate_id"]
    submit(
        connection,
        plan.problem_id,
        Contender("source", proposal.source),
        proposer=agent.name,
        why=proposal.why,
        title=proposal.title,
        parent_candidate_id=parent_candidate,
        parent_id=proposal.parent,
        hypothesis_id=hypothesis_id,
        baseline_id=parent_candidate,
        campaign_id=campaign_id,
        limits=dict(plan.limits),
        idempotency_key=f"campaign {campaign_id} proposal {len(history) + 1}",
    )


def _spent_up(
    connection: sqlite3.Connection, campaign_id: int, plan: CampaignPlan, history: Sequence[Past]
) -> str:
    """Why the budget allows no further proposal; empty when it does."""
    most = plan.budget.get("experiments")
    if most is not None and len(history) >= most:
        return f"its budget of {most:.0f} experiments is spent"
    return ledger.within_budget(connection, campaign_id) or ""


def _unanswered(connection: sqlite3.Connection, campaign_id: int) -> int:
    """What waits or runs, and what is answered without its followers having run yet."""
    return connection.execute(
        "SELECT count(*) FROM experiment WHERE campaign_id = ? AND (state IN (?, ?) OR EXISTS ("
        " SELECT 1 FROM attempt WHERE experiment_id = experiment.id AND outcome IS NOT NULL"
        " AND outcome <> 'infra_lost' AND stage <> ? AND ended_at > ?))",
        (campaign_id, *_OPEN, SETTLED, time.time() - SETTLES_WITHIN_S),
    ).fetchone()[0]


def _charge_thinking(connection: sqlite3.Connection, campaign_id: int, agent: Agent) -> None:
    """Charge what the agent's thinking cost since it was last charged."""
    charged = ledger.spent(connection, campaign_id=campaign_id)
    for kind, amount in agent.spent().items():
        more = amount - charged.get(kind, 0.0)
        if more > 0:
            ledger.charge(connection, kind, more, campaign_id=campaign_id, note="the agent")


def _open(connection: sqlite3.Connection, plan: CampaignPlan, agent: Agent) -> int:
    return open_campaign(
        connection,
        plan.problem_id,
        title=plan.title,
        proposer=agent.name,
        objective=plan.objective,
        seed=0,
        budget=plan.budget,
        environment={},
        pid=os.getpid(),
    )


def _learn(
    connection: sqlite3.Connection, plan: CampaignPlan, agent: Agent, history: Sequence[Past]
) -> None:
    """Keep what the agent takes from it all; nothing, where nothing was tried."""
    lessons = agent.learn(brief(connection, plan.problem_id), history) if history else ()
    for lesson in lessons:
        learnings.add(
            connection,
            text=lesson.text,
            scope={"problem": plan.problem_id},
            confidence=lesson.confidence,
            by=agent.name,
            about=[("experiment", experiment_id) for experiment_id in lesson.about],
        )
