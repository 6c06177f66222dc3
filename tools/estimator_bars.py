"""Time estimators against their peers on this machine, side by side, checked first.

    python tools/estimator_bars.py nearest_neighbors
    python tools/estimator_bars.py nearest_neighbors --race digits --rounds 9 --save
    python tools/estimator_bars.py nearest_neighbors --peers /path/to/site-packages

Each contender of a race (`tools/estimator_workloads/<estimator>.py`) is a process of its own. In
every round all of them solve the problem once, one after the other, in a random order, each when
the threads of the one before have gone to sleep. Reported are the best wall time, the CPU time of
that call, the most memory that a call took, and the median of the paired ratio to the fastest peer.
A contender whose library is missing is left out by name.
"""

import argparse
import importlib
import json
import math
import os
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import estimator_contender
from estimator_workloads.protocol import OURS, Race

DEVICE = "cpu-2-cores"
BAR = 1.2
# OpenBLAS' threads look for more work for 105 ms after a call, GNU's OpenMP for 5 to 11: in another
# process' time, on its cores.
QUIET_S = 0.15


@dataclass
class Timed:
    """What was measured of one contender, in the order of the rounds."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    @property
    def best(self) -> int:
        """The round of the least wall time."""
        return min(range(len(self.wall_s)), key=self.wall_s.__getitem__)


class Runner:
    """A contender's process: solves its problem whenever it is told to."""

    def __init__(self, estimator: str, race: str, contender: str, threads: int, peers: list[str]):
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=estimator_contender.serve,
            args=(theirs, estimator, race, contender, threads, peers),
            # joblib gives a daemon one thread only; ours ends with its pipe.
            daemon=False,
        )
        self.process.start()
        theirs.close()
        self.timed = Timed()

    def receive(self) -> tuple[str, Any]:
        """What the process says next: ("missing", name), ("failed", text) or ("done", values)."""
        try:
            return self.pipe.recv()
        except EOFError:
            return "failed", "the process ended without an answer (memory?)"

    def solve(self) -> None:
        """One timed call."""
        self.pipe.send("solve")
        kind, value = self.receive()
        if kind != "done":
            raise RuntimeError(value)
        self.timed.wall_s.append(value["wall_s"])
        self.timed.cpu_s.append(value["cpu_s"])
        self.timed.peak_bytes = max(self.timed.peak_bytes, value["peak_bytes"])

    def stop(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.kill()


def load_workloads(estimator: str) -> Any:
    """The file of this estimator's races."""
    return importlib.import_module(f"estimator_workloads.{estimator}")


def estimator_files() -> list[str]:
    """Names of the estimators that have races, sorted."""
    folder = Path(__file__).resolve().parent / "estimator_workloads"
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "protocol")


def run_race(
    estimator: str, race: Race, *, rounds: int, threads: int, peers: list[str]
) -> tuple[dict[str, Timed], dict[str, str]]:
    """Time all contenders of a race; what could not run stands in the second, with the reason."""
    runners: dict[str, Runner] = {}
    answers: dict[str, Any] = {}
    absent: dict[str, str] = {}
    try:
        for contender in race.contenders:
            runner = Runner(estimator, race.name, contender, threads, peers)
            kind, value = runner.receive()
            if kind == "done":
                runners[contender] = runner
                answers[contender] = value["answer"]
            else:
                absent[contender] = value
                runner.stop()
        if OURS not in runners:
            raise RuntimeError(absent[OURS])
        race.check(race.make(), answers)
        order = list(runners)
        for _ in range(rounds):
            random.shuffle(order)
            for contender in order:
                time.sleep(QUIET_S)
                runners[contender].solve()
        return {name: runner.timed for name, runner in runners.items()}, absent
    finally:
        for runner in runners.values():
            runner.stop()


def paired_ratio(timed: dict[str, Timed]) -> tuple[str, float] | None:
    """The fastest peer, and the median over rounds of our time over its time."""
    peers = {name: one for name, one in timed.items() if name != OURS}
    if not peers:
        return None
    fastest = min(peers, key=lambda name: min(peers[name].wall_s))
    pairs = zip(timed[OURS].wall_s, peers[fastest].wall_s, strict=True)
    return fastest, statistics.median(ours / theirs for ours, theirs in pairs)


