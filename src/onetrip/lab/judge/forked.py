"""A process of a trial that was forked from a warm template, behind walls or not."""

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from onetrip.lab.judge.process import kill_group
from onetrip.lab.sandbox.enclosure import Enclosed
from onetrip.lab.sandbox.processes import census

_PATIENCE_S = 20.0
_LINE_BYTES = 4096

# An order for a template, the descriptors that go with it -> the pid of the keeper.
Fork = Callable[[Mapping[str, object], Sequence[int]], int]


class CannotForkError(Exception):
    """No process can be forked here; its text says why."""


class Room:
    """What bubblewrap builds around a process that does nothing: another one is to step in."""

    def __init__(self, enclosed: Callable[[Sequence[str], Sequence[int]], Enclosed]) -> None:
        self.walls = enclosed(("/bin/sh", "-c", "echo; exec cat"), ())
        self._process = subprocess.Popen(
            self.walls.command,
            env=dict(self.walls.environment),
            cwd=self.walls.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        inside = census(self.pid).pids if self._stands() else ()
        if not inside:
            self.end()
            raise CannotForkError("bubblewrap built no room")
        self.inhabitant = inside[-1]

    @property
    def pid(self) -> int:
        """Of bubblewrap."""
        return self._process.pid

    def end(self) -> None:
        """Kill all that is in it, and take it down."""
        self.walls.end(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self.walls.close()

    def _stands(self) -> bool:
        """Wait until the inhabitant has said that it is inside."""
        pipe = self._process.stdout
        if pipe is None:
            return False
        ready, _, _ = select.select([pipe], [], [], _PATIENCE_S)
        return bool(ready and os.read(pipe.fileno(), 1))


class Forked:
    """``python -m module DESCRIPTOR…``, forked: the same surroundings and the same walls.

    Parameters
    ----------
    fork : asks a template.
    module : what the process runs.
    inherited : descriptors that it gets.
    environment : all of it, where the process is trusted.
    room : what it steps into; None where it is trusted.
    """

    def __init__(
        self,
        fork: Fork,
        module: str,
        inherited: Sequence[int],
        *,
        environment: Mapping[str, str],
        room: Room | None,
    ) -> None:
        self._room = room
        self._ended: int | None = None
        self._said = b""
        self.walls = walls = room.walls if room else None
        self._status, status = socket.socketpair()
        output, outlet = os.pipe()
        folder = str(walls.folder) if walls else os.getcwd()
        order = {
            "module": module,
            # Bubblewrap, too, tells where it has gone.
            "environment": {**environment, **({"PWD": folder} if walls else {})},
            "folder": folder,
            "limits": dict(walls.limits) if walls else {},
            "entrances": [str(path) for path in walls.group.entrances]
            if walls and walls.group
            else [],
            "room": room.inhabitant if room else None,
        }
        try:
            self.parent_pid = fork(order, (status.fileno(), outlet, *inherited))
            told = self._hear(_PATIENCE_S)
            if told is None or "process" not in told:
                reason = told["failed"] if told else "its keeper said nothing"
                raise CannotForkError(f"no process was forked: {reason}")
            self._process = told["process"]
        except BaseException:
            self._status.close()
            os.close(output)
            if room:
                room.end()
            raise
        finally:
            status.close()
            os.close(outlet)
        self.output = os.fdopen(output, "rb", buffering=0)

    @property
    def pid(self) -> int:
        """Of the process, or of the walls around it; its group has the same number."""
        return self._room.pid if self._room else self._process

    @property
    def roots(self) -> tuple[int, ...]:
        """Below whom everything is that it starts: orphans are below the walls."""
        return (self._room.pid, self.parent_pid) if self._room else (self._process,)

    def wait(self, seconds: float) -> int | None:
        """Its exit status; None where it does not end in time."""
        if self._ended is None and (told := self._hear(seconds)):
            self._ended = told["returncode"]
        return self._ended

    def end(self) -> None:
        """Kill it with all that it started, and wait until it is gone."""
        if self._room:
            self._room.end()
        elif self.wait(0.0) is None:
            kill_group(self._process)
        self.wait(_PATIENCE_S)
        self._status.close()

    def _hear(self, seconds: float) -> dict | None:
        """The keeper's next message; None where none comes in time."""
        end_s = time.monotonic() + seconds
        while b"\n" not in self._said:
            left_s = max(0.0, end_s - time.monotonic())
            ready, _, _ = select.select([self._status], [], [], left_s)
            part = self._status.recv(_LINE_BYTES) if ready else b""
            if not part:
                return None
            self._said += part
        line, _, self._said = self._said.partition(b"\n")
        return json.loads(line)
