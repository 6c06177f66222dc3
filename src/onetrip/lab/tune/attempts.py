"""One attempt: claim an experiment, run it in a process of its own, commit what came of it."""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from onetrip.core.cost import count_cost
from onetrip.core.operators import operator_module
from onetrip.core.selection import Problem
from onetrip.lab.judge.failure import verdict_of_death
from onetrip.lab.judge.job import Contender, JudgeJob
from onetrip.lab.judge.process import Message, Relay, kill_left_over
from onetrip.lab.queue import claims
from onetrip.lab.queue.device_lock import devices_held
from onetrip.lab.queue.endings import open_attempts
from onetrip.lab.search.space import Space
from onetrip.lab.store.history import history
from onetrip.lab.store.study import best_ceilings
from onetrip.lab.tune import effort
from onetrip.lab.tune.prepared import Prepared
from onetrip.lab.tune.request import TuneRequest
from onetrip.lab.tune.watcher import Watcher
from onetrip.lab.verdict import Outcome, Verdict, verdict_from
from onetrip.lab.work.pulse import Beat, Pulse, local_beats

# What others read who wait for the device.
WHO = "onetrip tune"
# How soon a candidate that was cancelled from elsewhere is ended.
BEAT_S = 5.0


def current_choice(operator: str, problem: Problem) -> Contender:
    """What ``impl="auto"`` runs today, tuning tables included."""
    choice = operator_module(operator, "select").choose(problem)
    return Contender(choice.impl, dict(choice.config))


class Attempts:
    """Runs the queue of one study, one experiment at a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        database: Path,
        worker_id: int,
        study_id: int,
        campaign_id: int,
        *,
        request: TuneRequest,
        prepared: Prepared,
        space: Space,
        watcher: Watcher,
        relay: Relay,
    ) -> None:
        self.connection = connection
        self.database = database
        self.worker_id = worker_id
        self.study_id = study_id
        self.campaign_id = campaign_id
        self.request = request
        self.prepared = prepared
        self.space = space
        self.watcher = watcher
        self.relay = relay
        self.device = "cuda:0" if prepared.ref.device_kind == "cuda" else prepared.ref.device_kind
        self.waited_s = 0.0
        self._said_waiting = False
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
        with devices_held((self.device,), WHO, self._wait) as waited_s:
            self.waited_s += waited_s or 0.0
            claim = claims.claim(
                self.connection,
                self.worker_id,
                # Drawn here, when the candidate is fixed: nothing can have been fitted to the
                # inputs.
                seed=secrets.randbits(63),
                campaign_id=self.campaign_id,
                study_id=self.study_id,
                devices=(self.device,),
            )
            if claim is None:
                return
            self.watcher.trying(claim, "starting")
            verdict = self._judge(claim)
            claims.finish(self.connection, claim.attempt_id, claim.n, verdict)
        self.watcher.judged(history(self.connection, self.study_id), claim.experiment_id)

    def give_back(self) -> None:
        """Put what was claimed and not answered back into the queue, without blame.

        An interrupt may come between any two lines, so this asks the store what is open.
        """
        why = "the tune was stopped before this attempt answered"
        for attempt in open_attempts(self.connection, self.worker_id):
            claims.give_back(self.connection, attempt["id"], attempt["n"], why)

    def _wait(self, sentence: str) -> None:
        # Two tunes that take turns need not say so at every turn.
        if not self._said_waiting:
            self.watcher.note(sentence)
        self._said_waiting = True

    def _judge(self, claim: claims.Claim) -> Verdict:
        stage, process = "starting", (None, None)

        @contextmanager
        def beats() -> Iterator[Beat]:
            with local_beats(self.database, claim.attempt_id, claim.n) as renew:

                def beat(stage: str) -> bool:
                    ours = renew(stage)
                    if not ours:
                        # Cancelled, or given to another: no answer of it would be taken.
                        kill_left_over(*process)
                    return ours

                yield beat

        def on_start(pid: int, started: str | None) -> None:
            nonlocal process
            process = (pid, started)
            claims.note_process(self.connection, claim.attempt_id, pid, started)

        def on_message(message: Message) -> None:
            nonlocal stage
            stage = str(message["stage"])
            pulse.stage(stage)
            self.watcher.trying(claim, stage)

        job = self._job(claim)
        with Pulse(beats(), period_s=BEAT_S) as pulse, self.relay.worker() as worker:
            ended = worker.run(
                job.as_dict(),
                seconds=job.seconds,
                on_start=on_start,
                on_message=on_message,
                stays=_is_done if self.relay.ahead else None,
            )
        if ended.answer is None:
            verdict = verdict_of_death(ended, stage, job.seconds)
        else:
            verdict = verdict_from(ended.answer)
        verdict = self._with_floor(verdict)
        on_gpu = self.device.startswith("cuda")
        return replace(verdict, gpu_s=ended.seconds) if on_gpu else verdict

    def _with_floor(self, verdict: Verdict) -> Verdict:
        """The verdict with the least time that the device's ceilings allow beside each timing."""
        problem = self.prepared.problem
        cost = count_cost(
            operator_module(self.request.operator, "cost").estimate_cost,
            problem.axes,
            dtype=problem.dtype,
            backward=self.prepared.row.backward,
            options=problem.options,
        )
        device = best_ceilings(self.connection, self.study_id, self.prepared.device)
        floor_ms = cost.floor_ms(device, problem.dtype)
        timings = tuple(replace(timing, floor_ms=floor_ms) for timing in verdict.timings)
        return replace(verdict, timings=timings)

    def _job(self, claim: claims.Claim) -> JudgeJob:
        confirm = claim.purpose == "confirm"
        candidate = _candidate(claim)
        baselines = {"default": Contender(candidate.impl, self.space.defaults[candidate.impl])}
        is_default = candidate.config == self.space.defaults[candidate.impl]
        current = current_choice(self.request.operator, self.prepared.problem)
        if confirm and current not in (
            baselines["default"],
            candidate,
        ):
            baselines["current"] = current
        trials = history(self.connection, self.study_id)
        taken_s = [trial.seconds for trial in trials if trial.done and trial.purpose == "search"]
        return JudgeJob(
            problem=self.prepared.ref,
            candidate=candidate,
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


def _is_done(answer: Message) -> bool:
    """Whether its process may judge the next: it ran our own code, and nothing went wrong."""
    return answer["outcome"] == Outcome.DONE


def _candidate(claim: claims.Claim) -> Contender:
    config = claim.contender.config
    values = {name: value for name, value in config.items() if isinstance(value, int)}
    return Contender(claim.contender.impl, values)
