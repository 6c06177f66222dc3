"""Tables of an estimator beside its peers, from the lines that `tools/estimator_bars.py` saved."""

from collections.abc import Mapping

from generators import results
from onetrip.bench.results import latest, read_results, results_path
from onetrip.core.errors import DataError
from onetrip.core.units import bytes_text, time_text

_OURS = "onetrip"
_COLUMNS = ("problem", "sizes", "onetrip", "peer", "time over peer", "memory", "peer's memory")


def estimator_table(operator: str, estimator: str, device: str = "cpu-2-cores") -> str:
    """One line a problem: our best time, the fastest peer's, and the median of the paired ratio."""
    path = results_path(operator, device, results.FOLDER)
    # Estimators of one operator share a file, and may have races of one name.
    rows = latest(row for row in read_results(path) if row.get("estimator") == estimator)
    problems: dict[str, dict[str, Mapping]] = {}
    for row in rows:
        problems.setdefault(row["workload"], {})[row["contender"]] = row
    if not problems:
        raise DataError(
            f"No line of {path.relative_to(results.FOLDER.parent)} is about {estimator}. "
            f"Measure with: python tools/estimator_bars.py … --save"
        )
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---|---|---:|---:|---:|---:|---:|"]
    lines += [_line(name, contenders) for name, contenders in problems.items()]
    return "\n".join(lines) + "\n\n" + _made_on([one[_OURS] for one in problems.values()])


def _line(name: str, contenders: Mapping[str, Mapping]) -> str:
    ours = contenders[_OURS]
    sizes = " ".join(f"{axis}={size:,}" for axis, size in ours["axes"].items())
    cells = [name, f"{sizes}, {ours['dtype']}", time_text(ours["latency_ms"]["best"])]
    ratio = ours["paired_ratio"]
    if ratio is None:
        cells += ["–", "–", bytes_text(ours["peak_bytes"]), "–"]
    else:
        peer = contenders[ratio["peer"]]
        cells += [
            f"{time_text(peer['latency_ms']['best'])} {ratio['peer']}",
            f"{ratio['median']:.2f}",
            bytes_text(ours["peak_bytes"]),
            bytes_text(peer["peak_bytes"]),
        ]
    return f"| {' | '.join(cells)} |"


def _made_on(rows: list[Mapping]) -> str:
    days = sorted({str(row["environment"]["time"])[:10] for row in rows})
    loads = [row["environment"]["load"] for row in rows]
    threads = rows[0]["environment"]["threads"]
    return (
        f"{threads} threads, {', '.join(days)}; load of the machine besides: "
        f"{min(loads):.1f} to {max(loads):.1f}. Times are the best of all rounds, the ratio is the "
        "median over rounds in which all contenders took a turn; memory is the peak over the data."
    )
