"""The processes of a run: one for each run of a command, one for all calls of a function."""

import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from onetrip.lab.judge.process import kill_group, process_started
from onetrip.lab.problems.run_spec import RunSpec
from onetrip.lab.sandbox.environment import clean_environment
from onetrip.lab.sandbox.processes import census
from onetrip.lab.verdict import Outcome

_LAUNCH = (sys.executable, "-P", "-m", "onetrip.lab.problems.run_launch")
_POLL_S = 0.1
_TAIL_CHARACTERS = 4000
_LARGEST_METRICS_BYTES = 1 << 20
METRICS_FILE = "metrics.json"


class RunFailedError(Exception):
    """A run gave no metrics: the outcome that follows, and what was seen."""

    def __init__(self, outcome: Outcome, reason: str, **evidence: object) -> None:
        super().__init__(reason)
        self.outcome, self.reason, self.evidence = outcome, reason, evidence


class StoppedError(Exception):
    """The lab does not want the answer any more."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What ends a run early, and who is told that it began."""

    end_s: float
    limit_s: float
    memory_bytes: int | None = None
    should_stop: Callable[[], bool] = lambda: False
    on_start: Callable[[int, str | None], None] = lambda pid, started: None


@dataclass(frozen=True, slots=True)
class Answer:
    """Metrics of one run, and the seconds that it took."""

    metrics: Mapping[str, float]
    seconds: float


class Runner(Protocol):
    """One side of a comparison: it runs when it is told to."""

    def once(self, seed: int, watch: Watch) -> Answer:
        """Run once; raises `RunFailedError` or `StoppedError`."""
        ...

    def close(self) -> None:
        """End whatever is left."""
        ...


class Process:
    """A process in a group and a scratch folder of its own, which is gone when it is closed."""

    def __init__(self, spec: RunSpec, words: Sequence[str], device: str, channel: bool) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="run-"))
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self.read_end, write_end = os.pipe()
        line = [*_LAUNCH, str(os.getpid()), *words, *([str(write_end)] if channel else [])]
        try:
            self._process = subprocess.Popen(
                line,
                cwd=spec.folder,
                env=clean_environment(self.scratch) | _shown_devices(device),
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(write_end,),
                start_new_session=True,
            )
        finally:
            os.close(write_end)

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it lives."""
        return self._process.poll()

    def tell(self, line: bytes) -> None:
        """Write to its standard input; nothing happens when it is gone."""
        if self._process.stdin is None:
            return
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def look(self, watch: Watch, begin_s: float) -> None:
        """Raise when the run must not go on."""
        if watch.should_stop():
            raise StoppedError
        now = time.monotonic()
        if now > min(watch.end_s, begin_s + watch.limit_s):
            limit_s = min(watch.end_s - begin_s, watch.limit_s)
            raise RunFailedError(
                Outcome.TIMEOUT, f"no metrics after {limit_s:.0f} s", output=self.tail()
            )
        if watch.memory_bytes is not None and (held := _held_bytes(self.pid)) > watch.memory_bytes:
            raise RunFailedError(
                Outcome.OUT_OF_MEMORY,
                f"it holds {held} bytes, allowed {watch.memory_bytes}",
                output=self.tail(),
            )

    def death(self) -> RunFailedError:
        """Why it ended without metrics."""
        status = self._process.wait()
        evidence = {"exit_status": status, "output": self.tail()}
        if status < 0:
            name = signal.Signals(-status).name
            return RunFailedError(Outcome.CRASHED, f"killed by {name}", **evidence)
        return RunFailedError(
            Outcome.CRASHED, f"left with exit status {status} and no metrics", **evidence
        )

    def tail(self) -> str:
        """The end of what it printed."""
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, end - 4 * _TAIL_CHARACTERS))
        return self._log.read().decode(errors="replace")[-_TAIL_CHARACTERS:].strip()

    def close(self) -> None:
        """Kill its group, wait for it, and remove its folder."""
        # Before wait(): until the leader is reaped, no other group can have its number.
        kill_group(self.pid)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        os.close(self.read_end)
        self._log.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(slots=True)
class CommandRunner:
    """A process for each run. In the command, ``{batch}`` stands for the parameter of that name.

    So do ``{python}``, ``{seed}``, ``{device}``, ``{scratch}``, ``{parameters}`` (a JSON file) and
    ``{metrics}`` (the file to write: one JSON object, or one a line of which later ones add).
    """

    spec: RunSpec
    config: Mapping[str, object]
    device: str

    def once(self, seed: int, watch: Watch) -> Answer:
        """Run the command to its end."""
        with tempfile.TemporaryDirectory(prefix="run-files-") as folder:
            files = Path(folder)
            parameters, metrics = files / "parameters.json", files / METRICS_FILE
            parameters.write_text(json.dumps(dict(self.config)), encoding="utf-8")
            values = {
                **{name: str(value) for name, value in self.config.items()},
                "python": sys.executable,
                "seed": str(seed),
                "device": self.device,
                "scratch": folder,
                "parameters": str(parameters),
                "metrics": str(metrics),
            }
            words = [_filled(word, values) for word in self.spec.command]
            begin_s = time.monotonic()
            with Process(self.spec, ["--", *words], self.device, channel=False) as process:
                watch.on_start(process.pid, process_started(process.pid))
                while process.returncode is None:
                    process.look(watch, begin_s)
                    time.sleep(_POLL_S / 5)
                seconds = time.monotonic() - begin_s
                if process.returncode != 0 or not metrics.exists():
                    raise process.death()
                return Answer(_read_metrics(metrics, process.tail()), seconds)

    def close(self) -> None:
        """Nothing: each run's process ended with it."""