def rows_of(
    module: Any, race: Race, timed: dict[str, Timed], environment: dict[str, object]
) -> list[dict[str, object]]:
    """Lines for `results/`: one a contender, in the format that `onetrip bench --save` writes."""
    ratio = paired_ratio(timed)
    return [
        {
            "operator": module.OPERATOR,
            "estimator": module.ESTIMATOR,
            "workload": race.name,
            "axes": dict(race.axes),
            "dtype": race.dtype,
            "passes": "estimator",
            "contender": name,
            "outcome": "done",
            "latency_ms": {
                "median": 1e3 * statistics.median(one.wall_s),
                "best": 1e3 * min(one.wall_s),
                "samples": len(one.wall_s),
            },
            "cpu_ms": 1e3 * one.cpu_s[one.best],
            "paired_ratio": None
            if ratio is None or name != OURS
            else {"peer": ratio[0], "median": ratio[1]},
            "floor_ms": None,
            "peak_bytes": one.peak_bytes,
            "worst_share": None,
            "environment": environment,
            "command": command_line(sys.argv[1:]),
        }
        for name, one in timed.items()
    ]


def command_line(arguments: list[str]) -> str:
    """What was typed; where the peers lie is this machine's business."""
    named = ["PEERS" if before == "--peers" else word for before, word in _pairs(arguments)]
    return " ".join(["estimator_bars.py", *named])


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(["", *words], words, strict=False))


def print_race(race: Race, timed: dict[str, Timed], absent: dict[str, str]) -> None:
    """A small table of one race."""
    sizes = " ".join(f"{name}={size}" for name, size in race.axes.items())
    print(f"\n{race.name} ({sizes}): {race.why}")
    for name, one in timed.items():
        best_ms, cpu_ms = 1e3 * min(one.wall_s), 1e3 * one.cpu_s[one.best]
        memory_mib = one.peak_bytes / 2**20
        print(f"  {name:16} {best_ms:10.1f} ms  cpu {cpu_ms:10.1f} ms  peak {memory_mib:8.1f} MiB")
    for name, reason in absent.items():
        print(f"  {name:16} left out: {reason}")
    ratio = paired_ratio(timed)
    if ratio is not None:
        verdict = "within" if ratio[1] <= BAR else "ABOVE"
        print(f"  {ratio[1]:.2f} × {ratio[0]} ({verdict} the bar of {BAR} ×)", flush=True)


def main() -> int:
    """Run the races that were asked for; 1 where one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("estimator", nargs="+", choices=estimator_files())
    parser.add_argument("--race", action="append", help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", action="append", default=[], help="more packages, as a folder")
    parser.add_argument("--save", action="store_true", help="append lines to results/")
    options = parser.parse_args()
    # Read by the OpenMP libraries of the spawned processes when they load.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    failed = False
    for estimator in options.estimator:
        module = load_workloads(estimator)
        for race in module.RACES:
            if options.race and race.name not in options.race:
                continue
            try:
                timed, absent = run_race(
                    estimator,
                    race,
                    rounds=options.rounds,
                    threads=options.threads,
                    peers=options.peers,
                )
            except (AssertionError, RuntimeError) as error:
                print(f"\n{race.name}: no time, the answer is wrong or missing: {error}")
                failed = True
                continue
            print_race(race, timed, absent)
            if options.save:
                save(module, rows_of(module, race, timed, describe(options.threads)))
    return int(failed)


def describe(threads: int) -> dict[str, object]:
    """The environment block of a line, with the threads that the contenders had."""
    from onetrip.bench.environment import environment

    return {**environment("cpu"), "threads": threads, "load": round(os.getloadavg()[0], 2)}


def save(module: Any, rows: list[dict[str, object]]) -> None:
    """Append lines where the documentation reads them."""
    from onetrip.bench.results import append_results, results_path

    folder = Path(__file__).resolve().parent.parent / "results"
    for row in rows:
        numbers = json.loads(json.dumps(row["latency_ms"]))
        if not all(math.isfinite(number) for number in numbers.values()):
            raise RuntimeError(f"{row['contender']} has no finite time")
    append_results(results_path(module.OPERATOR, DEVICE, folder), rows)


if __name__ == "__main__":
    sys.exit(main())
