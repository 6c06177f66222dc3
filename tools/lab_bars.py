"""Measure what the guide says of the lab, and append it to `results/lab/MACHINE.jsonl`.

    python tools/lab_bars.py load kills
    python tools/lab_bars.py hacks honest security --jobs 2

Each bar is a line with its figures, the command, the load of the machine and its environment; the
table of docs/guide/lab.md is made of the newest line of each bar (`make docs`). Suites are run as
tests and read from their JUnit files, so that what the guide counts is what CI runs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from fill_lab import fill
from hack_report import HACKS, HONEST, counted, suite, tried_in
from onetrip.bench.environment import environment
from onetrip.bench.results import append_results, results_path
from onetrip.lab.web.session_token import Keys, Scope, kept_secret

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "tests" / "lab"
# Of `load`: a thousand experiments, what is asked for, and how often.
EXPERIMENTS = 1000
FIRST_PAGES = ("/", "/queue", "/log", "/experiments", "/hypotheses", "/graph", "/results?problem=1")
FILTERS = ("state:done", "proposer:TPE ratio:>1.1", "register", "problem:row_softmax step")
_TIMES = 15

Figures = Mapping[str, object]


def hacks(jobs: int) -> Figures:
    """Every hack of the catalogue before the judge."""
    with suite(HACKS / "test_hacks.py", jobs=jobs) as (junit, seconds):
        return counted(list(tried_in(junit))) | {"wall_s": round(seconds)}


def honest(jobs: int) -> Figures:
    """Every honest candidate before the judge."""
    with suite(HONEST, jobs=jobs) as (junit, seconds):
        tried = list(tried_in(junit))
    alarms = [entry.stem for entry in tried if not entry.passed and not entry.skipped]
    return {"tried": len(tried), "alarms": alarms, "wall_s": round(seconds)}


def kills(jobs: int) -> Figures:
    """Workers killed at random while they answer."""
    with suite(LAB / "queue" / "test_kill.py", jobs=1) as (junit, _):
        told = {
            entry.get("name", ""): entry.get("value", "")
            for entry in ElementTree.parse(junit).getroot().iter("property")
        }
        _all_passed(junit)
    seconds = round(float(told.pop("seconds")), 1)
    return {name: int(value) for name, value in told.items()} | {"wall_s": seconds}


def security(jobs: int) -> Figures:
    """Attacks on the page, and each guard taken away to see its attack succeed."""
    names = ("test_security", "test_injection", "test_guards")
    with suite(*(LAB / "web" / f"{name}.py" for name in names), jobs=jobs) as (junit, _):
        _all_passed(junit)
        counts = Counter(
            case.get("classname", "").rpartition(".")[2]
            for case in ElementTree.parse(junit).getroot().iter("testcase")
        )
    return {name.removeprefix("test_"): counts[name] for name in names}


def load(jobs: int) -> Figures:
    """First pages and filters of a thousand experiments, asked for over HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "lab.sqlite")
        fill(database, EXPERIMENTS)
        command = ["-m", "onetrip.cli.main", "lab", "serve", "--port", "0", "--db", str(database)]
        server = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1].partition("/?")[0]
            token = Keys(kept_secret(database)).token(Scope.READ)
            headers = {"authorization": f"Bearer {token}", "accept": "text/html"}
            with httpx.Client(base_url=address, headers=headers, trust_env=False) as client:
                page = _Page(client, server.pid)
                return {
                    "experiments": EXPERIMENTS,
                    "times": _TIMES,
                    "first_page_ms": {path: page.asked_ms(path) for path in FIRST_PAGES},
                    "filter_ms": {
                        query: page.asked_ms("/experiments", {"q": query}) for query in FILTERS
                    },
                }
        finally:
            server.terminate()
            server.communicate(timeout=20)


def trial(jobs: int) -> Figures:
    """One trial of an example's submission beside the problem's definition, oracle included."""
    from onetrip.lab.judge.isolated import judge_isolated
    from onetrip.lab.judge.trial_job import TrialJob
    from onetrip.lab.judge.warm import WARM
    from onetrip.lab.problems.problem import Contender, ProblemRef

    folder = ROOT / "examples" / "problems" / "row_softmax"
    source = (folder / "submission.py").read_text(encoding="utf-8")
    job = TrialJob(
        ProblemRef("folder", str(folder)),
        Contender("source", source=source),
        rivals={"eager": Contender("definition")},
        seed=time.time_ns(),
    )
    before, began = os.times(), time.monotonic()
    verdict = judge_isolated(job)
    # Times of what was forked are counted when the templates are gone.
    WARM.end()
    after = os.times()
    return {
        "outcome": verdict.outcome.value,
        "scope": verdict.scope,
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(
            after.children_user + after.children_system
            - before.children_user - before.children_system, 1,
        ),
    }  # fmt: skip


BARS: Mapping[str, Callable[[int], Figures]] = {
    "hacks": hacks,
    "honest": honest,
    "kills": kills,
    "load": load,
    "security": security,
    "trial": trial,
}


def _all_passed(junit: Path) -> None:
    root = ElementTree.parse(junit).getroot()
    cases = root.iter("testcase")
    failed = [case.get("name", "") for case in cases if case.find("failure") is not None]
    if failed:
        raise SystemExit(f"Not saved, for these tests failed: {', '.join(failed)}")


@dataclass(frozen=True, slots=True)
class _Page:
    """A page that is served by a process."""

    client: httpx.Client
    server_pid: int

    def asked_ms(self, path: str, asked: Mapping[str, str] | None = None) -> Figures:
        """Best and median of several answers by the clock of who asks; least CPU of the server.

        The machine's other work is in the first two, and hardly in the last.
        """
        wall_ms, cpu_ms = zip(*self._answers_ms(path, asked), strict=True)
        return {
            "best": round(min(wall_ms), 1),
            "median": round(statistics.median(wall_ms), 1),
            "cpu": round(min(cpu_ms), 1),
        }

    def _answers_ms(
        self, path: str, asked: Mapping[str, str] | None
    ) -> Iterator[tuple[float, float]]:
        for _ in range(_TIMES):
            before_ns, began = self._cpu_ns(), time.perf_counter()
            self.client.get(path, params=asked).raise_for_status()
            wall_s = time.perf_counter() - began
            yield wall_s * 1e3, (self._cpu_ns() - before_ns) * 1e-6

    def _cpu_ns(self) -> int:
        threads = Path(f"/proc/{self.server_pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads)


def main(words: Sequence[str] | None = None) -> None:
    """Read the command line, measure, append."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bars", nargs="+", choices=BARS)
    parser.add_argument("--jobs", type=int, default=1, help="processes of a suite of tests")
    parser.add_argument("--machine", default="cpu-2-cores", help="name of the file of results")
    asked = parser.parse_args(words)
    for bar in asked.bars:
        figures = BARS[bar](asked.jobs)
        row = {
            "bar": bar,
            **figures,
            "command": f"python tools/lab_bars.py {bar}",
            "load": [round(load, 1) for load in os.getloadavg()],
            "environment": environment("cpu"),
        }
        append_results(results_path("lab", asked.machine, ROOT / "results"), [row])
        print(bar, figures)


if __name__ == "__main__":
    main()
