"""One tune from start to end: take up what is known, search, confirm, and decide."""

import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from onetrip.core import settings, tuning
from onetrip.core.cost import count_cost
from onetrip.core.operators import load_spec, operator_module
from onetrip.core.selection import Config
from onetrip.lab import sources
from onetrip.lab.judge.job import Contender
from onetrip.lab.judge.process import WORKER, Relay
from onetrip.lab.problems.problem import Contender as Candidate
from onetrip.lab.queue.campaigns import close_campaign, open_campaign
from onetrip.lab.queue.claims import reap, register_worker, retire_worker
from onetrip.lab.queue.device_lock import devices_held
from onetrip.lab.queue.order import ask_again
from onetrip.lab.queue.submit import add_problem, submit
from onetrip.lab.search.proposal import Proposal
from onetrip.lab.search.proposer import Proposer, load_optuna
from onetrip.lab.search.ranking import Score, best, scores
from onetrip.lab.search.space import Space, open_space
from onetrip.lab.store.database import connect
from onetrip.lab.store.history import Trial, history
from onetrip.lab.store.study import best_ceilings, place_study
from onetrip.lab.tune import effort
from onetrip.lab.tune.attempts import WHO, Attempts, current_choice
from onetrip.lab.tune.prepared import Prepared, prepare
from onetrip.lab.tune.promotion import CONFIRMATIONS, Decision, Standing, decide, tuned_entry
from onetrip.lab.tune.request import TuneRequest
from onetrip.lab.tune.watcher import Opened, Watcher

