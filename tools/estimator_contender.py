"""The process of one contender of `estimator_bars.py`: draws the data, solves when told to."""

import importlib
import resource
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def serve(
    pipe: Connection, estimator: str, race_name: str, contender: str, threads: int, peers: list[str]
) -> None:
    """Solve once and report the answer; then solve on every word, and report time and memory."""
    # Behind everything else, so that the environment's own packages win.
    sys.path.extend(peers)
    try:
        _serve(pipe, estimator, race_name, contender, threads)
    except ModuleNotFoundError as error:
        pipe.send(("missing", f"no module {error.name}"))
    except MemoryError:
        pipe.send(("failed", "out of memory"))
    except EOFError:
        pass  # The parent closed the pipe: the race is over.
    except BaseException:
        pipe.send(("failed", traceback.format_exc(limit=4)))
        raise


def _serve(pipe: Connection, estimator: str, race_name: str, contender: str, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    module: Any = importlib.import_module(f"estimator_workloads.{estimator}")
    race = find_race(module, race_name)
    solve = race.contenders[contender]
    data = race.make()
    pipe.send(("done", {"answer": solve(data)}))
    while True:
        pipe.recv()
        # After the first call, whose memory is mostly that of imports.
        reset_peak()
        before_bytes = peak_bytes()
        wall_s, cpu_s = time.perf_counter(), cpu_seconds()
        answer = solve(data)
        wall_s, cpu_s = time.perf_counter() - wall_s, cpu_seconds() - cpu_s
        grown_bytes = max(peak_bytes() - before_bytes, 0)
        del answer
        pipe.send(("done", {"wall_s": wall_s, "cpu_s": cpu_s, "peak_bytes": grown_bytes}))


def find_race(module: Any, name: str) -> Any:
    """The race of this name; "growth-1000" is the growth problem at a thousand samples."""
    if name.startswith("growth-"):
        return module.growth(int(name.removeprefix("growth-")))
    return next(race for race in module.RACES if race.name == name)


def cpu_seconds() -> float:
    """User and system time of this process, all threads, and of children that ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def reset_peak() -> None:
    """Let the kernel forget the peak of resident memory so far, where it can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # Not Linux: the peak counts from the start of the process.


def peak_bytes() -> int:
    """Peak of resident memory."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
