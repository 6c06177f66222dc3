"""Batch steps one after the other: counted step by step, and a row that breaks one set aside."""

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from onetrip.core.errors import DataError
from onetrip.data.engine.account import Account
from onetrip.data.reject import RAW_BYTES, Reject, placed
from onetrip.data.step import Applied, RowStep, Step

# More rows than this that make one step raise are no accident: the task fails instead.
BROKEN_ROWS = 64


class StepFailed(DataError):
    """A step raises on too many rows, or breaks its own declaration (S03)."""


@dataclass(slots=True)
class Chain:
    """Runs fused steps over batches, and keeps an account of each.

    A batch that makes a step raise is halved until the rows that do stand alone: these are
    rejected with S03, all others go on.
    """

    steps: Sequence[RowStep]
    schemas: Sequence[pa.Schema]
    labels: Sequence[str]
    on_rejects: Callable[[Sequence[Reject]], None]
    accounts: dict[str, Account] = field(default_factory=dict)
    lines_above: int = 0
    _broken_rows: int = 0

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What is left of a batch behind the last step."""
        for step, schema, label in zip(self.steps, self.schemas, self.labels, strict=True):
            applied = self._guarded(step, batch, schema)
            account = self.accounts.setdefault(label, Account())
            account.add(batch.num_rows, applied)
            account.close(label)
            if applied.rejects:
                self.on_rejects(placed(applied.rejects, self.lines_above))
            batch = applied.batch
        return batch

    def _guarded(self, step: RowStep, batch: pa.RecordBatch, schema: pa.Schema) -> Applied:
        try:
            applied = step.apply(batch)
        except Exception as error:
            if batch.num_rows > 1:
                middle = batch.num_rows // 2
                first = self._guarded(step, batch.slice(0, middle), schema)
                return _joined(first, self._guarded(step, batch.slice(middle), schema), schema)
            self._broken_rows += 1
            if self._broken_rows > BROKEN_ROWS or not batch.num_rows:
                raise StepFailed(failure(step, error)) from error
            return Applied(empty_batch(schema), [_rejected(step, batch, error)])
        check_schema(step, applied, schema)
        return applied


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """A batch without rows."""
    columns = [pa.array([], type=field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def check_schema(step: Step, applied: Applied, schema: pa.Schema) -> None:
    """Raise StepFailed unless a step gives the columns that it declares."""
    if not applied.batch.schema.equals(schema):
        given = {(field.name, str(field.type)) for field in applied.batch.schema}
        declared = {(field.name, str(field.type)) for field in schema}
        raise StepFailed(
            f"Step `{step.name}` declares other columns than it gives: declared only "
            f"{sorted(declared - given)}, given only {sorted(given - declared)}, "
            f"in the order {applied.batch.schema.names}."
        )


def failure(step: Step, error: BaseException) -> str:
    """One line that says which step raised what, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"Step `{step.name}` raised {type(error).__name__}: {error}{place}"


def place_of(batch: pa.RecordBatch) -> tuple[str, int]:
    """Unit and number of the first row, where the columns of provenance are still there."""
    names = batch.schema.names
    unit_id = batch.column("unit_id")[0].as_py() if "unit_id" in names else ""
    row = batch.column("row_in_unit")[0].as_py() if "row_in_unit" in names else 0
    return str(unit_id or ""), int(row or 0)


def _rejected(step: Step, batch: pa.RecordBatch, error: Exception) -> Reject:
    unit_id, row = place_of(batch)
    raw = json.dumps(batch.to_pylist()[0], default=str, ensure_ascii=False)[:RAW_BYTES]
    return Reject(unit_id, row, "S03", "", failure(step, error), raw)


def _joined(first: Applied, second: Applied, schema: pa.Schema) -> Applied:
    table = pa.Table.from_batches([first.batch, second.batch], schema).combine_chunks()
    batches = table.to_batches() or [empty_batch(schema)]
    dropped, counts = dict(first.dropped), dict(first.counts)
    for total, more in ((dropped, second.dropped), (counts, second.counts)):
        for name, count in more.items():
            total[name] = total.get(name, 0) + count
    return Applied(batches[0], [*first.rejects, *second.rejects], dropped, counts)
