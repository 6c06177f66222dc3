"""One attempt: claim an experiment, run it in a process of its own, commit what came of it."""

import secrets
import sqlite3

from onetrip.core.operators import operator_module
from onetrip.core.selection import Problem
from onetrip.lab import effort
from onetrip.lab.judge.failure import verdict_of_death
from onetrip.lab.judge.job import Contender, JudgeJob
from onetrip.lab.judge.process import Message, run_job
from onetrip.lab.prepared import Prepared
from onetrip.lab.request import TuneRequest
from onetrip.lab.search.space import Space
from onetrip.lab.store import queue
from onetrip.lab.store.history import history
from onetrip.lab.verdict import Outcome, Verdict, verdict_from
from onetrip.lab.watcher import Watcher


def current_choice(operator: str, problem: Problem) -> Contender:
    """What ``impl="auto"`` runs today, tuning tables included."""
    choice = operator_module(operator, "select").choose(problem)
    return Contender(choice.impl, dict(choice.config))


class Attempts:
    """Runs the queue of one study, one experiment at a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        study_id: int,
        session_id: int,
        *,
        request: TuneRequest,
        prepared: Prepared,
        space: Space,
        watcher: Watcher,
        command: tuple[str, ...],
    ) -> None:
        self.connection = connection
        self.study_id = study_id
        self.session_id = session_id
        self.request = request
        self.prepared = prepared
        self.space = space
        self.watcher = watcher
        self.command = command
        self.eager = effort.eager_fits(request.operator, prepared.problem, prepared.memory_bytes)
        self.truth_rows = effort.truth_rows(
            request.operator,
            prepared.problem,
            prepared.device,
            backward=prepared.row.backward,
            memory_bytes=prepared.memory_bytes,
        )

    def next(self) -> None:
        """Claim the next experiment, run it in a worker, commit its verdict."""
        # Drawn here, when the candidate is fixed: nothing can have been fitted to the inputs.
        seed = secrets.randbits(63)
        claim = queue.claim(self.connection, self.study_id, self.session_id, seed)
        if claim is None:
            return
        self.watcher.trying(claim, "starting")
        verdict = self._judge(claim)
        queue.finish(self.connection, claim.attempt_id, verdict)
        self.watcher.judged(history(self.connection, self.study_id), claim.experiment_id)

    def give_back(self) -> None:
        """Put what was claimed and not answered back into the queue, without blame.

        An interrupt may come between any two lines, so this asks the store what is open.
        """
        reason = "the tune was stopped before this attempt answered"
        for open_attempt in queue.open_attempts(self.connection):
            queue.finish(
                self.connection,
                open_attempt.attempt_id,
                Verdict(Outcome.INTERRUPTED, reason=reason),
            )

    def _judge(self, claim: queue.Claim) -> Verdict:
        stage = "starting"

        def on_message(message: Message) -> None:
            nonlocal stage
            stage = str(message["stage"])
            self.watcher.trying(claim, stage)

        job = self._job(claim)
        ended = run_job(
            job.as_dict(),
            seconds=job.seconds,
            on_start=lambda pid, started: queue.note_process(
                self.connection, claim.attempt_id, pid, started
            ),
            on_message=on_message,
            command=self.command,
        )
        if ended.answer is None:
            return verdict_of_death(ended, stage, job.seconds)
        return verdict_from(ended.answer)

    def _job(self, claim: queue.Claim) -> JudgeJob:
        confirm = claim.purpose == "confirm"
        baselines = {"default": Contender(claim.impl, self.space.defaults[claim.impl])}
        is_default = claim.config == self.space.defaults[claim.impl]
        current = current_choice(self.request.operator, self.prepared.problem)
        if confirm and current not in (baselines["default"], Contender(claim.impl, claim.config)):
            baselines["current"] = current
        trials = history(self.connection, self.study_id)
        taken_s = [trial.seconds for trial in trials if trial.done and trial.purpose == "search"]
        return JudgeJob(
            problem=self.prepared.ref,
            candidate=Contender(claim.impl, claim.config),
            baselines=baselines,
            # Plain torch is slow, and the search has no use for its time.
            eager_timed=self.eager and (confirm or is_default),
            eager=self.eager,
            backward=self.prepared.row.backward,
            seed=claim.seed,
            truth_rows=self.truth_rows,
            warmup=effort.CONFIRM_WARMUP if confirm else effort.SEARCH_WARMUP,
            samples=effort.CONFIRM_SAMPLES if confirm else effort.SEARCH_SAMPLES,
            seconds_each=effort.seconds_each(self.request.budget_s, claim.purpose),
            memory_bytes=self.prepared.memory_bytes,
            seconds=self.request.candidate_limit_s or effort.limit_s(taken_s, claim.purpose),
        )
