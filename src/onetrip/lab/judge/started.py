"""A process of a trial that was started anew, behind walls or not."""

import os
import subprocess
from collections.abc import Sequence
from typing import IO

from onetrip.lab.judge.process import kill_group
from onetrip.lab.sandbox.enclosure import Enclosed


class Started:
    """`command` in a session of its own; what it prints is in `output`.

    Parameters
    ----------
    command : what to start.
    inherited : descriptors that it gets.
    walls : what it stands behind; None where it is trusted.
    """

    def __init__(
        self, command: Sequence[str], inherited: Sequence[int], walls: Enclosed | None
    ) -> None:
        self._walls = walls
        self._process = subprocess.Popen(
            command,
            env=dict(walls.environment) if walls else None,
            cwd=walls.cwd if walls else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(inherited),
            start_new_session=True,
        )
        if self._process.stdout is None:
            raise ValueError("the process was started without a standard output")
        self.output: IO[bytes] = self._process.stdout

    @property
    def pid(self) -> int:
        """Of the process, or of the walls around it; its group has the same number."""
        return self._process.pid

    @property
    def roots(self) -> tuple[int, ...]:
        """Below whom everything is that it starts."""
        return (self.pid,)

    @property
    def parent_pid(self) -> int:
        """Who it dies with."""
        return os.getpid()

    def wait(self, seconds: float) -> int | None:
        """Its exit status; None where it does not end in time."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """Kill it with all that it started, and wait until it is gone."""
        if self._walls:
            self._walls.end(self._process)
            self._walls.close()
        else:
            kill_group(self._process.pid)
            self._process.wait()
