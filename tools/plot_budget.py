"""Draw time over memory for linear cross entropy from `results/`; needs matplotlib.

python tools/plot_budget.py docs/ops/linear_cross_entropy-budget.svg
"""

import importlib
import math
import sys
from pathlib import Path

from onetrip.bench.results import last_runs, read_results
from onetrip.core.errors import require

RESULTS = Path(__file__).resolve().parent.parent / "results/linear_cross_entropy/h100.jsonl"
WORKLOADS = ("gpt2-small", "gemma2-2b", "llama3-8b")
MIB = 2**20
# Names of peers whose times are nearer than this ratio run into each other.
CLOSE = 1.035


def main(out: str) -> None:
    """One panel a workload: our curve over the budget, a point for every correct peer."""
    matplotlib = require("matplotlib", extra="plot", purpose="A plot")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "onetrip"
    pyplot = importlib.import_module("matplotlib.pyplot")
    ticker = importlib.import_module("matplotlib.ticker")

    rows = [row for row in last_runs(read_results(RESULTS)) if row["passes"] == "forward+backward"]
    figure, panels = pyplot.subplots(1, 3, figsize=(12, 3.8), constrained_layout=True)
    for panel, workload in zip(panels, WORKLOADS, strict=True):
        mine, peers = [], []
        for row in rows:
            if row["workload"] != workload or row["outcome"] != "done":
                continue
            point = (row["peak_bytes"] / MIB, row["latency_ms"]["median"], row["contender"])
            (mine if row["impl"] else peers).append(point)
        mine.sort()
        panel.plot([p[0] for p in mine], [p[1] for p in mine], "o-", ms=4, label="onetrip")
        above = math.inf
        for memory_mib, latency_ms, name in sorted(peers, key=lambda peer: -peer[1]):
            panel.plot(memory_mib, latency_ms, "x", color="0.35")
            # A name that would run into the one above it goes below its mark.
            offset = (4, -12) if above < CLOSE * latency_ms else (4, 4)
            panel.annotate(name, (memory_mib, latency_ms), offset, textcoords="offset points")
            above = latency_ms
        panel.axhline(next(r["floor_ms"] for r in rows if r["workload"] == workload), ls=":")
        panel.set(xscale="log", yscale="log", title=workload)
        panel.margins(x=0.25, y=0.1)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(ticker.NullLocator())
        panel.set_xlabel("peak memory over inputs, MiB (gradients included)")
    panels[0].set_ylabel("forward + backward, ms")
    figure.suptitle("H100, bfloat16, N = 8192; dotted: floor of three products")
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1])
