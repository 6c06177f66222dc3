"""The worker's side: read a job, do it, answer on the pipe, die with whoever started it.

Run as ``python -m onetrip.lab.judge.worker DESCRIPTOR [MODULE ...]`` with a job a line on standard
input. The modules are imported while it waits for the first. It ends with its input.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from itertools import chain
from types import TracebackType

from onetrip.lab.judge.failure import Stage, describe
from onetrip.lab.judge.limits import die_with_parent, limit_cpu_time

# What a worker can do: task -> the module whose `run(job, stage)` does it.
TASKS = {
    "prepare": "onetrip.lab.judge.prepare",
    "judge": "onetrip.lab.judge.judge",
    "machine": "onetrip.lab.judge.machine",
    "describe": "onetrip.lab.problems.describe",
}


class Channel:
    """The pipe to the tuner: one JSON document a line."""

    def __init__(self, descriptor: int) -> None:
        # What the worker starts (a compiler, say) must not keep the pipe open after it.
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor

    def send(self, message: dict[str, object]) -> None:
        """Write one message; the tuner sees it at once."""
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


def main() -> None:
    """Do the jobs on standard input."""
    channel = Channel(int(sys.argv[1]))
    for module in sys.argv[2:]:
        importlib.import_module(module)
    lines = iter(sys.stdin.readline, "")
    first = next(lines, None)
    if first is None:
        sys.exit("no job: the tuner was killed before it sent one")
    for line in chain([first], lines):
        _work(json.loads(line), channel)


def _work(job: Mapping, channel: Channel) -> None:
    die_with_parent(job["parent_pid"])
    limit_cpu_time(job["seconds"], more_follow=job["stays"])
    stage = Stage(channel.send)

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        traceback.print_exception(kind, error, trace)
        # An error that nobody caught is the candidate's outcome, not the lab's failure.
        if isinstance(error, Exception):
            channel.send({"answer": describe(error, stage.name)})

    sys.excepthook = report
    answer = importlib.import_module(TASKS[job["task"]]).run(job, stage)
    channel.send({"answer": answer})


if __name__ == "__main__":
    main()
