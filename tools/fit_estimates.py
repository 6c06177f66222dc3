"""How near estimates are to the lines of results/, and the constants of estimators anew.

    python tools/fit_estimates.py                 # what each line says, and the estimate
    python tools/fit_estimates.py --write         # the constants that come nearest to all lines

A constant that the lines do not settle stays where it is. `tests/house/test_estimates.py` holds
every line to 30 %.
"""

import argparse
import importlib
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scipy.optimize import least_squares

import onetrip
from device_races.protocol import stages_of
from onetrip.bench.results import latest, read_results
from onetrip.core.units import time_text

ROOT = Path(__file__).resolve().parent.parent
DEVICE = "h100"
OURS = "onetrip"
# Estimators whose lines, from end to end, are older than the name of what ran in them.
WHOLE = {"hdbscan": "HDBSCAN", "multinomial_nb": "MultinomialNB"}
# What is fitted, operator by operator: first what the lines of its own implementations settle.
CONSTANTS = {
    "hdbscan": (
        (
            "onetrip.ops.hdbscan.select",
            ("_ROUNDS_MS", "_POINT_MS", "_PAIR_OPERATIONS", "_MANY_FEATURES_OPERATIONS"),
        ),
        ("onetrip.estimators.stage_times", ("CLUSTERS_FIXED_MS", "CLUSTERS_POINT_MS")),
    ),
    "kmeans": (
        (
            "onetrip.estimators.stage_times",
            ("START_TURN_MS", "START_TRIPS", "BATCH_MS", "DISTANCES_SHARE"),
        ),
    ),
    "kneighbors": (
        (
            "onetrip.estimators.stage_times",
            ("NEIGHBORS_FIXED_MS", "VOTE_TRIPS", "CLASS_TRIPS", "MEAN_TRIPS"),
        ),
    ),
    "truncated_svd": (
        ("onetrip.estimators.stage_times", ("PROJECTION_TRIPS", "PROJECTION_SHARE")),
    ),
    "multinomial_nb": (
        (
            "onetrip.estimators.stage_times",
            ("NAIVE_BAYES_FIXED_MS", "NAIVE_BAYES_TRIPS", "NAIVE_BAYES_SHARE"),
        ),
    ),
}
# By how much a constant may stray, in units of the error of one line, before it costs as much.
_LOOSENESS = 30.0


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement: of an implementation, or of what else it `runs`, as races call it."""

    operator: str
    workload: str
    impl: str | None
    runs: str
    axes: dict[str, int]
    dtype: str
    options: dict[str, object]
    latency_ms: float

    def estimate_ms(self) -> float:
        """What `onetrip estimate` says of it now."""
        if self.impl is None:
            stages = stages_of(
                self.runs, self.operator, self.axes, self.options, device=DEVICE, dtype=self.dtype
            )
            return sum(stage.latency_ms or math.nan for stage in stages)
        answer = onetrip.estimate(
            self.operator,
            device=DEVICE,
            dtype=self.dtype,
            backward=False,
            options=self.options,
            **self.axes,
        )
        found = {one.impl: one.latency_ms for one in answer.predictions}
        return found[self.impl] or math.nan


def read_lines(operator: str, folder: Path) -> list[Line]:
    """The newest line of each problem of ours, whole estimators last."""
    found = [
        Line(
            operator,
            row["workload"],
            row.get("impl"),
            runs_of(row),
            row["axes"],
            row["dtype"],
            row["options"],
            row["latency_ms"]["median"],
        )
        for row in latest(read_results(folder / operator / f"{DEVICE}.jsonl"))
        if row["contender"] == OURS and row["outcome"] == "done"
    ]
    return sorted(found, key=lambda line: line.impl is None)


def runs_of(row: Mapping[str, Any]) -> str:
    """What a line is of: "" for an operator's implementation, else an estimator or its stage."""
    return "" if row.get("impl") else row.get("runs") or WHOLE[row["operator"]]


def lines_for(place: str, lines: Sequence[Line]) -> list[Line]:
    """The lines that settle the constants of a module: an operator's are not of whole fits."""
    return [one for one in lines if (one.impl is None) == place.endswith(".stage_times")]


def fit(lines: Sequence[Line], module: ModuleType, names: Sequence[str]) -> dict[str, float]:
    """Constants of `module` with the least sum of squared relative errors; they are set there."""
    before = np.log([getattr(module, name) for name in names])

    def errors(logarithms: np.ndarray) -> list[float]:
        for name, logarithm in zip(names, logarithms, strict=True):
            setattr(module, name, math.exp(logarithm))
        lines_off = [math.log(line.estimate_ms() / line.latency_ms) for line in lines]
        return [*lines_off, *((logarithms - before) / _LOOSENESS)]

    errors(least_squares(errors, before).x)
    return {name: getattr(module, name) for name in names}


def write_constants(module: ModuleType, constants: dict[str, float]) -> None:
    """Put numbers of three digits into the module's file, each where its name is assigned."""
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8")
    for name, value in constants.items():
        text, count = re.subn(rf"(?m)^{name} = \S+$", f"{name} = {float(f'{value:.3g}')!r}", text)
        if count != 1:
            raise RuntimeError(f"{path} assigns {name} {count} times, and not once")
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Print every line beside its estimate; with --write, fit first. 1 where one is 30 % off."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("operator", nargs="*", choices=[*CONSTANTS, []], help="all by default")
    parser.add_argument("--write", action="store_true", help="fit the constants and write them")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    far = 0
    for operator in options.operator or CONSTANTS:
        lines = read_lines(operator, options.results)
        for place, names in CONSTANTS[operator] if options.write else ():
            module = importlib.import_module(place)
            constants = fit(lines_for(place, lines), module, names)
            write_constants(module, constants)
            for name, value in constants.items():
                print(f"{place}.{name} = {value:.3g}")
        for line in lines:
            estimated_ms = line.estimate_ms()
            off = estimated_ms / line.latency_ms - 1
            far += abs(off) > 0.3
            print(
                f"{operator:15} {line.workload:24} {line.impl or line.runs:14} measured "
                f"{time_text(line.latency_ms):>8}, estimated {time_text(estimated_ms):>8} "
                f"({off:+.0%})"
            )
    return int(far > 0)


if __name__ == "__main__":
    sys.exit(main())
