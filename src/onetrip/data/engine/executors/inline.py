"""Tasks in this very process, one after the other: for debuggers, and for what is small."""

from collections import deque
from collections.abc import Iterator
from typing import ClassVar

from onetrip.data.engine.executors.executor import Event, Executor, Finished, Progressed
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.task import Moved, Places, Task
from onetrip.data.engine.worker import run_task


class InlineExecutor(Executor):
    """Starts no process. What a task raises is raised: nothing is tried again."""

    name: ClassVar[str] = "inline"

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()
        self._at_work: tuple[Stage, Places] | None = None

    def expect_work(self) -> None:
        """There is nothing to start."""

    def begin(self, stage: Stage, places: Places) -> None:
        """The tasks that are submitted next belong to this stage."""
        self._at_work = stage, places

    def submit(self, task: Task) -> None:
        """Run a task after those that wait."""
        self._waiting.append(task)

    def events(self) -> Iterator[Event]:
        """What happens, until no task is left."""
        while self._waiting and self._at_work:
            task = self._waiting.popleft()
            told: list[Moved] = []
            stage, places = self._at_work
            outcome = run_task(stage, task, places, told.append)
            yield from (Progressed(task, moved) for moved in told[-1:])
            yield Finished(task, outcome)

    def close(self) -> None:
        """There is nothing to stop."""
        self._waiting.clear()