@dataclass(slots=True)
class FunctionRunner:
    """One process that imports the function's module once and calls it for every run."""

    spec: RunSpec
    config: Mapping[str, object]
    device: str
    _process: Process | None = field(default=None)

    def once(self, seed: int, watch: Watch) -> Answer:
        """Call the function."""
        if self._process is None:
            self._process = Process(self.spec, [self.spec.function], self.device, channel=True)
            watch.on_start(self._process.pid, process_started(self._process.pid))
        asked = {"parameters": {**self.config, "device": self.device}, "seed": seed}
        begin_s = time.monotonic()
        self._process.tell(json.dumps(asked).encode() + b"\n")
        answer = self._receive(self._process, watch, begin_s)
        seconds = time.monotonic() - begin_s
        if "error" in answer:
            error = answer["error"]
            raise RunFailedError(Outcome(error["outcome"]), error["reason"], **error["evidence"])
        metrics = {
            name: math.nan if value is None else value for name, value in answer["metrics"].items()
        }
        return Answer(metrics, seconds)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _receive(self, process: Process, watch: Watch, begin_s: float) -> dict:
        pending = b""
        while not pending.endswith(b"\n"):
            process.look(watch, begin_s)
            ready, _, _ = select.select([process.read_end], [], [], _POLL_S)
            if not ready:
                continue
            chunk = os.read(process.read_end, 1 << 16)
            if not chunk:
                raise process.death()
            pending += chunk
            if len(pending) > _LARGEST_METRICS_BYTES:
                raise RunFailedError(Outcome.CRASHED, "its metrics fill more than 1 MiB")
        return json.loads(pending)


def runner_of(spec: RunSpec, config: Mapping[str, object], device: str) -> Runner:
    """One side of the comparison, with these parameters."""
    kind = FunctionRunner if spec.function else CommandRunner
    return kind(spec, config, device)


def _filled(word: str, values: Mapping[str, str]) -> str:
    # Not str.format: a command may hold braces of its own.
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word


def _read_metrics(path: Path, output: str) -> dict[str, float]:
    if path.stat().st_size > _LARGEST_METRICS_BYTES:
        raise RunFailedError(Outcome.CRASHED, "its metrics fill more than 1 MiB")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        documents = [json.loads(text)]
    except json.JSONDecodeError:
        documents = []
    try:
        found = documents or [json.loads(line) for line in text.splitlines() if line.strip()]
        merged = {name: value for document in found for name, value in document.items()}
        return {
            str(name): math.nan if value is None else float(value) for name, value in merged.items()
        }
    except (json.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise RunFailedError(
            Outcome.CRASHED,
            f"its metrics are no JSON objects of numbers: {error}",
            metrics=text[:1000],
            output=output,
        ) from error


def _held_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + census(pid).memory_bytes


def _shown_devices(device: str) -> dict[str, str]:
    """A run on the CPU sees no GPU; one on "cuda:0" sees what the lab sees."""
    return {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
