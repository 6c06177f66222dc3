"""The judge's hold on one process of a trial: ask, wait, watch its walls, end it."""

import os
import secrets
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from onetrip.core.errors import DataError
from onetrip.lab.judge.forked import Forked
from onetrip.lab.judge.started import Started
from onetrip.lab.judge.warm import WARM
from onetrip.lab.judge.wire import (
    FRAME_BYTES,
    NONCE_BYTES,
    Reply,
    from_frame,
    receive_message,
    send_message,
)
from onetrip.lab.sandbox.enclosure import Enclosed
from onetrip.lab.sandbox.walls import Breach

_POLL_S = 0.25
_ENDING_S = 2.0
_TAIL_BYTES = 16_000
# A flood of output is read this far; then the pipe fills, and who writes waits.
_LONGEST_LOG_BYTES = 64 << 20
# What a process printed before it answered is still on its way into the log for a moment; one
# that prints without end is not waited for any longer.
_DRAIN_S = 1.0
_DRAIN_POLL_S = 0.001


class Stopped(Exception):
    """The lab wants the trial to end."""


class Late(Exception):
    """A process did not answer in time."""


class Gone(Exception):
    """A process died, or closed its connection; `returncode` is None where it had to be killed."""

    def __init__(self, returncode: int | None) -> None:
        super().__init__(f"exit status {returncode}")
        self.returncode = returncode


class Breached(Exception):
    """A process took more than its walls allow."""

    def __init__(self, breach: Breach) -> None:
        super().__init__(breach.what)
        self.breach = breach


class Babbled(Exception):
    """A process wrote on the judge's connection what the harness in it did not write."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a trial is over, and how to know that the lab no longer wants it."""

    end_s: float
    should_stop: Callable[[], bool] = lambda: False

    def left_s(self) -> float:
        """Seconds left, at most a poll's length; raises `Stopped` or `Late`."""
        if self.should_stop():
            raise Stopped
        left = self.end_s - time.monotonic()
        if left <= 0:
            raise Late
        return min(left, _POLL_S)


