"""Processes of this machine, one task at a time each; a dead one is replaced."""

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import ClassVar

from onetrip.core.errors import DataError
from onetrip.data.engine.executors.executor import (
    READY,
    Event,
    Executor,
    Finished,
    Lost,
    Progressed,
)
from onetrip.data.engine.memory import cores_here
from onetrip.data.engine.outcome import Outcome
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.task import Moved, Places, Task
from onetrip.data.store.aside import remove_abandoned

# The worker is a program of its own: no copy of our threads, and nobody's main module again.
_PROGRAM = """
import sys
sys.path[:] = {path!r}
from onetrip.data.engine.executors.serve import serve
serve({handle}, {parent})
"""


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    ready: bool = False
    stage: Stage | None = None
    task: Task | None = None
    unit_id: str = ""


class LocalExecutor(Executor):
    """`workers` processes, started for tasks that wait and kept for all stages."""

    name: ClassVar[str] = "local"

    def __init__(self, workers: int) -> None:
        self._count = workers
        self._workers: list[_Worker] = []
        self._waiting: deque[Task] = deque()
        self._stage: Stage | None = None
        self._places: Places | None = None

    def expect_work(self) -> None:
        """Start a worker: it imports while the run is planned."""
        if not self._workers:
            self._workers.append(_start())

    def begin(self, stage: Stage, places: Places) -> None:
        """The tasks that are submitted next belong to this stage."""
        self._stage, self._places = stage, places

    def submit(self, task: Task) -> None:
        """Run a task when a worker is free."""
        self._waiting.append(task)

    def events(self) -> Iterator[Event]:
        """What happens, until no task is left."""
        while True:
            self._hand_out()
            busy = [worker for worker in self._workers if worker.task]
            if not busy:
                return
            ready = wait([worker.connection for worker in busy])
            for worker in busy:
                if worker.connection in ready:
                    yield from self._message(worker)

    def close(self) -> None:
        """Stop the workers, and remove what they left aside."""
        for worker in self._workers:
            _signal_all(worker.process, signal.SIGTERM)
            worker.connection.close()
        for worker in self._workers:
            try:
                worker.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                _signal_all(worker.process, signal.SIGKILL)
                worker.process.wait()
        self._workers, self._waiting = [], deque()
        self._clean()

    def _hand_out(self) -> None:
        while self._waiting:
            free = next((worker for worker in self._workers if worker.task is None), None)
            if free is None:
                if len(self._workers) >= self._count:
                    return
                free = _start()
                self._workers.append(free)
            task = self._with_cores(self._waiting.popleft())
            free.task, free.unit_id = task, ""
            try:
                if free.stage is not self._stage:
                    free.connection.send((self._stage, self._places))
                    free.stage = self._stage
                free.connection.send(task)
            except BrokenPipeError:
                # It died between two tasks; its end of file is read next and tells so.
                continue

    def _with_cores(self, task: Task) -> Task:
        """The task with its share of the cores: tasks that run beside it have theirs."""
        busy = sum(worker.task is not None for worker in self._workers)
        together = min(self._count, busy + 1 + len(self._waiting))
        return replace(task, cores=max(1, cores_here() // together))

    def _message(self, worker: _Worker) -> Iterator[Event]:
        task = worker.task
        if task is None:
            return
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            self._workers.remove(worker)
            worker.connection.close()
            # Not yet reaped, so that its number still means its group.
            os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)
            _signal_all(worker.process, signal.SIGKILL)
            code = worker.process.wait()
            self._clean()
            if not worker.ready:
                raise DataError(
                    f"No worker can start: the first one ended with {_ending(code)} before it took "
                    "a task. What it printed stands above; `--executor inline` starts none."
                ) from error
            yield Lost(task, "S02", f"its worker died: {_ending(code)}", worker.unit_id)
            return
        if message == READY:
            worker.ready = True
            return
        if isinstance(message, Moved):
            worker.unit_id = message.unit_id
            yield Progressed(task, message)
            return
        worker.task = None
        if isinstance(message, Outcome):
            yield Finished(task, message)
        else:
            code, text = message
            if code == "S03":
                self._workers.remove(worker)
                worker.connection.close()
                worker.process.wait()
            yield Lost(task, code, text, worker.unit_id)

    def _clean(self) -> None:
        if self._places is not None:
            for folder in (self._places.stage, self._places.quarantine, self._places.artifacts):
                remove_abandoned(folder)


def _start() -> _Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        program = _PROGRAM.format(handle=theirs.fileno(), path=sys.path, parent=os.getpid())
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            # Ctrl-C in a terminal reaches us alone, and we stop them in order.
            process_group=0,
        )
    return _Worker(process, Connection(ours.detach()))


def _signal_all(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a worker and what it started: a program that a step calls must not outlive it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name} (out of memory?)" if -code == signal.SIGKILL else name
