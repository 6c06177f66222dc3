"""The worker's loop: claim, judge, finish, and what follows; again until told to stop."""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from onetrip.lab.judge.machine import Machine, machine
from onetrip.lab.queue import claims
from onetrip.lab.queue.device_lock import devices_held
from onetrip.lab.store.database import connect
from onetrip.lab.verdict import Outcome, Verdict
from onetrip.lab.work import tasks
from onetrip.lab.work.pulse import Pulse, local_beats
from onetrip.lab.work.trial import Judge, KeptJudge

POLL_S = 0.3
Condition = Callable[[], bool]


def never() -> bool:
    """Do not stop."""
    return False


def work(
    database: Path,
    *,
    devices: Sequence[str] = ("cpu",),
    until: Condition = never,
    abort: Condition = never,
    campaign_id: int | None = None,
    judge: Judge | None = None,
    look: Callable[[str], Machine] = machine,
) -> int:
    """Answer experiments on these devices, one at a time on each.

    Parameters
    ----------
    until : asked between experiments; True ends the work.
    abort : asked all the time; True gives the running experiment back to the queue.
    campaign_id : answers this campaign's only.
    judge, look : put a job to the judge, and find out what a device is; by default each device has
        a judge that keeps its oracle.

    Returns
    -------
    int
        How many attempts were answered.
    """
    stopped = threading.Event()

    def run(device: str) -> int:
        answered = 0
        with LocalWorker(
            database,
            device,
            abort=lambda: stopped.is_set() or abort(),
            campaign_id=campaign_id,
            judge=judge,
            look=look,
        ) as worker:
            while not (until() or stopped.is_set() or abort()):
                if worker.step():
                    answered += 1
                else:
                    time.sleep(POLL_S)
        return answered

    with ThreadPoolExecutor(len(devices), thread_name_prefix="worker") as pool:
        workers = [pool.submit(run, device) for device in devices]
        try:
            wait(workers, return_when=FIRST_EXCEPTION)
        finally:
            # Also where an interrupt ended the wait: what runs goes back to the queue first.
            stopped.set()
    return sum(worker.result() for worker in workers)


class LocalWorker:
    """One device of this machine, answering one experiment after another."""

    def __init__(
        self,
        database: Path,
        device: str,
        *,
        abort: Condition = never,
        campaign_id: int | None = None,
        judge: Judge | None = None,
        look: Callable[[str], Machine] = machine,
    ) -> None:
        self.database = database
        self.device = device
        self.campaign_id = campaign_id
        self._abort = abort
        self._kept = KeptJudge()
        self._judge = judge or self._kept
        self._look = look

    def __enter__(self) -> Self:
        self.connection = connect(self.database)
        self.worker_id = claims.register_worker(
            self.connection,
            f"{socket.gethostname()}/{os.getpid()}/{self.device}",
            "local",
            {"devices": [self.device]},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kept.close()
        claims.retire_worker(self.connection, self.worker_id)
        self.connection.close()

    def step(self) -> bool:
        """Answer one experiment; False when none waits for this device, or told to stop."""
        # Whoever else works on the device, a tune or another lab, would be timed with us.
        with devices_held((self.device,), "onetrip lab", should_stop=self._abort) as waited_s:
            return waited_s is not None and self._answer_next()

    def _answer_next(self) -> bool:
        task = tasks.take(
            self.connection,
            self.worker_id,
            self.device,
            self._look(self.device),
            campaign_id=self.campaign_id,
        )
        if task is None:
            return False
        tasks.answer(self.connection, task.attempt_id, task.n, self._verdict(task))
        return True

    def _verdict(self, task: tasks.Task) -> Verdict:
        def note(pid: int, started: str | None) -> None:
            claims.note_process(self.connection, task.attempt_id, pid, started)

        with Pulse(local_beats(self.database, task.attempt_id, task.n)) as pulse:
            verdict = self._judge(task.job, pulse.stage, note, lambda: pulse.lost or self._abort())
        return given_back(verdict) if self._abort() else verdict


def given_back(verdict: Verdict) -> Verdict:
    """The verdict of an aborted trial: its answer if there was one, else back into the queue."""
    if verdict.outcome is Outcome.DONE:
        return verdict
    return Verdict(
        Outcome.INFRA_LOST,
        reason="the worker was stopped before it answered",
        evidence={"given_back": True},
    )
