"""Measure how fast OAS units become Parquet, beside peers, and what each loses without a word.

    python tools/data_bars.py ingest --rows 300000 --contenders onetrip polars pyarrow
    python tools/data_bars.py losses

Every contender does the same job in a process of its own: one unit, 18 columns as text, Parquet
with zstd. Contenders take turns; wall and CPU seconds are those of the whole process tree, imports
included, memory is the peak of its resident sets added up. Lines go to `results/data/MACHINE.jsonl`
with the command that made them, and the guide's table is made of the newest.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from data_contenders import CONTENDERS, RESUMES
from onetrip.bench.environment import environment
from onetrip.data.sources.oas.synthetic.unit import write_unit

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "data"
_CONTENDERS = Path(__file__).with_name("data_contenders.py")
_SAMPLE_S = 0.05


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bar", choices=("ingest", "losses"))
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--unit", type=Path, help="measure on this unit in place of a made one")
    parser.add_argument("--machine", default="cpu-2-cores", help="name of the file of results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onetrip-bars-") as folder:
        if arguments.bar == "ingest":
            lines = ingest(arguments, Path(folder))
        else:
            lines = [
                {"bar": "losses", "contender": name} | _said(name, folder)
                for name in arguments.contenders
            ]
    save(lines, arguments.machine)


def ingest(arguments: argparse.Namespace, folder: Path) -> list[dict]:
    """Time every contender on one unit, in turn, again and again."""
    unit = arguments.unit or folder / "unit.csv.gz"
    if arguments.unit is None:
        write_unit(unit, arguments.rows)
    runs: dict[str, list[dict]] = {name: [] for name in arguments.contenders}
    for turn in range(arguments.repeats):
        order = arguments.contenders if turn % 2 else arguments.contenders[::-1]
        for name in order:
            runs[name].append(timed(name, unit, folder / f"{name}-{turn}"))
            print(name, runs[name][-1], flush=True)
    return [
        {
            "bar": "ingest",
            "contender": name,
            "rows": arguments.rows,
            "unit_bytes": unit.stat().st_size,
            "wall_s": [run["wall_s"] for run in made],
            "cpu_s": [run["cpu_s"] for run in made],
            "peak_bytes": max(run["peak_bytes"] for run in made),
            "resumes": RESUMES.get(name, ""),
        }
        for name, made in runs.items()
    ]


def _said(name: str, *places: str) -> dict:
    """What a contender's process prints at its end."""
    command = [sys.executable, str(_CONTENDERS), name, *places]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def timed(name: str, unit: Path, output: Path) -> dict:
    """Run one contender as a process and watch it and its children."""
    command = [sys.executable, str(_CONTENDERS), name]
    before = os.times()
    started = time.perf_counter()
    process = subprocess.Popen([*command, str(unit), str(output)], stdout=subprocess.PIPE)
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak))
    watcher.start()
    said, _ = process.communicate()
    watcher.join()
    after = os.times()
    if process.returncode:
        raise SystemExit(f"{name} ended with code {process.returncode}")
    return {
        "wall_s": round(time.perf_counter() - started, 3),
        "cpu_s": round(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system,
            3,
        ),
        "peak_bytes": peak[0],
        "rows": json.loads(said.splitlines()[-1])["rows"],
    }


def _watch(pid: int, peak: list[int]) -> None:
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            total = 0
            for process in (root, *root.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], total)
            time.sleep(_SAMPLE_S)
    except psutil.NoSuchProcess:
        return


def save(lines: list[dict], machine: str) -> None:
    """Append lines, each with the command and what it ran on."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    around = {
        "command": "python tools/data_bars.py " + shlex.join(sys.argv[1:]),
        "load": [round(load, 1) for load in os.getloadavg()],
        "environment": environment("cpu"),
    }
    with (RESULTS / f"{machine}.jsonl").open("a", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line | around) + "\n")


if __name__ == "__main__":
    main()
