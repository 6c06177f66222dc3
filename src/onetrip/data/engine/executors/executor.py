"""What runs tasks: somewhere, in any order, one message for everything that happens."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from onetrip.data.engine.outcome import Outcome
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.task import Moved, Places, Task

# What a worker says first, so that one which cannot start is told from one that dies at work.
READY = "ready"


@dataclass(frozen=True, slots=True)
class Progressed:
    """A task has come this far."""

    task: Task
    moved: Moved


@dataclass(frozen=True, slots=True)
class Finished:
    """A task has come to its end; its sidecar is not written yet."""

    task: Task
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Lost:
    """A task has not come to its end.

    `code` is S01 for a full disk, S02 where the worker died or memory ran out, S03 where it
    raised; `unit_id` the unit at hand, "" where that is not known.
    """

    task: Task
    code: str
    message: str
    unit_id: str = ""


Event = Progressed | Finished | Lost


class Executor(ABC):
    """Runs the tasks of one stage after the other."""

    name: ClassVar[str]

    @abstractmethod
    def expect_work(self) -> None:
        """There will be work soon: start what takes time to start."""

    @abstractmethod
    def begin(self, stage: Stage, places: Places) -> None:
        """The tasks that are submitted next belong to this stage."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Run a task when there is room, after those that wait."""

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """What happens, until no task is left; tasks may be submitted meanwhile."""

    @abstractmethod
    def close(self) -> None:
        """Stop everything that still runs. May be called twice."""
