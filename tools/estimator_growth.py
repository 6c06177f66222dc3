"""Time and memory of estimators over the number of samples, as a picture, with the exponent.

    python tools/estimator_growth.py                     # all that have a growth problem
    python tools/estimator_growth.py nearest_neighbors --largest 100000

Every size runs in a process of its own (`estimator_contender.py`), the contender "onetrip" alone,
on one thread. Its time is that of the processor, which other work on the machine hardly changes;
so is the exponent, the slope of log time over log samples from the second size on, where constant
costs count less. Sizes end where the next would take longer than `--limit-s`. Writes
docs/estimators/<estimator>-growth.svg and the estimator's row in docs/estimators/growth.md. A
picture carries its points: `--redraw` draws it again from them and measures nothing.
"""

import argparse
import html
import json
import math
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from estimator_bars import Runner, estimator_files, load_workloads
from estimator_workloads.protocol import OURS

DOCS = Path(__file__).resolve().parent.parent / "docs" / "estimators"
LEAST_MEBIBYTES = 0.1
SIZES = (1_000, 10_000, 100_000, 1_000_000)


class Point(NamedTuple):
    """One size: seconds of the processor and bytes over the data, of one call."""

    n_samples: int
    cpu_s: float
    peak_bytes: int


def measure(estimator: str, n_samples: int, rounds: int) -> Point:
    """Least seconds and most bytes of some calls after a first one."""
    runner = Runner(estimator, f"growth-{n_samples}", OURS, 1, [])
    try:
        kind, value = runner.receive()
        if kind != "done":
            raise RuntimeError(value)
        for _ in range(rounds):
            runner.solve()
    finally:
        runner.stop()
    return Point(n_samples, min(runner.timed.cpu_s), runner.timed.peak_bytes)


def measured_sizes(estimator: str, sizes: list[int], rounds: int, limit_s: float) -> list[Point]:
    """Points up to where the next would take longer than `limit_s`."""
    points: list[Point] = []
    for size in sizes:
        if len(points) >= 2:
            before, last = points[-2:]
            step = math.log(last.cpu_s / before.cpu_s) / math.log(last.n_samples / before.n_samples)
            if last.cpu_s * (size / last.n_samples) ** max(step, 0.0) > limit_s:
                break
        points.append(measure(estimator, size, rounds))
    return points


