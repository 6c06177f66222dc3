"""Tables of operators beside their peers on a device, from lines of `tools/device_bars.py`."""

from collections.abc import Mapping

from generators import results
from generators.markdown import table
from onetrip.bench.results import last_runs, read_results, results_path
from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text, time_text

_OURS = "onetrip"
_HEAD = ("problem", "sizes", "time", "× floor", "memory", "peers: time, over ours, memory")


def races_table(device: str, *asked: str) -> str:
    """One line a race: ours, and every peer that ran beside it.

    Parameters
    ----------
    *asked : operators, for all of their races, or single ones: "kneighbors/square".
    """
    lines, made = [], set()
    for one in asked:
        operator, _, wanted = one.partition("/")
        races = [race for race in _races(operator, device) if wanted in ("", race[0])]
        if not races:
            raise DataError(f"There is no race {one} of {device} in results/{operator}.")
        lines += [_line(operator, name, rows, many=len(asked) > 1) for name, rows in races]
        made |= {_made_on(row) for _, rows in races for row in rows.values()}
    return f"{table(_HEAD, lines)}\n\nMeasured on {'; '.join(sorted(made))}, interleaved."


def _races(operator: str, device: str) -> list[tuple[str, dict[str, Mapping]]]:
    path = results_path(operator, device, results.FOLDER)
    races: dict[str, dict[str, Mapping]] = {}
    for row in last_runs(row for row in read_results(path) if "speedup_of_ours" in row):
        races.setdefault(row["workload"], {})[row["contender"]] = row
    if not races:
        raise DataError(
            f"No line of {path.relative_to(results.FOLDER.parent)} is of a race. "
            f"Measure with: python tools/device_bars.py {operator} --save"
        )
    return list(races.items())


def _line(operator: str, name: str, rows: Mapping[str, Mapping], *, many: bool) -> list[str]:
    ours = rows[_OURS]
    peers = [row for row in rows.values() if row is not ours]
    sizes = " ".join(f"{axis}={size:,}" for axis, size in ours["axes"].items())
    return [
        f"{operator} {name}" if many else name,
        sizes,
        f"**{time_text(ours['latency_ms']['median'])}**",
        f"{ours['latency_ms']['median'] / ours['floor_ms']:.1f}",
        bytes_text(ours["peak_bytes"]),
        "; ".join(_peer(row) for row in peers) or "–",
    ]


def _peer(row: Mapping) -> str:
    wrong = ", wrong" if row["outcome"] == "incorrect" else ""
    ratio = row["speedup_of_ours"]["median"]
    return (
        f"{row['contender']} {time_text(row['latency_ms']['median'])} ({ratio:.2f} ×, "
        f"{bytes_text(row['peak_bytes'])}{wrong})"
    )


def _made_on(row: Mapping) -> str:
    env = row["environment"]
    return f"{env['device']}, torch {env['torch']}, Triton {env['triton']}, {env['time'][:10]}"
