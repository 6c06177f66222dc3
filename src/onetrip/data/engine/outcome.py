"""What a task left behind: its sidecar says it, and a task is done when its sidecar is there."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from onetrip.data.engine.account import Account
from onetrip.data.engine.exchange import Bucket
from onetrip.data.store.aside import write_json
from onetrip.data.store.shards import Shard

_SIDECAR = 1


@dataclass(frozen=True, slots=True)
class UnitOutcome:
    """How one unit ended: read whole, salvaged in part, or set aside with a code."""

    unit_id: str
    state: Literal["ok", "partial", "bad"]
    rows: int = 0
    bytes: int = 0
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class Outcome:
    """Everything that is known of a finished task.

    `shards` are its rows in order (of a scatter, its file of buckets), `quarantine` its rejects,
    `accounts` the balance of each step, `buckets` what its file has of each bucket,
    `artifacts` the digests of what was learnt. `failed` says why a task gave no rows at all.
    """

    key: str
    shards: list[Shard] = field(default_factory=list)
    quarantine: list[Shard] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    units: list[UnitOutcome] = field(default_factory=list)
    artifacts: dict[str, str] = field(default_factory=dict)
    buckets: dict[int, Bucket] = field(default_factory=dict)
    remarks: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    failed: str = ""

    @property
    def rows(self) -> int:
        """Rows that came out."""
        return sum(shard.rows for shard in self.shards)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the rows in memory, as Arrow holds them."""
        return sum(shard.memory_bytes for shard in self.shards)

    @property
    def digest(self) -> str:
        """Stands for the content: what later tasks build their keys from."""
        content = [[shard.sha256 for shard in self.shards], sorted(self.artifacts.items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The outcome as its sidecar holds it."""
        return {
            "sidecar": _SIDECAR,
            "key": self.key,
            "rows": self.rows,
            "shards": [shard.as_dict() for shard in self.shards],
            "quarantine": [shard.as_dict() for shard in self.quarantine],
            "accounts": {step: account.as_dict() for step, account in self.accounts.items()},
            "units": [asdict(unit) for unit in self.units],
            "artifacts": self.artifacts,
            "buckets": {str(number): asdict(bucket) for number, bucket in self.buckets.items()},
            "remarks": self.remarks,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "failed": self.failed,
        }

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> "Outcome":
        """The outcome as it was before `as_dict`."""
        return cls(
            key=written["key"],
            shards=[Shard(**shard) for shard in written["shards"]],
            quarantine=[Shard(**shard) for shard in written["quarantine"]],
            accounts={
                step: Account.from_dict(account) for step, account in written["accounts"].items()
            },
            units=[UnitOutcome(**unit) for unit in written["units"]],
            artifacts=dict(written["artifacts"]),
            buckets={
                int(number): Bucket(**bucket) for number, bucket in written["buckets"].items()
            },
            remarks=written["remarks"],
            seconds=written["seconds"],
            cpu_seconds=written["cpu_seconds"],
            failed=written["failed"],
        )


@dataclass(slots=True)
class Checkpoint:
    """How far a task inside a huge unit has come: go on behind these lines and rows."""

    outcome: Outcome
    lines: int
    rows: int


def sidecar_path(folder: Path, key: str) -> Path:
    """Where the sidecar of a task is."""
    return folder / f"task-{key[:24]}.json"


def checkpoint_path(folder: Path, key: str) -> Path:
    """Where the checkpoint of a task is."""
    return folder / f"resume-{key[:24]}.json"


def commit(folder: Path, outcome: Outcome) -> None:
    """Make a task done: from here on its shards belong to the stage."""
    write_json(sidecar_path(folder, outcome.key), outcome.as_dict())
    checkpoint_path(folder, outcome.key).unlink(missing_ok=True)


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Keep how far a task has come."""
    write_json(
        checkpoint_path(folder, checkpoint.outcome.key),
        {
            "outcome": checkpoint.outcome.as_dict(),
            "lines": checkpoint.lines,
            "rows": checkpoint.rows,
        },
    )


def load_checkpoint(folder: Path, quarantine: Path, key: str) -> Checkpoint | None:
    """How far a task had come, where its files are still there."""
    written = _read(checkpoint_path(folder, key))
    if written is None:
        return None
    outcome = Outcome.from_dict(written["outcome"])
    if outcome.key != key or not is_whole(folder, quarantine, outcome):
        return None
    return Checkpoint(outcome, written["lines"], written["rows"])


def load_outcome(path: Path) -> Outcome | None:
    """What a sidecar says; None where it is none of this version."""
    written = _read(path)
    if written is None or written.get("sidecar") != _SIDECAR:
        return None
    return Outcome.from_dict(written)


def is_whole(folder: Path, quarantine: Path, outcome: Outcome) -> bool:
    """Whether every file that an outcome names is there in its size."""
    return all(
        _has_size(place / shard.name, shard.bytes)
        for place, shards in ((folder, outcome.shards), (quarantine, outcome.quarantine))
        for shard in shards
    )


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
