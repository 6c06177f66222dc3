"""Run one job in a fresh interpreter with a group of its own, and end all of it in time."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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


def run_job(
    job: Mapping[str, object],
    *,
    seconds: float,
    on_start: Callable[[int, str | None], None] = lambda pid, started: None,
    on_message: Callable[[Message], None] = lambda message: None,
    command: Sequence[str] = WORKER,
) -> Ended:
    """Send `job` to a new worker and wait for its answer, at most `seconds`.

    The worker writes one JSON document a line into a pipe of its own: any number of messages,
    then ``{"answer": ...}``. What it prints goes to a file, of which `tail` keeps the end.
    Whatever happens here, an exception included, the worker's whole group is gone on return.

    Parameters
    ----------
    on_start : receives the worker's pid and `process_started` before it sees the job.
    on_message : receives each message as it comes.
    """
    started = time.monotonic()
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as log, os.fdopen(read_end, "rb") as channel:
        process = subprocess.Popen(
            [*command, str(write_end)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(write_end,),
            start_new_session=True,
        )
        try:
            os.close(write_end)
            on_start(process.pid, process_started(process.pid))
            _send(process, {**job, "parent_pid": os.getpid()})
            answer, timed_out = _receive(channel.fileno(), started + seconds, on_message)
        finally:
            # Before wait(): until the leader is reaped, no other group can have its number. A
            # worker whose pipe is closed is already dying, so its exit status stays its own.
            kill_group(process.pid)
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        return Ended(
            answer=answer,
            # What our own kill makes of it says nothing about the worker.
            returncode=None if timed_out else process.returncode,
            timed_out=timed_out,
            seconds=time.monotonic() - started,
            tail=_tail(log),
        )


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


def _send(process: subprocess.Popen, job: Mapping[str, object]) -> None:
    if process.stdin is None:
        raise ValueError("the worker was started without a standard input")
    try:
        process.stdin.write(json.dumps(job).encode())
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


def _tail(log: IO[bytes]) -> str:
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - 4 * _TAIL_CHARACTERS))
    return log.read().decode(errors="replace")[-_TAIL_CHARACTERS:].strip()
