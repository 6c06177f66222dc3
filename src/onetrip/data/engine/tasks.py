"""The tasks of a stage: what each reads, how much, and the key under which its result is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onetrip.core.errors import ArgumentError
from onetrip.core.units import short_bytes_text
from onetrip.data.engine.bundle import BUNDLE_BYTES, bundles
from onetrip.data.engine.exchange import bucket_count
from onetrip.data.engine.outcome import Outcome
from onetrip.data.engine.plan import Stage, task_key
from onetrip.data.engine.task import SHARD_ROWS, Task
from onetrip.data.sources.source import Source, Unit
from onetrip.data.step import ExchangeStep

# Rows of a compressed text file in memory, before anybody has read it.
_SWELLING = 4

# A bucket and what a step makes of it are in memory together.
_HELD = 2


@dataclass(slots=True)
class Upstream:
    """What a stage reads: units, or what the tasks of an earlier stage left in `folder`.

    `artifacts` are files by name with their digests, of all learning steps so far.
    """

    units: Sequence[Unit] = ()
    folder: Path = Path()
    outcomes: Sequence[Outcome] = ()
    artifacts: Mapping[str, tuple[Path, str]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in shards."""
        return sum(outcome.rows for outcome in self.outcomes)

    @property
    def memory_bytes(self) -> int:
        """Bytes in memory, estimated where only compressed units are known."""
        if self.units:
            return _SWELLING * sum(unit.bytes for unit in self.units)
        return sum(outcome.memory_bytes for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large tasks are: bytes in memory, rows of a shard of a huge unit, bytes of a bundle."""

    memory_bytes: int
    shard_rows: int = SHARD_ROWS
    bundle_bytes: int = BUNDLE_BYTES


def tasks_of(stage: Stage, upstream: Upstream, sizes: Sizes) -> list[Task]:
    """All tasks of a stage, in the order of their rows."""
    artifacts = {name: upstream.artifacts[name][0] for name in stage.wants}
    digests = [upstream.artifacts[name][1] for name in stage.wants]
    buckets = 0 if stage.tail is None else bucket_count(upstream.memory_bytes)
    more = [*digests, *([buckets] if buckets else [])]

    def task(inputs: Sequence[object], label: str, bytes: int, **reads: object) -> Task:
        return Task(
            task_key(stage, inputs, *more),
            label,
            bytes,
            buckets=buckets,
            memory_bytes=sizes.memory_bytes,
            shard_rows=sizes.shard_rows,
            artifacts=artifacts,
            **reads,  # pyright: ignore[reportArgumentType]
        )

    if isinstance(stage.head, Source):
        return [
            task(
                [[unit.unit_id, unit.stamp] for unit in units],
                _label(units),
                sum(unit.bytes for unit in units),
                units=units,
            )
            for units in bundles(upstream.units, sizes.bundle_bytes)
        ]
    if isinstance(stage.head, ExchangeStep):
        _check_buckets(stage, upstream, sizes)
        return [
            task([number, *digests], f"bucket {number}", bytes, rows=rows, bucket=files)
            for number, rows, bytes, digests, files in _buckets(upstream)
        ]
    shards = [
        (upstream.folder / shard.name, shard) for o in upstream.outcomes for shard in o.shards
    ]
    if stage.head is None:
        return [
            task([shard.sha256], path.name, shard.bytes, rows=shard.rows, shards=(path,))
            for path, shard in shards
        ]
    return [
        task(
            [shard.sha256 for _, shard in shards],
            "everything",
            sum(shard.bytes for _, shard in shards),
            rows=upstream.rows,
            shards=tuple(path for path, _ in shards),
        )
    ]


def _check_buckets(stage: Stage, upstream: Upstream, sizes: Sizes) -> None:
    """Refuse buckets that a task cannot hold together with what it makes of them."""
    largest = max((bytes for _, _, bytes, *_ in _buckets(upstream)), default=0)
    if _HELD * largest > sizes.memory_bytes:
        raise ArgumentError(
            f"A bucket of `{stage.name}` has {short_bytes_text(largest)} and takes {_HELD} times "
            f"that to gather; a task may hold {short_bytes_text(sizes.memory_bytes)}. Run the "
            "same command with fewer --workers or more --memory: what is done is kept."
        )


def _label(units: Sequence[Unit]) -> str:
    return units[0].unit_id if len(units) == 1 else f"{len(units)} units from {units[0].unit_id}"


def _buckets(upstream: Upstream):
    files = [(upstream.folder / o.shards[0].name, o) for o in upstream.outcomes if o.shards]
    for number in sorted({number for _, outcome in files for number in outcome.buckets}):
        here = [(path, o, o.buckets[number]) for path, o in files if number in o.buckets]
        yield (
            number,
            sum(bucket.rows for *_, bucket in here),
            sum(bucket.bytes for *_, bucket in here),
            [outcome.shards[0].sha256 for _, outcome, _ in here],
            tuple((path, tuple(bucket.batches)) for path, _, bucket in here),
        )
