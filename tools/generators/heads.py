"""The table of language-model heads, from lines of `onetrip bench linear_cross_entropy`."""

from collections.abc import Mapping

from generators import results
from generators.markdown import table
from onetrip.bench.results import last_runs, read_results, results_path
from onetrip.core.units import bytes_text, time_text
from onetrip.testing.contract import load_operator

_OPERATOR = "linear_cross_entropy"
_PLAIN = ("eager", "compile")
_SMALL = "@256MiB"
_HEAD = (
    "head",
    "plain torch",
    "`torch.compile`",
    "best exact peer",
    "onetrip, 256 MiB",
    "onetrip, fastest",
    "floor",
)


def heads_table(device: str, *workloads: str) -> str:
    """One line a workload: forward and backward, time and memory, every peer in the same run."""
    path = results_path(_OPERATOR, device, results.FOLDER)
    rows = [row for row in last_runs(read_results(path)) if row["passes"] == "forward+backward"]
    reasons = {each.name: each.why for each in load_operator(_OPERATOR).workloads}
    lines, shown = [], []
    for workload in workloads:
        run = [row for row in rows if row["workload"] == workload and row["outcome"] == "done"]
        lines.append(
            [f"{reasons[workload].split(':')[0]}, V {run[0]['axes']['V']:,}", *_cells(run)]
        )
        shown += run
    return f"{table(_HEAD, lines)}\n\n{results.made_on(shown)}"


def _cells(run: list[Mapping]) -> list[str]:
    by_name = {row["contender"]: row for row in run}
    ours = [row for row in run if row["impl"]]
    peers = [row for row in run if not row["impl"] and row["contender"] not in _PLAIN]
    peer = min(peers, key=_time)
    small = next(row for row in ours if row["contender"].endswith(_SMALL))
    return [
        *(_cell(by_name[name]) for name in _PLAIN),
        f"{peer['contender']} {_cell(peer)}",
        f"**{_cell(small)}**",
        f"**{_cell(min(ours, key=_time))}**",
        time_text(run[0]["floor_ms"]),
    ]


def _time(row: Mapping) -> float:
    return row["latency_ms"]["median"]


def _cell(row: Mapping) -> str:
    return f"{time_text(_time(row))}, {bytes_text(row['peak_bytes'])}"
