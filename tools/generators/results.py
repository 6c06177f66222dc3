"""Tables of measurements, from the lines that `onetrip bench --save` appended."""

from collections.abc import Mapping
from pathlib import Path

from onetrip.bench.results import last_runs, markdown_table, read_results, results_path
from onetrip.core.errors import DataError

FOLDER = Path(__file__).resolve().parent.parent.parent / "results"


def results_table(operator: str, device: str, *conditions: str) -> str:
    """Every contender of the last run of each problem, and where and when it was made.

    Parameters
    ----------
    operator, device : which file of `results/`.
    *conditions : ``workload=gemma2-2b`` keeps rows of that value; what is fixed so gets no column.
    """
    path = results_path(operator, device, FOLDER)
    wanted = dict(condition.split("=", 1) for condition in conditions)
    rows = [
        row
        for row in last_runs(read_results(path))
        if all(str(row.get(name)) == value for name, value in wanted.items())
    ]
    if not rows:
        raise DataError(
            f"No line of {path.relative_to(FOLDER.parent)} fits {wanted or 'anything'}. "
            f"Measure with: onetrip bench {operator} --save"
        )
    free = [name for name in ("workload", "passes") if name not in wanted]
    columns = [*free, "contender", "time", "floor", "memory", "error"]
    note = "`× floor`: time over the roofline floor."
    return f"{markdown_table(rows, columns)}\n\n{made_on(rows)} {note}"


def made_on(rows: list[Mapping]) -> str:
    """Devices, versions and days of the rows, each once."""
    made = {
        f"{env['device']}, torch {env['torch']}, Triton {env['triton']}, {str(env['time'])[:10]}"
        for env in (row["environment"] for row in rows)
    }
    return f"Measured on {'; '.join(sorted(made))}."
