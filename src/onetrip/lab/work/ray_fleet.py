"""A Ray cluster as the fleet: attempts are Ray tasks, the lab stays the system of record."""

import os
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from onetrip.core.errors import require
from onetrip.lab.judge.machine import machine, machine_from
from onetrip.lab.queue import claims
from onetrip.lab.queue.device_lock import devices_held
from onetrip.lab.store.database import connect
from onetrip.lab.verdict import Outcome, Verdict, verdict_from
from onetrip.lab.work import tasks
from onetrip.lab.work.bundle import Bundle, pack, unpack
from onetrip.lab.work.loop import Condition, never
from onetrip.lab.work.trial import judge

_POLL_S = 0.5
_BEAT_S = claims.LEASE_S / 6


def work_on_ray(
    database: Path,
    *,
    address: str | None = None,
    device: str = "cpu",
    parallel: int = 1,
    until: Condition = never,
) -> int:
    """Answer experiments with Ray tasks until `until()` holds; return how many.

    Parameters
    ----------
    address : of a running cluster; None starts a local one that ends with this call.
    device : "cpu", or "cuda:0" for one GPU a task (``num_gpus=1``); nodes should be alike, since
        results compare within one kind of machine.
    parallel : tasks in flight.
    """
    ray = require("ray", extra="ray", purpose="`--executor ray`")
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(address=address, include_dashboard=False, log_to_driver=False)
    try:
        with closing(_Fleet(ray, database, device, parallel)) as fleet:
            while not until():
                fleet.turn()
            fleet.give_back()
            return fleet.answered
    finally:
        if started_here:
            ray.shutdown()


def attempt(task: Mapping, bundle: Bundle) -> dict[str, object]:
    """Make one attempt; runs on a node of the cluster."""
    read = tasks.task_from(task)
    folder = Path(tempfile.gettempdir()) / f"onetrip-problems-{os.getuid()}"
    job = replace(read.job, problem=unpack(read.job.problem, bundle, folder))
    # Ray hands out GPUs of its own; a tune on the same card is kept out by the lab's lock. Tasks on
    # CPUs share the machine as Ray was told to.
    alone = (job.device,) if job.device.startswith("cuda") else ()
    with devices_held(alone, "onetrip lab on Ray"):
        verdict = judge(job, lambda name, share: None, lambda pid, started: None, lambda: False)
    return verdict.as_dict()


def look(device: str) -> dict[str, object]:
    """The machine as a node of the cluster sees it."""
    return machine(device).as_dict()


class _Fleet:
    """Tasks in flight, each with the attempt that it answers."""

    def __init__(self, ray: ModuleType, database: Path, device: str, parallel: int) -> None:
        self._ray: Any = ray
        self._parallel = parallel
        self._device = device
        gpus = 1 if device.startswith("cuda") else 0
        # Ray must not run a task again by itself: the lab's queue does, and counts it.
        options = {"num_gpus": gpus, "num_cpus": 1, "max_retries": 0}
        self._attempt = self._ray.remote(**options)(attempt)
        found = self._ray.get(self._ray.remote(**options)(look).remote(device))
        self._machine = machine_from(found)
        self._flying: dict[Any, tasks.Task] = {}
        self._beaten_at = time.monotonic()
        self.answered = 0
        self._connection = connect(database)
        name = f"ray/{socket.gethostname()}/{os.getpid()}"
        self._worker_id = claims.register_worker(
            self._connection, name, "ray", {"devices": [device], "parallel": parallel}
        )

    def turn(self) -> None:
        """Fill the fleet, wait a moment, take in what came back, renew the leases."""
        while len(self._flying) < self._parallel:
            task = tasks.take(self._connection, self._worker_id, self._device, self._machine)
            if task is None:
                break
            handle = self._attempt.remote(asdict(task), pack(task.job.problem))
            self._flying[handle] = task
        if not self._flying:
            time.sleep(_POLL_S)
            return
        ready, _ = self._ray.wait(list(self._flying), timeout=_POLL_S)
        for handle in ready:
            self._take_in(handle)
        if time.monotonic() - self._beaten_at > _BEAT_S:
            self._beaten_at = time.monotonic()
            self._beat()

    def give_back(self) -> None:
        """End what is in flight and put its experiments back into the queue."""
        why = "the fleet was stopped before it answered"
        for handle, task in self._flying.items():
            self._ray.cancel(handle, force=True)
            claims.give_back(self._connection, task.attempt_id, task.n, why)
        self._flying.clear()

    def close(self) -> None:
        """Leave the lab."""
        self.give_back()
        claims.retire_worker(self._connection, self._worker_id)
        self._connection.close()

    def _take_in(self, handle: Any) -> None:
        task = self._flying.pop(handle)
        try:
            verdict = verdict_from(self._ray.get(handle))
        except self._ray.exceptions.RayError as error:
            # A node that died, a worker that was killed: nothing that the candidate has proved.
            reason = f"Ray lost the task: {str(error).splitlines()[0]}"
            verdict = Verdict(Outcome.INFRA_LOST, reason=reason)
        if tasks.answer(self._connection, task.attempt_id, task.n, verdict):
            self.answered += 1

    def _beat(self) -> None:
        for handle, task in list(self._flying.items()):
            if not claims.heartbeat(
                self._connection, task.attempt_id, task.n, stage="on Ray", lease_s=claims.LEASE_S
            ):
                self._ray.cancel(handle, force=True)
                del self._flying[handle]