class Child:
    """One process with a connection to the judge, in a session of its own.

    Parameters
    ----------
    command : what to start; the number of its end of the connection is appended.
    pass_fds : what else it inherits.
    enclosed : where `command` comes from, if it stands behind walls; else it is trusted.
    warm : whether it may be forked from a template; `command` then ends with ``-m module``.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        enclosed: Callable[[Sequence[str], Sequence[int]], Enclosed] | None = None,
        warm: bool = False,
    ) -> None:
        self.nonce = secrets.token_bytes(NONCE_BYTES)
        self._connection, theirs = socket.socketpair()
        inherited = (*pass_fds, theirs.fileno())
        self._walls: Enclosed | None = None
        process = WARM.fork(command[-1], inherited, enclosed) if warm else None
        self.forked = process is not None
        if process is None:
            line = (*command, *map(str, inherited))
            self._walls = enclosed(line, inherited) if enclosed else None
            process = Started(self._walls.command if self._walls else line, inherited, self._walls)
        else:
            self._walls = process.walls
        self._process: Forked | Started = process
        theirs.close()
        self._sequence = 0
        self._log: deque[bytes] = deque()
        # Held from the moment a chunk leaves the pipe until it is in the log.
        self._log_lock = threading.Lock()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the process, or of the walls around it."""
        return self._process.pid

    @property
    def roots(self) -> tuple[int, ...]:
        """The processes below which everything is that it starts."""
        return self._process.roots

    @property
    def parent_pid(self) -> int:
        """The process that it dies with."""
        return self._process.parent_pid

    @property
    def level(self) -> str:
        """The kind of walls around it; empty where it is trusted."""
        return self._walls.level.name if self._walls else ""

    def tell(
        self, message: Mapping[str, object], deadline: Deadline, descriptors: Sequence[int] = ()
    ) -> None:
        """Send it a message; it has until the deadline to take it."""
        while True:
            self._connection.settimeout(deadline.left_s() + _POLL_S)
            try:
                send_message(self._connection, message, descriptors)
                return
            except TimeoutError as error:
                # Part of the message is sent, so that nothing else can be said.
                raise Late from error
            except (BrokenPipeError, ConnectionResetError) as error:
                raise Gone(self._status()) from error

    def answer(self, deadline: Deadline) -> dict:
        """The next message of a trusted process."""
        self._wait(deadline)
        self._connection.settimeout(None)
        try:
            received = receive_message(self._connection)
        except (EOFError, ConnectionResetError) as error:
            raise Gone(self._status()) from error
        if received is None:
            raise Gone(self._status())
        return received[0]

    def order(self, message: Mapping[str, object], deadline: Deadline) -> None:
        """Give an order to a contender's process; `reply` takes the answer."""
        self._refuse_babble()
        self._sequence += 1
        self.tell({**message, "sequence": self._sequence}, deadline)

    def reply(self, deadline: Deadline) -> Reply:
        """The frame that answers the last order."""
        frame = b""
        while len(frame) < FRAME_BYTES:
            self._wait(deadline)
            try:
                part = self._connection.recv(FRAME_BYTES - len(frame))
            except ConnectionResetError as error:
                raise Gone(self._status()) from error
            if not part:
                raise Gone(self._status())
            frame += part
        try:
            reply = from_frame(frame, self.nonce)
        except DataError as error:
            raise Babbled(str(error)) from error
        if reply.sequence != self._sequence:
            raise Babbled(f"An answer to order {reply.sequence}, but {self._sequence} was given.")
        return reply

    def signal_name(self, returncode: int | None) -> str | None:
        """The signal that ended the process, seen through its walls."""
        if self._walls:
            return self._walls.signal_name(returncode)
        return signal.Signals(-returncode).name if returncode and returncode < 0 else None

    def could_not_start(self, returncode: int | None) -> bool:
        """Whether its walls failed to go up."""
        could_not = bool(self._walls and self._walls.could_not_start(returncode))
        if could_not and self.forked:
            WARM.forbid("a forked process could not be put behind its walls")
        return could_not

    def breach(self) -> Breach | None:
        """What it took too much of; asked once more when it has died."""
        return self._walls.breach(*self.roots) if self._walls else None

    def log(self) -> str:
        """The end of what it has printed so far."""
        end = time.monotonic() + _DRAIN_S
        while self._reader.is_alive() and time.monotonic() < end:
            with self._log_lock:
                if not self._printed(0.0):
                    break
            time.sleep(_DRAIN_POLL_S)
        with self._log_lock:
            tail = b"".join(self._log)[-_TAIL_BYTES:]
        return tail.decode(errors="replace").strip()

    def end(self) -> None:
        """Kill it with all that it started, and wait until it is gone."""
        self._process.end()
        self._connection.close()
        self._reader.join(timeout=1.0)
        if not self._reader.is_alive():
            self._process.output.close()

    def _wait(self, deadline: Deadline) -> None:
        """Until there is something to read."""
        while True:
            left_s = deadline.left_s()
            ready, _, _ = select.select([self._connection], [], [], left_s)
            if ready:
                return
            breach = self.breach()
            if breach:
                raise Breached(breach)

    def _refuse_babble(self) -> None:
        ready, _, _ = select.select([self._connection], [], [], 0)
        if ready and self._connection.recv(1, socket.MSG_PEEK):
            raise Babbled("Bytes on the judge's connection that answer no order.")

    def _status(self) -> int | None:
        """Exit status of a process that closed its connection."""
        return self._process.wait(_ENDING_S)

    def _printed(self, timeout_s: float | None) -> bool:
        """Whether something is in the pipe that the log has not."""
        return bool(select.select([self._process.output], [], [], timeout_s)[0])

    def _read_log(self) -> None:
        descriptor = self._process.output.fileno()
        taken = held = 0
        while taken < _LONGEST_LOG_BYTES:
            self._printed(None)
            with self._log_lock:
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    return
                self._log.append(chunk)
                taken += len(chunk)
                held += len(chunk)
                while held - len(self._log[0]) > _TAIL_BYTES:
                    held -= len(self._log.popleft())
