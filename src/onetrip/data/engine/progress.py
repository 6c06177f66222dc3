"""How far a run is, for whoever waits: nothing, lines, JSON lines; a live screen is the CLI's."""

import json
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TextIO

from onetrip.core.units import bytes_text
from onetrip.data.engine.task import Moved


@dataclass(frozen=True, slots=True)
class Pace:
    """How far one stage is: input bytes and tasks, rows taken in and rejected, rate, time left.

    `rows_per_s` and `seconds_left` speak of this run alone; None where nothing has come yet.
    """

    stage: str
    position: int
    stages: int
    tasks: int
    tasks_done: int
    bytes: int
    bytes_done: int
    rows: int
    rejected: int
    seconds: float
    rows_per_s: float | None
    seconds_left: float | None

    def __str__(self) -> str:
        share = 100 * self.bytes_done / self.bytes if self.bytes else 100.0
        rate = "" if self.rows_per_s is None else f", {self.rows_per_s:,.0f} rows/s"
        left = "" if self.seconds_left is None else f", {self.seconds_left:.0f} s left"
        return (
            f"[{self.position}/{self.stages}] {self.stage}: {share:.0f}% of "
            f"{bytes_text(self.bytes)}, {self.tasks_done}/{self.tasks} tasks, "
            f"{self.rows:,} rows, {self.rejected:,} rejected{rate}{left}"
        )


class Progress(ABC):
    """Told what happens; `show` is called when there is something new to see."""

    # How often to show, at most.
    every_s = 1.0

    def __init__(self) -> None:
        self._shown = 0.0
        self._stage, self._position, self._stages = "", 0, 0
        self._tasks = self._tasks_done = self._bytes = self._bytes_before = 0
        self._began = time.monotonic()
        self._finished = Moved(0, 0, 0)
        self._running: dict[str, Moved] = {}

    def begin_stage(
        self, stage: str, position: int, stages: int, tasks: int, done: int, bytes: int, kept: int
    ) -> None:
        """A stage begins; `done` tasks with `kept` bytes of its input are there already."""
        self._stage, self._position, self._stages = stage, position, stages
        self._tasks, self._tasks_done = tasks, done
        self._bytes, self._bytes_before = bytes, kept
        self._began, self._finished, self._running = time.monotonic(), Moved(0, 0, 0), {}

    def moved(self, key: str, moved: Moved) -> None:
        """A task has come this far."""
        self._running[key] = moved
        if time.monotonic() - self._shown >= self.every_s:
            self._show()

    def lost(self, key: str) -> None:
        """A task will begin again."""
        self._running.pop(key, None)

    def finished(self, key: str, bytes: int, rows: int, rejected: int) -> None:
        """A task is done."""
        self._running.pop(key, None)
        before = self._finished
        self._finished = Moved(before.bytes + bytes, before.rows + rows, before.rejected + rejected)
        self._tasks_done += 1

    def end_stage(self) -> None:
        """All tasks of the stage are done."""
        self._show()

    @property
    def pace(self) -> Pace:
        """How far the stage is."""
        every = [self._finished, *self._running.values()]
        here = sum(moved.bytes for moved in every)
        rows = sum(moved.rows for moved in every)
        seconds = time.monotonic() - self._began
        to_come = max(0, self._bytes - self._bytes_before - here)
        return Pace(
            self._stage,
            self._position,
            self._stages,
            self._tasks,
            self._tasks_done,
            self._bytes,
            min(self._bytes, self._bytes_before + here),
            rows,
            sum(moved.rejected for moved in every),
            round(seconds, 2),
            round(rows / seconds, 1) if rows and seconds > 0 else None,
            round(seconds * to_come / here, 1) if here else None,
        )

    def _show(self) -> None:
        self._shown = time.monotonic()
        self.show(self.pace)

    @abstractmethod
    def show(self, pace: Pace) -> None:
        """Show how far the stage is."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Say something that happened."""

    def close(self) -> None:  # noqa: B027
        """Leave the screen as it should stay."""


class Silent(Progress):
    """Says nothing."""

    def show(self, pace: Pace) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class Plain(Progress):
    """A line every ten seconds, and one at the end of a stage."""

    every_s = 10.0

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr

    def show(self, pace: Pace) -> None:
        """One line."""
        print(pace, file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """One line."""
        print(text, file=self._stream, flush=True)


class JsonLines(Progress):
    """A JSON document a line, for machines: "event" is "progress" or "note"."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr

    def show(self, pace: Pace) -> None:
        """One document."""
        self._say({"event": "progress", **asdict(pace)})

    def note(self, text: str) -> None:
        """One document."""
        self._say({"event": "note", "text": text})

    def _say(self, document: dict[str, object]) -> None:
        print(json.dumps(document), file=self._stream, flush=True)
