"""Time operators against their peers on a device, in one run: checked first, then interleaved.

    python tools/device_bars.py kmeans kneighbors --save
    python tools/device_bars.py tsne --race 20k-128 --samples 10

Races are in `tools/device_races/<operator>.py`. Every answer is held to float64 truth before
anything is timed; the clock is that of `onetrip bench`. A contender whose library is missing is
left out by name.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from device_races.protocol import Race, stages_of
from onetrip.bench.environment import environment
from onetrip.bench.results import append_results, results_path
from onetrip.bench.roofline import measure_ceilings
from onetrip.bench.timing import TimingReport, interleaved, release_memory
from onetrip.core.device import Device
from onetrip.core.estimate import estimate
from onetrip.core.units import bytes_text, time_text

OURS = "onetrip"
DEVICE = "cuda"


def race_files() -> list[str]:
    """Names of the operators that have races, sorted."""
    folder = Path(__file__).resolve().parent / "device_races"
    other = ("protocol", "flashlib_imports")
    return sorted(path.stem for path in folder.glob("*.py") if path.stem not in other)


def answered(
    race: Race, inputs: Mapping[str, Any], device: str
) -> tuple[dict[str, dict], dict[str, str]]:
    """Errors of each contender that answers; the reasons of those that do not."""
    errors, absent = {}, {}
    for name, solve in race.contenders.items():
        try:
            errors[name] = dict(race.errors(inputs, solve(inputs)))
        except ImportError as error:
            absent[name] = f"no module {error.name}"
        except (RuntimeError, ValueError, TypeError) as error:
            absent[name] = f"{type(error).__name__}: {error}"[:200]
        release_memory(torch.device(device))
    return errors, absent


def run_race(
    race: Race, *, samples: int, seconds: float, device: str = DEVICE
) -> tuple[TimingReport, dict, dict]:
    """Times, errors and absences of one race.

    Raises
    ------
    RuntimeError
        Our answer is wrong or missing: no time is taken.
    """
    inputs = race.make()
    errors, absent = answered(race, inputs, device)
    if OURS not in errors:
        raise RuntimeError(absent[OURS])
    excess = race.excess(errors[OURS])
    if excess:
        raise RuntimeError(f"our answer is wrong: {excess}")
    calls: dict[str, Callable[[], object]] = {
        name: partial(race.contenders[name], inputs) for name in errors
    }
    report = interleaved(calls, device=device, samples=samples, warmup=1, seconds_each=seconds)
    absent |= {name: failure.reason for name, failure in report.failures.items()}
    return report, errors, absent


def _floor_of(operator: str, race: Race, ceilings: Device) -> tuple[float, str | None, str | None]:
    """The least time of a race; of an operator, what would run and what bounds it."""
    if race.runs:
        stages = stages_of(
            race.runs, operator, race.axes, race.options, device=ceilings, dtype=race.dtype
        )
        return sum(stage.floor_ms or 0.0 for stage in stages), None, None
    answer = estimate(
        operator,
        device=ceilings,
        dtype=race.dtype,
        backward=False,
        options=dict(race.options),
        **race.axes,
    )
    return answer.floor_ms, answer.choice.impl, answer.bound


def rows_of(
    operator: str, race: Race, report: TimingReport, errors: Mapping[str, dict], ceilings: Device
) -> list[dict[str, Any]]:
    """Lines for `results/`, one a contender, in the format that `onetrip bench --save` writes."""
    floor_ms, impl, bound = _floor_of(operator, race, ceilings)
    # Once, so that the lines of a run know each other by its time.
    described = environment(DEVICE)
    rows = []
    for name, timing in report.timings.items():
        ratio = report.speedup(OURS, name)
        rows.append(
            {
                "operator": operator,
                "workload": race.name,
                "axes": dict(race.axes),
                "dtype": race.dtype,
                "options": dict(race.options),
                "passes": "forward",
                "contender": name,
                "impl": impl if name == OURS else None,
                **({"runs": race.runs} if race.runs else {}),
                "outcome": "incorrect" if race.excess(errors[name]) else "done",
                "errors": errors[name],
                "latency_ms": {
                    "median": timing.median_ms,
                    "low": timing.low_ms,
                    "high": timing.high_ms,
                    "samples": len(timing.samples_ms),
                },
                "speedup_of_ours": {"median": ratio.median, "low": ratio.low, "high": ratio.high},
                "floor_ms": floor_ms,
                "bound": bound,
                "peak_bytes": timing.peak_bytes,
                "worst_share": None,
                "ceilings": ceilings.as_dict(),
                "environment": described,
                "command": " ".join(["device_bars.py", *sys.argv[1:]]),
            }
        )
    return rows


def print_race(operator: str, race: Race, rows: list[dict], absent: Mapping[str, str]) -> None:
    """A small table of one race."""
    sizes = " ".join(f"{name}={size}" for name, size in race.axes.items())
    print(f"\n{operator} {race.name} ({sizes}), floor {time_text(rows[0]['floor_ms'])}")
    for row in rows:
        found = " ".join(f"{name} {value:.2g}" for name, value in row["errors"].items())
        print(
            f"  {row['contender']:18} {time_text(row['latency_ms']['median']):>9} "
            f"{row['latency_ms']['median'] / row['floor_ms']:7.2f} x floor "
            f"{row['speedup_of_ours']['median']:6.2f} x ours {bytes_text(row['peak_bytes']):>9} "
            f"{row['outcome']} {found}"
        )
    for name, reason in absent.items():
        print(f"  {name:18} left out: {reason}", flush=True)


def main() -> int:
    """Run the races that were asked for; 1 where one of ours failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("operator", nargs="+", choices=race_files())
    parser.add_argument("--race", action="append", help="only this one; may be repeated")
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each contender")
    parser.add_argument("--save", action="store_true", help="append lines to results/")
    parser.add_argument("--results", type=Path, help="another folder than results/")
    options = parser.parse_args()
    folder = options.results or Path(__file__).resolve().parent.parent / "results"
    ceilings = measure_ceilings(DEVICE, seconds_each=0.5)
    failed = False
    for operator in options.operator:
        for race in importlib.import_module(f"device_races.{operator}").RACES:
            if options.race and race.name not in options.race:
                continue
            try:
                report, errors, absent = run_race(
                    race, samples=options.samples, seconds=options.seconds
                )
            except RuntimeError as error:
                print(f"\n{operator} {race.name}: no time: {error}", flush=True)
                failed = True
                continue
            rows = rows_of(operator, race, report, errors, ceilings)
            print_race(operator, race, rows, absent)
            if options.save:
                append_results(results_path(operator, ceilings.name, folder), rows)
            release_memory(torch.device(DEVICE))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
