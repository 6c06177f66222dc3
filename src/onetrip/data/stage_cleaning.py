"""What a finished stage does not need any more."""

from collections.abc import Sequence
from pathlib import Path

from onetrip.data.outcome import Outcome, sidecar_path


def remove_superseded(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Leave in a stage's folder what its tasks name, and nothing of earlier ones or attempts."""
    keep = {shard.name for outcome in outcomes for shard in outcome.shards}
    keep |= {sidecar_path(folder, outcome.key).name for outcome in outcomes}
    for path in folder.iterdir():
        if path.name not in keep and path.name.startswith(
            ("part-", "buckets-", "task-", "resume-")
        ):
            path.unlink(missing_ok=True)


def remove_spent(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Remove buckets once all of them are gathered; their sidecars stay."""
    for outcome in outcomes:
        for shard in outcome.shards:
            (folder / shard.name).unlink(missing_ok=True)
