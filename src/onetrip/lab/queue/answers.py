"""Write an attempt's verdict into the store: checks, times, comparisons, metrics, flags, log."""

import math
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from onetrip.lab.store.blobs import LARGEST_BLOB, put_blob
from onetrip.lab.store.study import canonical
from onetrip.lab.verdict import Verdict

# Of a log that is too long, its end says how it ended.
_LONGEST_LOG = LARGEST_BLOB // 4
_LONGEST_REASON = 4000


def write_answer(
    connection: sqlite3.Connection,
    attempt_id: int,
    n: int,
    verdict: Verdict,
    now: float,
    study_id: int | None,
) -> sqlite3.Row | None:
    """Close the attempt with its verdict; None, and nothing written, when it was closed before.

    What no table can hold (a time that is not a number) is left out and named in the evidence.
    """
    answer = Answer(verdict)
    log_sha256 = None
    if verdict.log:
        data = verdict.log.encode(errors="replace")[-_LONGEST_LOG:]
        log_sha256 = put_blob(connection, data, "text/plain")
    closed = connection.execute(
        "UPDATE attempt SET ended_at = ?, outcome = ?, reason = ?, scope = ?, evidence = ?,"
        " quarantined = ?, log_sha256 = ?, study_id = coalesce(?, study_id), stage = 'ended'"
        " WHERE id = ? AND n = ? AND outcome IS NULL RETURNING *",
        (
            now,
            verdict.outcome.value,
            answer.reason,
            answer.text("scope"),
            canonical(answer.evidence),
            answer.text("quarantined"),
            log_sha256,
            study_id,
            attempt_id,
            n,
        ),
    ).fetchone()
    if closed is not None:
        for table, rows in answer.rows().items():
            _insert(connection, table, attempt_id, rows)
        for flag in answer.listed("flags"):
            connection.execute(
                "INSERT INTO flag (attempt_id, rule, source, evidence, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (attempt_id, flag["rule"], flag["source"], flag["evidence"], now),
            )
    return closed


class Answer:
    """A verdict as plain values that the store can hold, whatever a candidate put into it."""

    def __init__(self, verdict: Verdict) -> None:
        self._values: Mapping = _storable(verdict.as_dict())
        self.evidence: dict[str, object] = dict(self._values["evidence"])
        self._kept: dict[str, list[Mapping]] = {
            "checks": list(self._values["checks"]),
            "timings": self._whole("timings", ("median_ms", "low_ms", "high_ms")),
            "comparisons": self._whole("comparisons", ("speedup", "low", "high")),
            "metrics": self._whole("metrics", ("value",)),
            "flags": list(self._values["flags"]),
        }

    @property
    def reason(self) -> str:
        """The reason, not longer than a page."""
        return self.text("reason")[:_LONGEST_REASON]

    def text(self, name: str) -> str:
        """One of the verdict's texts."""
        return str(self._values[name])

    def listed(self, name: str) -> list[Mapping]:
        """One of the verdict's lists."""
        return self._kept[name]

    def rows(self) -> dict[str, list[dict]]:
        """Rows of each table that hangs on the attempt."""
        timings = [
            dict(timing)
            | {name: canonical(timing[name]) for name in ("config", "samples_ms", "blocks")}
            for timing in self._kept["timings"]
        ]
        checks = [dict(check) | {"passed": int(check["passed"])} for check in self._kept["checks"]]
        return {
            "check_result": checks,
            "measurement": timings,
            "comparison": [dict(pair) for pair in self._kept["comparisons"]],
            "metric": [dict(metric) for metric in self._kept["metrics"]],
        }

    def _whole(self, name: str, numbers: tuple[str, ...]) -> list[Mapping]:
        """Entries whose numbers are numbers; the others go into the evidence."""
        entries: Iterable[Mapping] = self._values[name]
        kept, left_out = [], []
        for entry in entries:
            (left_out if any(entry[key] is None for key in numbers) else kept).append(entry)
        if left_out:
            self.evidence[f"{name} without a number"] = left_out
        return kept


def _storable(value: Any) -> Any:
    """The same with None for what is not a finite number, and text that encodes."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {str(_storable(key)): _storable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_storable(entry) for entry in value]
    return value


def _insert(
    connection: sqlite3.Connection,
    table: str,
    attempt_id: int,
    rows: Iterable[Mapping[str, object]],
) -> None:
    for row in rows:
        columns = ", ".join(("attempt_id", *row))
        marks = ", ".join("?" * (len(row) + 1))
        # A judge that names one thing twice means the last.
        connection.execute(
            f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})",
            (attempt_id, *row.values()),
        )
