"""What is handed to a worker: one task with everything that it reads, and where it may write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onetrip.data.engine.outcome import Checkpoint
from onetrip.data.sources.source import Unit

BATCH_ROWS = 32_768

# A huge unit ends a shard after so many rows, and goes on there after a crash.
SHARD_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that a task of one stage writes to."""

    stage: Path
    quarantine: Path
    artifacts: Path
    scratch: Path


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of a stage: units, shards, or one bucket.

    `bytes` is its weight for the order of tasks and for progress; `rows` how many go in, where
    that is known before; `buckets` how many a scatter makes. `given_up` names units that are not
    read again, and why. `cores` are free for it: with one, it works in one thread.
    """

    key: str
    label: str
    bytes: int
    rows: int = 0
    units: tuple[Unit, ...] = ()
    shards: tuple[Path, ...] = ()
    bucket: tuple[tuple[Path, tuple[int, ...]], ...] = ()
    buckets: int = 0
    batch_rows: int = BATCH_ROWS
    shard_rows: int = SHARD_ROWS
    memory_bytes: int = 256 << 20
    cores: int = 2
    given_up: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a task has come: input bytes, rows taken in, rows rejected, the unit at hand."""

    bytes: int
    rows: int
    rejected: int
    unit_id: str = ""


Report = Callable[[Moved], None]
