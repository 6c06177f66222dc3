"""What a finished stage does not need any more."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from onetrip.data.engine.outcome import Outcome, load_outcome, sidecar_path
from onetrip.data.store.listing import REMARKS


def remove_superseded(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Leave in a stage's folder what its tasks name, and nothing of earlier ones or attempts."""
    keep = {shard.name for outcome in outcomes for shard in outcome.shards}
    keep |= {sidecar_path(folder, outcome.key).name for outcome in outcomes}
    for path in folder.iterdir():
        if path.name not in keep and path.name.startswith(
            ("part-", "buckets-", "task-", "resume-")
        ):
            path.unlink(missing_ok=True)


def remove_unnamed_rejects(dataset: Path) -> None:
    """Leave in the quarantine what a sidecar names, of this recipe or of an earlier one."""
    sidecars = (dataset / "stages").glob("*/task-*.json")
    outcomes = [outcome for path in sidecars if (outcome := load_outcome(path))]
    named = {REMARKS, *(shard.name for outcome in outcomes for shard in outcome.quarantine)}
    for path in (dataset / "quarantine").glob("*.parquet"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def remove_scratch(dataset: Path) -> None:
    """Remove what killed tasks left in their scratch folders."""
    shutil.rmtree(dataset / "scratch", ignore_errors=True)


def remove_spent(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Remove buckets once all of them are gathered; their sidecars stay."""
    for outcome in outcomes:
        for shard in outcome.shards:
            (folder / shard.name).unlink(missing_ok=True)
