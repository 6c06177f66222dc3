"""One rank of many, as an array of Slurm starts them: each runs its share, all wait for all.

Ranks know each other through files alone: a task is done when its sidecar is there, whoever
wrote it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onetrip.core.errors import ArgumentError, DataError, complaint
from onetrip.data.engine.outcome import Outcome
from onetrip.data.engine.progress import Progress
from onetrip.data.engine.task import Task


@dataclass(frozen=True, slots=True)
class Share:
    """This rank's share of the tasks; of one rank it is all.

    `patience_s` bounds how long this rank waits for the others without any of their tasks
    getting done.
    """

    rank: int = 0
    world: int = 1
    patience_s: float = 6 * 3600.0
    poll_s: float = 1.0

    def __post_init__(self) -> None:
        if self.world < 1:
            raise ArgumentError(complaint("world", expected="at least 1", got=self.world))
        if not 0 <= self.rank < self.world:
            expected = f"from 0 to {self.world - 1}, below --world"
            raise ArgumentError(complaint("rank", expected=expected, got=self.rank))

    @property
    def leads(self) -> bool:
        """Whether this rank writes what there is but once."""
        return self.rank == 0

    def of(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """The tasks of this rank, dealt like cards, whoever has done some of them meanwhile."""
        return tasks[self.rank :: self.world]

    def wait(
        self,
        known: Callable[[], dict[str, Outcome]],
        tasks: int,
        done: dict[str, Outcome],
        progress: Progress,
    ) -> None:
        """Return when all tasks are done, with the others' outcomes in `done`."""
        if len(done) == tasks:
            return
        progress.note(f"rank {self.rank} waits for {tasks - len(done)} tasks of other ranks")
        since = time.monotonic()
        while len(done) < tasks:
            found = known()
            if len(found) > len(done):
                since = time.monotonic()
            done.update(found)
            if time.monotonic() - since > self.patience_s:
                raise DataError(
                    f"Rank {self.rank} waited {self.patience_s:.0f} s for {tasks - len(done)} "
                    "tasks of other ranks. Start the missing ranks; what is done is kept."
                )
            if len(done) < tasks:
                time.sleep(self.poll_s)
