"""Run one job in a fresh interpreter with a group of its own, and end all of it in time."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# -P: a torch.py or json.py in the current folder must not pass for the real one.
WORKER = (sys.executable, "-P", "-m", "onetrip.lab.judge.worker")
_TAIL_CHARACTERS = 4000

Message = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended: its answer if it gave one, else how it died; its last words."""

    answer: Message | None
    returncode: int | None
    timed_out: bool
    seconds: float
    tail: str


class Worker:
    """A worker process that waits for its job, in a group of its own.

    It may be started long before: meanwhile it imports `modules`, so that a job need not wait for
    that. A worker does one job, and more only as long as `run` is told that it stays. Use it as a
    context: on the way out, whatever happened, its whole group is gone.
    """

    def __init__(self, command: Sequence[str] = WORKER, modules: Sequence[str] = ()) -> None:
        read_end, write_end = os.pipe()
        self._log = tempfile.TemporaryFile()
        self._channel = os.fdopen(read_end, "rb")
        try:
            self._process = subprocess.Popen(
                [*command, str(write_end), *modules],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(write_end,),
                start_new_session=True,
            )
        except BaseException:
            self._close()
            raise
        finally:
            os.close(write_end)

    @property
    def pid(self) -> int:
        """Number of the process, and of its group."""
        return self._process.pid

    @property
    def stays(self) -> bool:
        """Whether it waits for another job."""
        return self._process.returncode is None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._close()

    def run(
        self,
        job: Mapping[str, object],
        *,
        seconds: float,
        on_start: Callable[[int, str | None], None] = lambda pid, started: None,
        on_message: Callable[[Message], None] = lambda message: None,
        stays: Callable[[Message], bool] | None = None,
    ) -> Ended:
        """Send `job` and wait for its answer, at most `seconds`; then the worker is gone.

        The worker writes one JSON document a line into a pipe of its own: any number of messages,
        then ``{"answer": ...}``. What it prints goes to a file, of which `tail` keeps the end.

        Parameters
        ----------
        on_start : receives the worker's pid and `process_started` before it sees the job.
        on_message : receives each message as it comes.
        stays : says by the answer whether the worker may wait for another job.
        """
        started = time.monotonic()
        said = self._log.seek(0, os.SEEK_END)
        on_start(self.pid, process_started(self.pid))
        document = {**job, "parent_pid": os.getpid(), "stays": stays is not None}
        _send(self._process, document, last=stays is None)
        answer, timed_out = _receive(self._channel.fileno(), started + seconds, on_message)
        if answer is None or stays is None or not stays(answer):
            self._end()
        return Ended(
            answer=answer,
            # What our own kill makes of it says nothing about the worker.
            returncode=None if timed_out else self._process.returncode,
            timed_out=timed_out,
            seconds=time.monotonic() - started,
            tail=_tail(self._log, said),
        )

    def _end(self) -> None:
        # Once, and before wait(): when the leader is reaped, another group can get its number. A
        # worker whose pipe is closed is already dying, so its exit status stays its own.
        if self._process.returncode is None:
            kill_group(self._process.pid)
            self._process.wait()

    def _close(self) -> None:
        self._channel.close()
        self._log.close()


def run_job(
    job: Mapping[str, object],
    *,
    seconds: float,
    on_start: Callable[[int, str | None], None] = lambda pid, started: None,
    on_message: Callable[[Message], None] = lambda message: None,
    command: Sequence[str] = WORKER,
) -> Ended:
    """Start a worker and have it do `job`, as in `Worker.run`."""
    with Worker(command) as worker:
        return worker.run(job, seconds=seconds, on_start=on_start, on_message=on_message)


class Relay:
    """Workers one after the other, the next one started while one works.

    Where importing takes longer than judging, as on a device, a job waits for nothing: a worker
    that stays after its job does the next one too, and one that is ready takes the place of one
    that does not. On a CPU the next worker's imports would take the cores that the present one is
    timed on, and memory would be counted together: there, `ahead` is False, and none stays.
    """

    def __init__(self, command: Sequence[str], modules: Sequence[str], *, ahead: bool) -> None:
        self._command, self._modules, self.ahead = command, modules, ahead
        self._staying: Worker | None = None
        self._next: Worker | None = None

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in (self._staying, self._next):
            if worker is not None:
                worker.__exit__()
        self._staying = self._next = None

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """The next worker; the one after it starts when this one has been handed out."""
        taken = self._staying or self._next or self._start()
        if taken is self._next:
            self._next = None
        self._staying = None
        with ExitStack() as stack:
            stack.push(taken)
            if self.ahead and self._next is None:
                self._next = self._start()
            yield taken
            if taken.stays:
                stack.pop_all()
                self._staying = taken

    def _start(self) -> Worker:
        return Worker(self._command, self._modules if self.ahead else ())


def kill_group(pgid: int) -> None:
    """End every process of a group that we started; nothing when it is gone."""
    try:
        os.killpg(pgid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # A group of zombies only answers with a permission error on some systems.
        return


def process_started(pid: int) -> str | None:
    """Tell a process from a later one of the same pid: boot and start tick; None if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The name, in brackets, may hold spaces and brackets itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return f"{boot} {fields[19]}"


def kill_left_over(pid: int | None, started: str | None) -> bool:
    """End the group of a worker that outlived its tuner, if `pid` is still that worker."""
    if pid is None or started is None or process_started(pid) != started:
        return False
    kill_group(pid)
    return True


def _send(process: subprocess.Popen, job: Mapping[str, object], *, last: bool) -> None:
    if process.stdin is None:
        raise ValueError("the worker was started without a standard input")
    try:
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        if last:
            process.stdin.close()
    except BrokenPipeError:
        # It died before it read: its exit status tells the story.
        return


def _receive(
    descriptor: int, deadline: float, on_message: Callable[[Message], None]
) -> tuple[Message | None, bool]:
    """Read messages until the answer, the end of the pipe, or the deadline (the second value)."""
    pending = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return None, True
        ready, _, _ = select.select([descriptor], [], [], left)
        if not ready:
            continue
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return None, False
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "answer" in message:
                return message["answer"], False
            on_message(message)


def _tail(log: IO[bytes], start: int) -> str:
    end = log.seek(0, os.SEEK_END)
    log.seek(max(start, end - 4 * _TAIL_CHARACTERS))
    return log.read().decode(errors="replace")[-_TAIL_CHARACTERS:].strip()
