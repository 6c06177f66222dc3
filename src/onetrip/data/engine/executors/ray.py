"""Tasks on Ray: one remote call for each, wherever the cluster has a core and sees the files."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from onetrip.core.errors import require
from onetrip.data.engine.executors.executor import Event, Executor, Finished, Lost
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.task import Moved, Places, Task
from onetrip.data.engine.worker import run_task
from onetrip.data.store.aside import is_full_disk


class RayExecutor(Executor):
    """At most `workers` tasks at a time on a Ray cluster that shares the files' paths.

    Joins the cluster that `ray.init` finds, or starts one here with so many cores. A task tells
    nothing before its end; what it reaches inside a huge unit is kept all the same.
    """

    name: ClassVar[str] = "ray"

    def __init__(self, workers: int) -> None:
        self._ray: Any = require("ray", extra="ray", purpose="The executor ray")
        self._count = workers
        self._waiting: deque[Task] = deque()
        self._running: dict[Any, Task] = {}
        self._started_here = False
        self._stage: Any = None
        self._places: Places | None = None
        self._remote: Any = None

    def expect_work(self) -> None:
        """Nothing yet: Ray starts its own workers with the first stage."""

    def begin(self, stage: Stage, places: Places) -> None:
        """The tasks that are submitted next belong to this stage."""
        if not self._ray.is_initialized():
            self._ray.init(num_cpus=self._count, include_dashboard=False, log_to_driver=False)
            self._started_here = True
        # Ray's own retries would hide what we count and tell.
        self._remote = self._ray.remote(num_cpus=1, max_retries=0)(_run)
        self._stage, self._places = self._ray.put(stage), places

    def submit(self, task: Task) -> None:
        """Run a task when there is room."""
        self._waiting.append(task)

    def events(self) -> Iterator[Event]:
        """What happens, until no task is left."""
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._count:
                task = self._waiting.popleft()
                # Ray gives each task one core.
                alone = replace(task, cores=1)
                self._running[self._remote.remote(self._stage, alone, self._places)] = task
            ready, _ = self._ray.wait(list(self._running), num_returns=1)
            for reference in ready:
                yield self._ended(reference, self._running.pop(reference))

    def close(self) -> None:
        """Cancel what runs; a cluster that was started here ends."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running, self._waiting = {}, deque()
        if self._started_here:
            self._ray.shutdown()
            self._started_here = False

    def _ended(self, reference: Any, task: Task) -> Event:
        errors = self._ray.exceptions
        try:
            return Finished(task, self._ray.get(reference))
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            if is_full_disk(cause):
                return Lost(task, "S01", str(cause))
            code = "S02" if isinstance(cause, MemoryError) else "S03"
            return Lost(task, code, f"{type(cause).__name__}: {cause}")
        except errors.RayError as error:
            return Lost(task, "S02", f"its worker died: {type(error).__name__}")


def _run(stage: Stage, task: Task, places: Places) -> Any:
    def report(moved: Moved) -> None:
        """Ray has no way back from inside a task."""

    return run_task(stage, task, places, report)
