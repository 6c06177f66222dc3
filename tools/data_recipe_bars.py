"""Measure whole runs of the default recipe: rate, memory, a second run, one and two processes.

    python tools/data_recipe_bars.py recipe --rows 100000 --units 4 --save
    python tools/data_recipe_bars.py scale --rows 40000 --units 8 --save

Every run is a process of its own, as a shell would start it: imports and start of workers count.
Wall and CPU seconds are those of the whole tree of processes, memory is the peak of their resident
sets added up. `recipe` runs three times into one folder: everything, nothing changed, another
filter. `scale` runs in turn over the same units one worker that is kept to one core, one that has
two, since it has threads for both, and two workers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from isal import igzip

from onetrip.bench.environment import environment
from onetrip.data.recipe import load_recipe
from onetrip.data.sources.oas.synthetic.unit import write_unit

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "data"
_SAMPLE_S = 0.2
_OTHER_PRESET = "antiref"


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bar", choices=("recipe", "scale"))
    parser.add_argument("--rows", type=int, default=100_000, help="of each unit")
    parser.add_argument("--units", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--machine", default="cpu-2-cores", help="name of the file of results")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onetrip-bars-") as name:
        folder = Path(name)
        for unit in range(arguments.units):
            path = folder / "in" / f"study{unit}" / f"unit{unit}.csv.gz"
            path.parent.mkdir(parents=True)
            write_unit(path, arguments.rows, seed=unit)
        bar = recipe if arguments.bar == "recipe" else scale
        lines = bar(folder, arguments.repeats)
        facts = {
            "rows_in": arguments.rows * arguments.units,
            "units": arguments.units,
            "inflate_gbps": inflate_gbps(path),
        }
    for line in lines:
        line |= facts
        print(json.dumps(line))
    if arguments.save:
        save(lines, arguments.machine)


def inflate_gbps(unit: Path) -> float:
    """Bytes inflated in a CPU second, beside the runs: tells a busy machine from a quiet one."""
    began, inflated = time.process_time(), 0
    with igzip.open(unit) as file:
        while data := file.read(4 << 20):
            inflated += len(data)
    return round(inflated / (time.process_time() - began) / 1e9, 2)


def recipe(folder: Path, repeats: int) -> list[dict]:
    """Everything, then nothing changed, then another filter."""
    default = load_recipe("oas").as_dict()
    changed = json.loads(json.dumps(default))
    next(step for step in changed["steps"] if "filter" in step)["filter"]["preset"] = _OTHER_PRESET
    runs: dict[str, list[dict]] = {"recipe": [], "rerun": [], "filter_changed": []}
    for turn in range(repeats):
        out = folder / f"out{turn}"
        for name, steps in (("recipe", default), ("rerun", default), ("filter_changed", changed)):
            runs[name].append(timed(folder, out, steps, workers=2))
    return [{"bar": name, "workers": 2, "runs": made} for name, made in runs.items()]


def scale(folder: Path, repeats: int) -> list[dict]:
    """Ingest alone: one worker on one core, one on two, two on two, in turn."""
    default = load_recipe("oas").as_dict()
    ingest = {"source": default["source"], "steps": default["steps"][:2]}
    runs: dict[tuple[int, int], list[dict]] = {(1, 1): [], (1, 2): [], (2, 2): []}
    for turn in range(repeats):
        for workers, cores in runs if turn % 2 else reversed(runs):
            out = folder / f"out{workers}-{cores}-{turn}"
            with kept_to(cores):
                runs[workers, cores].append(timed(folder, out, ingest, workers=workers))
    return [
        {"bar": "scale", "workers": workers, "cores": cores, "runs": made}
        for (workers, cores), made in runs.items()
    ]


@contextmanager
def kept_to(cores: int) -> Iterator[None]:
    """Keep what is started here to so many cores."""
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


def timed(folder: Path, out: Path, steps: dict, *, workers: int) -> dict:
    """Run a recipe as a process and watch it and its children."""
    written = folder / "recipe.yaml"
    # JSON is YAML.
    written.write_text(json.dumps(steps))
    command = ["data", "run", str(written), str(folder / "in"), "-o", str(out), "--json"]
    options = ["--workers", str(workers), "--memory", "1GB", "--progress", "none"]
    before, started, peak_bytes = os.times(), time.perf_counter(), 0
    process = psutil.Popen(
        [sys.executable, "-m", "onetrip.cli.main", *command, *options], stdout=subprocess.PIPE
    )
    while process.poll() is None:
        peak_bytes = max(peak_bytes, resident_bytes(process))
        time.sleep(_SAMPLE_S)
    wall_s, after = time.perf_counter() - started, os.times()
    said = json.loads(process.communicate()[0])
    children = [times.children_user + times.children_system for times in (before, after)]
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(children[1] - children[0], 2),
        "peak_bytes": peak_bytes,
        "rows_out": said["rows"],
        "ran": said["ran"],
        "stages": stage_costs(out) if said["ran"] else {},
    }


def stage_costs(out: Path) -> dict[str, dict[str, float]]:
    """CPU seconds and bytes of every stage that the last run made, from its sidecars."""
    costs = {}
    for name in json.loads((out / "dataset.json").read_text())["stages"]:
        sidecars = [json.loads(p.read_text()) for p in (out / "stages" / name).glob("task-*.json")]
        costs[name.rpartition("-")[0]] = {
            "cpu_s": round(sum(sidecar["cpu_seconds"] for sidecar in sidecars), 2),
            "disk_bytes": sum(s["bytes"] for sidecar in sidecars for s in sidecar["shards"]),
        }
    return costs


def resident_bytes(process: psutil.Popen) -> int:
    """Resident bytes of a process and everything below it, shared pages counted each time."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
    return total


def save(lines: list[dict], machine: str) -> None:
    """Append lines, each with the command and what it ran on."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    around = {
        "command": "python tools/data_recipe_bars.py " + " ".join(sys.argv[1:]),
        "load": [round(load, 1) for load in os.getloadavg()],
        "environment": environment("cpu"),
    }
    with (RESULTS / f"{machine}.jsonl").open("a", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line | around) + "\n")


if __name__ == "__main__":
    main()