# A candidate that takes the whole machine down must not do so at every start for ever.
MAX_LOST_ATTEMPTS = 5
# While another tune works on the last experiments of the same study.
_POLL_S = 0.05
# A candidate of which nothing is known yet is expected to take this long.
_FIRST_GUESS_S = 10.0
# What every judge imports before it reads its problem.
_MODULES = ("onetrip.lab.judge.judge", "triton")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a tune found: everything that its report is made of."""

    request: TuneRequest
    prepared: Prepared
    opened: Opened
    trials: Sequence[Trial]
    leader: Score | None
    defaults: dict[str, Config]
    decision: Decision
    entry: tuning.TunedEntry | None
    table: Path
    campaign_id: int
    stopped: str
    seconds: float


def tune(
    request: TuneRequest,
    watcher: Watcher,
    *,
    database: Path | None = None,
    command: tuple[str, ...] = WORKER,
) -> Outcomes:
    """Search `request`'s space within its budget, and put a confirmed winner into the table.

    Parameters
    ----------
    watcher : sees every step.
    database : the lab's file; by default the one of the settings.
    command : starts a worker.

    Returns
    -------
    Outcomes
        Also after Ctrl-C, with ``stopped="interrupted"`` and what was known by then.

    Raises
    ------
    OnetripError
        Before anything is tried: the request, the problem or the database is no good.
    """
    spec = load_spec(request.operator)
    # Now, not after a workload has been trained for a minute.
    load_optuna()
    database = database or settings.database()
    with closing(connect(database)) as connection:
        for _ in reap(connection):
            watcher.note("An earlier run was killed: its last candidate is tried again.")
        kinds = {None: ("cpu", "cuda:0"), "cpu": ("cpu",), "cuda": ("cuda:0",)}
        # The device's ceilings are measured now: nobody else may be at work on it.
        with devices_held(kinds[request.device_kind], WHO, watcher.note):
            prepared = prepare(
                request, backward=spec.differentiable, watcher=watcher, command=command
            )
        name = f"{WHO} {platform.node()}/{os.getpid()}"
        worker_id = register_worker(
            connection, name, "local", {"devices": [prepared.ref.device_kind]}
        )
        on_gpu = prepared.ref.device_kind == "cuda"
        try:
            with Relay(command, _MODULES, ahead=on_gpu) as relay:
                return _Session(
                    request, prepared, connection, database, worker_id, watcher, relay
                ).run()
        finally:
            retire_worker(connection, worker_id)


class _Session:
    def __init__(
        self,
        request: TuneRequest,
        prepared: Prepared,
        connection: sqlite3.Connection,
        database: Path,
        worker_id: int,
        watcher: Watcher,
        relay: Relay,
    ) -> None:
        self.request = request
        self.prepared = prepared
        self.connection = connection
        self.watcher = watcher
        self.started = time.monotonic()
        self.problem = prepared.problem
        self.space: Space = open_space(
            request.operator,
            self.problem,
            impls=request.impls,
            memory_bytes=prepared.memory_bytes,
        )
        self.proposer = Proposer(self.space, request.objective, request.seed)
        self.cost = count_cost(
            operator_module(request.operator, "cost").estimate_cost,
            self.problem.axes,
            dtype=self.problem.dtype,
            backward=prepared.row.backward,
            options=self.problem.options,
        )
        self.problem_id = add_problem(connection, prepared.row.facts(self.cost))
        self.study_id = place_study(
            connection,
            self.problem_id,
            prepared.device,
            prepared.environment,
            sources.harness(request.operator),
            sources.subject(request.operator),
        )
        self.campaign_id = open_campaign(
            connection,
            self.problem_id,
            title=f"tune {request.operator}/{prepared.row.workload}",
            proposer="TPE",
            objective=request.objective,
            seed=request.seed,
            budget={"wall_s": request.budget_s},
            environment=prepared.environment,
            pid=os.getpid(),
            study_id=self.study_id,
        )
        self.attempts = Attempts(
            connection,
            database,
            worker_id,
            self.study_id,
            self.campaign_id,
            request=request,
            prepared=prepared,
            space=self.space,
            watcher=watcher,
            relay=relay,
        )

    def run(self) -> Outcomes:
        opened = self._opened()
        self.watcher.opened(opened, self._trials())
        try:
            stopped = self._search()
            self._confirm()
        except KeyboardInterrupt:
            self.attempts.give_back()
            stopped = "interrupted"
        close_campaign(self.connection, self.campaign_id, stopped)
        return self._outcomes(opened, stopped)

    def _opened(self) -> Opened:
        return Opened(
            operator=self.request.operator,
            workload=self.prepared.row.workload,
            source=self.prepared.row.source,
            problem=self.problem,
            device=best_ceilings(self.connection, self.study_id, self.prepared.device),
            cost=self.cost,
            objective=self.request.objective,
            points=self.space.size,
            known=sum(trial.settled for trial in self._trials()),
            budget_s=self.request.budget_s,
        )

    def _search(self) -> str:
        """Try points until none is left or the budget is spent; return which."""
        while True:
            trials = self._trials()
            if trials and self._left_s() < self._expected_s(trials) + self._reserve_s(trials):
                return "budget"
            if any(trial.state == "queued" for trial in trials):
                self.attempts.next()
                continue
            proposal = self.proposer.propose(trials)
            if proposal is None:
                if self._elsewhere(trials):
                    time.sleep(_POLL_S)
                    continue
                return "exhausted"
            refused = self.space.refuses(proposal.impl, proposal.config)
            experiment_id = self._ask(proposal, pruned=refused)
            if refused is None:
                self.attempts.next()
            else:
                self.watcher.judged(self._trials(), experiment_id)

    def _ask(
        self,
        proposal: Proposal,
        *,
        purpose: str = "search",
        priority: float = 0.0,
        pruned: str | None = None,
    ) -> int:
        asked = submit(
            self.connection,
            self.problem_id,
            Candidate("config", impl=proposal.impl, config=proposal.config),
            proposer=proposal.proposer,
            why=proposal.why,
            parent_id=proposal.parent_id,
            campaign_id=self.campaign_id,
            study_id=self.study_id,
            purpose=purpose,
            priority=priority,
            pruned=pruned,
            max_attempts=MAX_LOST_ATTEMPTS,
        )
        if purpose == "confirm" and not asked.created:
            ask_again(self.connection, asked.experiment_id, priority=priority, by=WHO)
        return asked.experiment_id

    def _elsewhere(self, trials: Sequence[Trial]) -> bool:
        """Whether another tune of this study works on something; a dead one gives it back."""
        reap(self.connection)
        return any(trial.state == "running" for trial in trials)

    def _confirm(self) -> None:
        """Put the best to the test again, with other inputs and more samples."""
        for _ in range(CONFIRMATIONS):
            trials = self._trials()
            leader = self._leader(trials)
            if leader is None or self._is_default(leader) or not self._unconfirmed(leader):
                return
            # The first one has its time reserved; it may run over by what one attempt takes.
            if self._left_s() < 0:
                return
            why = f"the best of the search (#{leader.trial.experiment_id}), on new inputs"
            winner = Proposal(
                leader.trial.impl, leader.trial.config, "confirm", why, leader.trial.experiment_id
            )
            self._answer(self._ask(winner, purpose="confirm", priority=1.0))

    def _answer(self, experiment_id: int) -> None:
        """Run an experiment, or wait for the other tune that does."""
        while True:
            trials = self._trials()
            state = next(t.state for t in trials if t.experiment_id == experiment_id)
            if state == "queued":
                self.attempts.next()
            elif state == "running" and self._elsewhere(trials):
                time.sleep(_POLL_S)
            else:
                return

    def _outcomes(self, opened: Opened, stopped: str) -> Outcomes:
        trials = self._trials()
        leader, decision = self._decide(trials)
        table = tuning.user_table(self.request.operator, self.problem.device_name)
        entry = None
        if leader is not None and decision.standing in (Standing.PROMOTED, Standing.IN_TABLE):
            entry = tuned_entry(
                leader,
                self.request.operator,
                self.problem,
                objective=self.request.objective,
                campaign_id=self.campaign_id,
            )
        if entry is not None and decision.standing is Standing.PROMOTED:
            tuning.record_winner(table, entry)
        return Outcomes(
            request=self.request,
            prepared=self.prepared,
            opened=opened,
            trials=trials,
            leader=leader,
            defaults=dict(self.space.defaults),
            decision=decision,
            entry=entry,
            table=table,
            campaign_id=self.campaign_id,
            stopped=stopped,
            seconds=time.monotonic() - self.started,
        )

    def _decide(self, trials: Sequence[Trial]) -> tuple[Score | None, Decision]:
        """Decide on the best; where that is not confirmed, on the best that is and holds."""
        leader = self._leader(trials)
        current = current_choice(self.request.operator, self.problem)
        confirmed = [score for score in self._scores(trials) if score.trial.purpose == "confirm"]

        def decided(score: Score | None) -> Decision:
            return decide(
                score,
                self.request.objective,
                is_default=score is not None and self._is_default(score),
                is_current=score is not None and self._contender(score) == current,
                fallen=sum(other is not score for other in confirmed),
            )

        holds = (Standing.PROMOTED, Standing.IN_TABLE, Standing.TABLE_STAYS)
        runner_up = best(confirmed, self.request.objective)
        if decided(leader).standing not in holds and decided(runner_up).standing in holds:
            leader = runner_up
        return leader, decided(leader)

    def _trials(self) -> list[Trial]:
        return history(self.connection, self.study_id)

    def _scores(self, trials: Sequence[Trial]) -> list[Score]:
        return [score for score in scores(trials) if score.trial.impl in self.space.parameters]

    def _leader(self, trials: Sequence[Trial]) -> Score | None:
        return best(self._scores(trials), self.request.objective)

    def _is_default(self, leader: Score) -> bool:
        return leader.trial.config == self.space.defaults[leader.trial.impl]

    def _unconfirmed(self, leader: Score) -> bool:
        """Not confirmed yet, or not against what ``impl="auto"`` runs today."""
        if leader.trial.purpose != "confirm" or leader.trial.verdict is None:
            return True
        current = current_choice(self.request.operator, self.problem)
        default = Contender(leader.trial.impl, self.space.defaults[leader.trial.impl])
        if current in (default, self._contender(leader)):
            return False
        timed = leader.trial.verdict.timing("current")
        return timed is None or Contender(timed.impl, timed.config) != current

    @staticmethod
    def _contender(leader: Score) -> Contender:
        return Contender(leader.trial.impl, leader.trial.config)

    def _left_s(self) -> float:
        """Of the budget; a wait for the device is nobody's search."""
        return self.request.budget_s + self.attempts.waited_s - (time.monotonic() - self.started)

    def _expected_s(self, trials: Sequence[Trial]) -> float:
        """What a trial of the search is expected to take, told by those that were timed."""
        taken = [trial.seconds for trial in trials if trial.done and trial.purpose == "search"]
        return statistics.median(taken) if taken else min(_FIRST_GUESS_S, self.request.budget_s)

    def _reserve_s(self, trials: Sequence[Trial]) -> float:
        """What must be left over for confirming the best of the search."""
        leader = self._leader(trials)
        if leader is None or self._is_default(leader) or not self._unconfirmed(leader):
            return 0.0
        return self._expected_s(trials) * effort.CONFIRM_FACTOR
