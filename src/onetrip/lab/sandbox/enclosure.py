"""Put a command behind walls: what to start, what to watch while it runs, how to end it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from onetrip.lab.sandbox import bubblewrap, readable
from onetrip.lab.sandbox.control_group import ControlGroup, make_group
from onetrip.lab.sandbox.door import CANNOT_ENCLOSE, Orders
from onetrip.lab.sandbox.environment import clean_environment
from onetrip.lab.sandbox.landlock import Grants
from onetrip.lab.sandbox.left_over import fresh_name, sweep
from onetrip.lab.sandbox.processes import census, end_all_below
from onetrip.lab.sandbox.walls import Breach, Level, Walls

_SIGNAL_BASE = 128
# Addresses that an interpreter with torch maps without using them: code, stacks, arenas.
_MAPPED_UNUSED_BYTES = 4 << 30
# What /proc must tell to who counts its own threads and memory, or asks how many cores there are.
_OWN_FACTS = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys")
_DRIVER_FACTS = ("/proc/devices", "/proc/modules", "/proc/driver")
# A driver names its threads by writing there, and gives up where it may not.
_THREAD_NAMES = "/proc/self/task"
_HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# A process enters its groups before it becomes the sandbox: what it starts is born inside.
_ENTER = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit {status}; shift; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A command behind walls, for ``subprocess.Popen(command, env=environment, cwd=cwd)``.

    Pass the same `pass_fds` to both. Start it from a thread that outlives it: the sandbox dies
    with the thread that started it. Use it as a context, or call `close`, once it has ended.
    `folder` is where the command may write, by the name that it has inside; `limits` are those
    that the command's process takes.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    folder: Path
    limits: Mapping[str, int]
    level: Level
    walls: Walls
    group: ControlGroup | None
    scratch: Path | None

    def breach(self, *pids: int) -> Breach | None:
        """What the processes below `pids` took too much of, so far; cheap enough to poll."""
        if self.group is not None and (breach := self.group.breach()):
            return breach
        found = census(*pids)
        if found.threads > self.walls.processes:
            return Breach("processes", f"{found.threads} threads in {len(found.pids)} processes")
        if found.memory_bytes > self.walls.memory_bytes:
            return Breach("memory", f"{found.memory_bytes} bytes held")
        if self.scratch is not None:
            written = _size_of(self.scratch)
            if written > self.walls.scratch_bytes:
                return Breach("scratch", f"{written} bytes written")
        return None

    def end(self, process: subprocess.Popen) -> bool:
        """Kill all of it and wait; False if something could not be killed in time."""
        # The first process goes last: it is what orphans are found by.
        clean = end_all_below(process.pid) if process.poll() is None else True
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.wait()
        return clean

    def signal_name(self, returncode: int | None) -> str | None:
        """The signal that ended the command ("SIGSEGV"), seen through the walls; else None."""
        if returncode is None:
            return None
        number = -returncode if returncode < 0 else returncode - _SIGNAL_BASE
        known = {entry.value: entry.name for entry in signal.Signals}
        return known.get(number)

    def could_not_start(self, returncode: int | None) -> bool:
        """Whether the walls failed to go up, which is no fault of the command."""
        return returncode == CANNOT_ENCLOSE

    def close(self) -> None:
        """Remove the scratch folder and the control group."""
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
        if self.group is not None:
            self.group.remove()

    def __enter__(self) -> "Enclosed":
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def enclose(
    command: Sequence[str],
    walls: Walls,
    *,
    pass_fds: Sequence[int] = (),
    level: Level,
) -> Enclosed:
    """Put `command` behind walls of a level."""
    group = make_group(walls)
    limits = _limits(walls, level)
    scratch = None
    if level.name == "bubblewrap":
        cwd, folder = Path("/"), bubblewrap.SCRATCH
        orders = Orders(limits, None, keep=False)
        line = bubblewrap.bubblewrap(_through_door(orders, command), walls)
    else:
        scratch = cwd = folder = _make_scratch()
        grants = _grants(walls, folder) if level.name == "landlock" else None
        orders = Orders(limits, grants, keep=True, descriptors=tuple(pass_fds))
        line = _through_door(orders, command)
    return Enclosed(
        command=tuple(_entering(group, line)),
        environment=clean_environment(folder),
        cwd=cwd,
        folder=folder,
        limits=limits,
        level=level,
        walls=walls,
        group=group,
        scratch=scratch,
    )


def _make_scratch() -> Path:
    parent = Path(tempfile.gettempdir())
    sweep([parent])
    folder = parent / fresh_name()
    folder.mkdir(mode=0o700)
    return folder


def _through_door(orders: Orders, command: Sequence[str]) -> list[str]:
    door = [sys.executable, "-P", "-m", "onetrip.lab.sandbox.door"]
    return [*door, orders.to_json(), *command]


def _entering(group: ControlGroup | None, line: Sequence[str]) -> list[str]:
    if group is None:
        return list(line)
    script = _ENTER.format(status=CANNOT_ENCLOSE)
    return ["/bin/sh", "-c", script, "sh", *map(str, group.entrances), "--", *line]


def _limits(walls: Walls, level: Level) -> dict[str, int]:
    limits = {"CORE": 0, "FSIZE": walls.scratch_bytes, "CPU": walls.cpu_seconds}
    if not walls.on_accelerator:
        # A driver reserves far more addresses than a machine has memory.
        limits["AS"] = walls.memory_bytes + _MAPPED_UNUSED_BYTES
    if level.name == "bubblewrap":
        # Counted for each user in each user namespace: outside one, it would count the lab's
        # own processes. It does not bind the superuser, whom the control group binds.
        limits["NPROC"] = walls.processes
    return limits


def _grants(walls: Walls, scratch: Path) -> Grants:
    read = [
        *readable.system_paths(),
        *readable.interpreter_paths(),
        *walls.read_only,
        readable.kernel_facts(accelerator=walls.on_accelerator),
        *_OWN_FACTS,
    ]
    write = [str(scratch)]
    devices = [*_HARMLESS_DEVICES]
    if walls.on_accelerator:
        write.append(_THREAD_NAMES)
        read += _DRIVER_FACTS
        devices += map(str, readable.accelerator_files())
    return Grants(
        read=tuple(map(str, read)),
        write=tuple(write),
        devices=tuple(devices),
        # An import looks into the folder that holds the package.
        names=tuple(str(path.parent) for path in readable.import_folders()),
    )


def _size_of(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue
    return total
