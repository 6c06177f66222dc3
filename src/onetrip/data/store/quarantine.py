"""Look into the quarantine: what was set aside by the last run, why, and how to try again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from onetrip.core.errors import DataError, complaint
from onetrip.data.engine.outcome import Outcome, UnitOutcome, load_outcome
from onetrip.data.reject import Reject
from onetrip.data.store.aside import write_json
from onetrip.data.store.dataset import Dataset
from onetrip.data.store.listing import REMARKS
from onetrip.data.store.status import last_run

_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Group:
    """How often one code was met at one step."""

    step: str
    code: str
    entries: int
    units: int
    example: str


def entries(
    dataset: str | Path, *, code: str = "", unit: str = "", limit: int | None = None
) -> list[Reject]:
    """Entries of the last run's quarantine, in the order of stages and tasks.

    Parameters
    ----------
    dataset : folder that `run` wrote to.
    code, unit : only entries with this code, of this unit.
    limit : at most so many.
    """
    found = []
    for _, reject in _every(Path(dataset)):
        if (not code or reject.code == code) and (not unit or reject.unit_id == unit):
            if limit is not None and len(found) >= limit:
                break
            found.append(reject)
    return found


def groups(dataset: str | Path) -> list[Group]:
    """How often each code was met at each step, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    units: dict[tuple[str, str], set[str]] = {}
    examples: dict[tuple[str, str], str] = {}
    for step, reject in _every(Path(dataset)):
        key = step, reject.code
        counts[key] += 1
        units.setdefault(key, set()).add(reject.unit_id)
        examples.setdefault(key, reject.message)
    return [
        Group(*key, count, len(units[key]), examples[key]) for key, count in counts.most_common()
    ]


def write_bad_units(quarantine: Path, units: Sequence[UnitOutcome]) -> None:
    """Write `bad_units.json`: every unit that was set aside or read in part, and why."""
    bad = [asdict(unit) for unit in units if unit.state != "ok"]
    quarantine.mkdir(parents=True, exist_ok=True)
    write_json(quarantine / "bad_units.json", bad)


def retry(dataset: str | Path) -> int:
    """Forget every task that set a unit aside or failed, so that the next run does it again.

    Returns how many tasks that are. Do this once the files were fetched again or the step was
    mended; a file that changed is read again anyway.
    """
    last_run(dataset)
    target = Dataset(Path(dataset))
    forgotten = 0
    with target.locked(0):
        for path in sorted((target.folder / "stages").glob("*/task-*.json")):
            outcome = load_outcome(path)
            if outcome and _is_bad(outcome):
                path.unlink()
                forgotten += 1
    return forgotten


def _is_bad(outcome: Outcome) -> bool:
    return bool(outcome.failed) or any(unit.state != "ok" for unit in outcome.units)


def _every(dataset: Path) -> Iterator[tuple[str, Reject]]:
    for step, names in _files(dataset):
        for name in names:
            path = dataset / "quarantine" / name
            if not path.exists():
                expected = "whole: a file of its quarantine is gone"
                raise DataError(complaint("dataset", expected=expected, got=name))
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS_AT_ONCE, use_threads=False):
                    for row in batch.to_pylist():
                        yield step, Reject(**row)


def _files(dataset: Path) -> Sequence[tuple[str, Sequence[str]]]:
    stages = last_run(dataset).stages
    listed = [REMARKS] if (dataset / "quarantine" / REMARKS).exists() else []
    return [(stages[0].name, listed), *((stage.name, stage.quarantine) for stage in stages)]