def exponent(sizes: list[int], values: list[float], floor: float = 0.0) -> float:
    """Slope of a line through the logarithms, least squares, from the second of three sizes on.

    Values that are not above a `floor` say nothing of growth, where two others do.

    >>> round(exponent([10, 100, 1000], [1.0, 2.0, 20.0]), 3)
    1.0
    >>> round(exponent([10, 100, 1000, 10_000], [1.0, 1.0, 2.0, 20.0], floor=1.0), 3)
    1.0
    """
    pairs = list(zip(sizes, values, strict=True))[1 if len(sizes) > 2 else 0 :]
    above = [pair for pair in pairs if pair[1] > floor]
    points = above if len(above) > 1 else pairs
    x = [math.log(size) for size, _ in points]
    y = [math.log(max(value, 1e-12)) for _, value in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    rise = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return rise / sum((a - mean_x) ** 2 for a in x)


def power(sizes: list[int], values: list[float], floor: float = 0.0) -> str:
    """The exponent to two digits.

    >>> power([10, 100, 1000], [1.0, 2.0, 1.999])
    '0.00'
    """
    # Plus zero, as what is flat has no sign.
    return f"{round(exponent(sizes, values, floor), 2) + 0.0:.2f}"


def draw(title: str, points: list[Point], path: Path) -> None:
    """Two panels on logarithmic axes, the fitted exponent of each in its heading."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "onetrip"
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter

    sizes = [point.n_samples for point in points]
    seconds, mebibytes = seconds_of(points), mebibytes_of(points)
    floors = (0.0, LEAST_MEBIBYTES)
    figure, panels = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    labels = ("seconds of one core", "MiB over the data")
    for panel, values, floor, label in zip(
        panels, (seconds, mebibytes), floors, labels, strict=True
    ):
        panel.loglog(sizes, values, "o-")
        panel.set_xlabel("n_samples")
        panel.set_xticks(sizes, labels=[short(size) for size in sizes])
        panel.set_xticks([], minor=True)
        panel.set_ylabel(label)
        # One decade at least, so that what is flat looks flat and an axis has two numbers.
        low, high = math.log10(min(values)), math.log10(max(values))
        decades = range(math.floor(low), max(math.ceil(high), math.floor(low) + 1) + 1)
        panel.set_yticks([10.0**decade for decade in decades])
        panel.yaxis.set_major_formatter(lambda value, _: short(value))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.set_ylim(10.0 ** (decades[0] - 0.1), 10.0 ** (decades[-1] + 0.1))
        panel.set_title(f"{title}: samples$^{{{power(sizes, values, floor)}}}$", fontsize=10)
        panel.grid(True, which="major", alpha=0.3)
    figure.savefig(path, metadata={"Date": None, "Description": json.dumps(points)})
    pyplot.close(figure)


def points_in(path: Path) -> list[Point]:
    """The points that a picture was drawn from."""
    found = re.search(r"<dc:description>(.*?)</dc:description>", path.read_text(), re.DOTALL)
    if found is None:
        raise SystemExit(f"{path.name} carries no points; measure it again.")
    return [Point(*values) for values in json.loads(html.unescape(found[1]))]


def short(number: float) -> str:
    """A number as an axis has room for it.

    >>> short(0.001), short(500), short(10_000), short(1_000_000)
    ('0.001', '500', '10k', '1M')
    """
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:g}{letter}"
    return f"{number:g}"


def seconds_of(points: list[Point]) -> list[float]:
    """Seconds of each point, none of them zero."""
    return [max(point.cpu_s, 1e-4) for point in points]


def mebibytes_of(points: list[Point]) -> list[float]:
    """MiB of each point, at least those: smaller peaks are pages that were there before."""
    return [max(point.peak_bytes / 2**20, LEAST_MEBIBYTES) for point in points]


def row_of(title: str, points: list[Point]) -> str:
    """The row of the page's table."""
    by_size = {
        point.n_samples: f"{seconds:.2g} s, {mebibytes:.1f} MiB"
        for point, seconds, mebibytes in zip(
            points, seconds_of(points), mebibytes_of(points), strict=True
        )
    }
    sizes = [point.n_samples for point in points]
    powers = [
        power(sizes, seconds_of(points)),
        power(sizes, mebibytes_of(points), LEAST_MEBIBYTES),
    ]
    cells = [by_size.get(size, "") for size in SIZES]
    return "| " + " | ".join([title, *cells, *powers]) + " |"


def with_row(page: str, row: str) -> str:
    r"""The page with this row in place of the estimator's old one, or at the table's end.

    >>> with_row("| a | 1 |\n| b | 2 |\n", "| a | 3 |")
    '| a | 3 |\n| b | 2 |\n'
    """
    lines = page.splitlines()
    name = row.split("|")[1]
    rows = [place for place, line in enumerate(lines) if line.startswith("|")]
    own = [place for place in rows if lines[place].split("|")[1] == name]
    if own:
        lines[own[0]] = row
    else:
        lines.insert(rows[-1] + 1, row)
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, draw, write the rows of the page's table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("estimator", nargs="*", choices=[*estimator_files(), []])
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--limit-s", type=float, default=120.0)
    parser.add_argument("--redraw", action="store_true", help="the pictures only, as measured")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    for estimator in options.estimator or estimator_files():
        module = load_workloads(estimator)
        picture = DOCS / f"{estimator}-growth.svg"
        if options.redraw:
            draw(module.ESTIMATOR, points_in(picture), picture)
            continue
        sizes = [size for size in getattr(module, "GROWTH_SIZES", SIZES) if size <= options.largest]
        points = measured_sizes(estimator, sizes, options.rounds, options.limit_s)
        draw(module.ESTIMATOR, points, picture)
        row = row_of(module.ESTIMATOR, points)
        page = DOCS / "growth.md"
        page.write_text(with_row(page.read_text(), row))
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
