"""Warm templates: importing torch takes two seconds of a core, a fork takes some milliseconds.

One template for processes behind walls, whose environment is the walls'; one for processes that
are trusted, whose environment is the lab's. Both start at the first trial of this process, stay to
its end, and are started again when they die. Where nothing can be forked, the log says why, and
every process is started anew.
"""

import atexit
import logging
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence

from onetrip.lab.judge.forked import CannotForkError, Forked, Room
from onetrip.lab.judge.wire import receive_message, send_message
from onetrip.lab.sandbox import bubblewrap, join
from onetrip.lab.sandbox.enclosure import Enclosed
from onetrip.lab.sandbox.environment import clean_environment, own_environment

# Threads of one process that spin while they wait take the cores from the process that is being
# timed; on a machine that does other work too they made a call of 0.3 ms take 30.
QUIET = {"OMP_WAIT_POLICY": "PASSIVE"}
QUIETLY = ("/usr/bin/env", *(f"{name}={text}" for name, text in QUIET.items()))

_TEMPLATE = (sys.executable, "-P", "-m", "onetrip.lab.judge.template")
_MODULES = {
    "walled": ("onetrip.lab.judge.candidate",),
    "trusted": ("onetrip.lab.judge.candidate", "onetrip.lab.judge.oracle"),
}
_ATTEMPTS = 2
_PATIENCE_S = 60.0
_LEAVING_S = 1.0
_TAIL_BYTES = 2000
# What says which test runs, or where our files are: no library reads it at its import.
_READ_LATE = ("ONETRIP_", "PYTEST_")

_log = logging.getLogger(__name__)


class Template:
    """One template's process, seen from the lab."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self.read = _read_at_import(environment)
        self._ready = False
        self._lock = threading.Lock()
        self._connection, theirs = socket.socketpair()
        self._output = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            (*_TEMPLATE, str(theirs.fileno()), *modules),
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()

    @property
    def pid(self) -> int:
        """Of the template."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def fork(self, order: Mapping[str, object], descriptors: Sequence[int]) -> int:
        """Have it fork; the pid of the keeper.

        Raises
        ------
        CannotForkError
            It has ended, or its copies would not be as new processes are.
        """
        with self._lock:
            if not self._ready:
                if forbids := str(self._answer()["forbids"]):
                    raise CannotForkError(forbids)
                self._ready = True
            try:
                send_message(self._connection, order, descriptors)
            except (BrokenPipeError, ConnectionResetError) as error:
                raise CannotForkError("the template has ended") from error
            return int(self._answer()["keeper"])

    def end(self) -> None:
        """End it; what was forked from it goes on."""
        self._connection.close()
        # One that serves ends by itself, and its forks' times are then counted as ours.
        if not self._ready:
            self._process.kill()
        try:
            self._process.wait(_LEAVING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _answer(self) -> dict:
        ready, _, _ = select.select([self._connection], [], [], _PATIENCE_S)
        try:
            received = receive_message(self._connection) if ready else None
        except (EOFError, ConnectionResetError):
            received = None
        if received is None:
            end = self._output.seek(0, os.SEEK_END)
            self._output.seek(max(0, end - _TAIL_BYTES))
            words = self._output.read().decode(errors="replace").strip()
            raise CannotForkError(f"the template has ended or does not answer: {words}")
        return received[0]


class Warm:
    """The templates of this process, one of each kind."""

    def __init__(self) -> None:
        self._templates: dict[str, Template] = {}
        self._lock = threading.Lock()
        self._owner_pid = os.getpid()
        self.forbids = "" if join.can_join() else "this system has no such calls"

    def begin(self, *, walled: bool) -> None:
        """Let the templates import while something else is done."""
        if not self.forbids:
            for kind in ("trusted", "walled") if walled else ("trusted",):
                self.template(kind)

    def fork(
        self,
        module: str,
        inherited: Sequence[int],
        enclosed: Callable[[Sequence[str], Sequence[int]], Enclosed] | None,
    ) -> Forked | None:
        """A process that runs `module`, in a room of bubblewrap's or trusted; None if it cannot be.

        Parameters
        ----------
        module : one of those that the templates know.
        inherited : descriptors that it gets.
        enclosed : puts a command behind walls of bubblewrap; None where the process is trusted.
        """
        kind = "walled" if enclosed else "trusted"
        for _ in range(_ATTEMPTS):
            if self.forbids:
                return None
            template = self.template(kind)
            room = None
            try:
                room = Room(enclosed) if enclosed else None
                return Forked(
                    template.fork, module, inherited, environment=_environment(kind), room=room
                )
            except CannotForkError as error:
                reason = str(error)
                if not template.lives:
                    continue
            break
        self.forbid(reason)
        return None

    def forbid(self, reason: str) -> None:
        """From now on every process is started, as the log says."""
        self.forbids = reason
        _log.warning("Processes of trials are started, not forked: %s.", reason)

    def template(self, kind: str) -> Template:
        """The living template of a kind, started if there is none for the present environment."""
        environment = _environment(kind)
        with self._lock:
            if self._owner_pid != os.getpid():
                # Those belong to the process that this one was forked from.
                self._templates, self._owner_pid = {}, os.getpid()
            known = self._templates.get(kind)
            if known and (not known.lives or known.read != _read_at_import(environment)):
                known.end()
                known = None
            if known is None:
                known = self._templates[kind] = Template(_MODULES[kind], environment)
            return known

    def end(self) -> None:
        """End all templates."""
        with self._lock:
            if self._owner_pid == os.getpid():
                for template in self._templates.values():
                    template.end()
            self._templates = {}


def _environment(kind: str) -> dict[str, str]:
    own = clean_environment(bubblewrap.SCRATCH) if kind == "walled" else own_environment()
    return own | QUIET


def _read_at_import(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if not name.startswith(_READ_LATE)}


WARM = Warm()
atexit.register(WARM.end)
