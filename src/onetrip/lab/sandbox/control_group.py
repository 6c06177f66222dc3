"""A control group of Linux, where this process may make one: bounds that no fork escapes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from onetrip.lab.sandbox.left_over import fresh_name, sweep
from onetrip.lab.sandbox.walls import Breach, Walls

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_LEAVING_S = 2.0


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One group for one sandbox: a folder, or one for each controller in the older layout."""

    folders: tuple[Path, ...]

    @property
    def entrances(self) -> tuple[Path, ...]:
        """Files into which a process writes its id to enter."""
        return tuple(folder / "cgroup.procs" for folder in self.folders)

    def breach(self) -> Breach | None:
        """The bound that was run into, if any was."""
        for folder in self.folders:
            for name, key, wall in (
                ("pids.events", "max", "processes"),
                ("memory.events", "oom_kill", "memory"),
                ("memory.oom_control", "oom_kill", "memory"),
            ):
                if count := _value(folder / name, key):
                    return Breach(wall, f"the kernel refused or killed {count} times ({name})")
        return None

    def remove(self) -> None:
        """Take the folders away once the last process has left."""
        deadline = time.monotonic() + _LEAVING_S
        for folder in self.folders:
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        return
                    time.sleep(_LEAVING_S / 100)


def make_group(walls: Walls) -> ControlGroup | None:
    """Make a group with the bounds of `walls`; None where this process may not."""
    parents = _parents()
    if parents is None:
        return None
    name = fresh_name()
    folders = []
    for parent in parents:
        folder = parent / name
        folder.mkdir()
        folders.append(folder)
        _bound(folder, walls)
    return ControlGroup(tuple(folders))


@cache
def _parents() -> tuple[Path, ...] | None:
    """Where groups with bounds on processes and memory can be made; tried, not guessed."""
    for parents in _candidates():
        with _made_for_trial(parents) as folders:
            if folders and _has_bounds(folders):
                sweep(parents)
                return parents
    return None


def _candidates() -> Iterator[tuple[Path, ...]]:
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:
        return
    own = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path.lstrip("/")
    if "pids" in own and "memory" in own:
        yield tuple(_ROOT / name / own[name] for name in ("pids", "memory"))
    if "" in own:
        here = _ROOT / own[""]
        # A group that holds processes may not hold groups with bounds, the root excepted.
        yield from ((folder,) for folder in dict.fromkeys((here, here.parent)))


@contextmanager
def _made_for_trial(parents: tuple[Path, ...]) -> Iterator[list[Path]]:
    made: list[Path] = []
    try:
        for parent in parents:
            if not parent.is_relative_to(_ROOT):
                break
            folder = parent / fresh_name()
            folder.mkdir()
            made.append(folder)
        yield made if len(made) == len(parents) else []
    except OSError:
        yield []
    finally:
        for folder in made:
            folder.rmdir()


def _has_bounds(folders: list[Path]) -> bool:
    try:
        for folder in folders:
            _bound(folder, Walls())
    except OSError:
        return False
    names = {path.name for folder in folders for path in folder.iterdir()}
    return "pids.max" in names and bool(names & {"memory.max", "memory.limit_in_bytes"})


def _bound(folder: Path, walls: Walls) -> None:
    bounds = {
        "pids.max": walls.processes,
        "memory.max": walls.memory_bytes,
        "memory.limit_in_bytes": walls.memory_bytes,
    }
    for name, bound in bounds.items():
        if (folder / name).exists():
            (folder / name).write_text(str(bound))


def _value(path: Path, key: str) -> int:
    if not path.exists():
        return 0
    for line in path.read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0
