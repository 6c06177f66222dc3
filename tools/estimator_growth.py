"""Time and memory of estimators over the number of samples, as a picture, with the exponent.

    python tools/estimator_growth.py                     # all that have a growth problem
    python tools/estimator_growth.py nearest_neighbors --largest 100000

Every size runs in a process of its own (`estimator_contender.py`), the contender "onetrip" alone.
The exponent is the slope of log time over log samples from the middle size on, where constant costs
no longer count. Writes docs/estimators/<estimator>-growth.svg and prints a row for the page.
"""

import argparse
import math
import os
import sys
from pathlib import Path

from estimator_bars import Runner, estimator_files, load_workloads
from estimator_workloads.protocol import OURS

DOCS = Path(__file__).resolve().parent.parent / "docs" / "estimators"
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def measure(estimator: str, n_samples: int, rounds: int, threads: int) -> tuple[float, int]:
    """Best seconds and most bytes of a call."""
    runner = Runner(estimator, f"growth-{n_samples}", OURS, threads, [])
    try:
        kind, value = runner.receive()
        if kind != "done":
            raise RuntimeError(value)
        for _ in range(rounds):
            runner.solve()
    finally:
        runner.stop()
    return min(runner.timed.wall_s), runner.timed.peak_bytes


def exponent(sizes: list[int], values: list[float]) -> float:
    """Slope of a line through the logarithms, least squares, over the larger half of the sizes.

    >>> round(exponent([10, 100, 1000], [1.0, 2.0, 20.0]), 3)
    1.0
    """
    from_here = max(0, min(len(sizes) // 2, len(sizes) - 2))
    x = [math.log(size) for size in sizes[from_here:]]
    y = [math.log(max(value, 1e-12)) for value in values[from_here:]]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    rise = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return rise / sum((a - mean_x) ** 2 for a in x)


def draw(title: str, sizes: list[int], seconds: list[float], mib: list[float], path: Path) -> None:
    """Two panels on logarithmic axes, the fitted exponent of each in its heading."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "onetrip"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for panel, values, label in zip(panels, (seconds, mib), ("seconds", "MiB"), strict=True):
        panel.loglog(sizes, values, "o-")
        panel.set_xlabel("n_samples")
        panel.set_ylabel(label)
        panel.set_title(f"{title}: samples$^{{{exponent(sizes, values):.2f}}}$", fontsize=10)
        panel.grid(True, which="major", alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> int:
    """Measure, draw, print the rows of the page's table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("estimator", nargs="*", choices=[*estimator_files(), []])
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    sizes = [size for size in SIZES if size <= options.largest]
    for estimator in options.estimator or estimator_files():
        module = load_workloads(estimator)
        if not hasattr(module, "growth"):
            continue
        measured = [measure(estimator, size, options.rounds, options.threads) for size in sizes]
        seconds = [wall_s for wall_s, _ in measured]
        mib = [max(peak_bytes / 2**20, 0.1) for _, peak_bytes in measured]
        draw(module.ESTIMATOR, sizes, seconds, mib, DOCS / f"{estimator}-growth.svg")
        cells = [f"{1e3 * s:.0f} ms, {m:.0f} MiB" for s, m in zip(seconds, mib, strict=True)]
        powers = f"{exponent(sizes, seconds):.2f}, {exponent(sizes, mib):.2f}"
        print("| " + " | ".join([module.ESTIMATOR, *cells, powers]) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
