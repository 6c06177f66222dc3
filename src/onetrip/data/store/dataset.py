"""The folder of a dataset: where everything lies, and what the last run left there."""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onetrip.core.errors import DataError, complaint
from onetrip.data.engine.account import Account
from onetrip.data.engine.outcome import Outcome
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.task import Places
from onetrip.data.store.aside import full_disk_explained, is_gone, this_process, write_json
from onetrip.data.store.writable import folder_to_write

_SAYS = "dataset.json"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset's folder, to write to."""

    folder: Path

    def stage_folder(self, stage: Stage) -> Path:
        """Where a stage's shards and sidecars are."""
        return self.folder / "stages" / stage.folder_name

    @property
    def quarantine(self) -> Path:
        """Where rejects are."""
        return self.folder / "quarantine"

    @property
    def manifest(self) -> Path:
        """The SQLite file that status reads."""
        return self.folder / "manifest.sqlite"

    def places(self, stage: Stage) -> Places:
        """Where the tasks of a stage write."""
        return Places(
            self.stage_folder(stage),
            self.quarantine,
            self.folder / "artifacts" / stage.key[:12],
            self.folder / "scratch",
        )

    @contextmanager
    def locked(self, rank: int) -> Iterator[None]:
        """Keep a second run of the same rank out."""
        folder_to_write("output", self.folder)
        lock = self.folder / f".lock-{rank}"
        with full_disk_explained(self.folder), lock.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DataError(
                    f"Another run writes to {self.folder}. Wait for its end, or choose another "
                    "output; `onetrip data status` tells how far it is."
                ) from error
            file.truncate(0)
            file.write(this_process())
            file.flush()
            yield

    @property
    def abandoned(self) -> bool:
        """Whether the process of this machine that ran here last is gone.

        False where it ran elsewhere: nobody can tell from here.
        """
        try:
            return is_gone((self.folder / ".lock-0").read_text("utf-8"))
        except FileNotFoundError:
            return False


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run that came to its end left in a dataset's folder.

    `shards` are the rows of the last stage in their order, `accounts` the balance of every step
    in the order of the recipe, `artifacts` what was learnt, by file name, `quarantine` the files
    of rejects.
    """

    folder: Path
    recipe: Mapping[str, Any]
    shards: tuple[Path, ...]
    rows: int
    accounts: Mapping[str, Account]
    artifacts: Mapping[str, Path]
    quarantine: tuple[Path, ...]
    stages: tuple[str, ...]
    versions: Mapping[str, str]


def write_finished(
    dataset: Dataset,
    recipe: Mapping[str, Any],
    stages: Sequence[Stage],
    last: tuple[Path, Sequence[Outcome]],
    accounts: Mapping[str, Account],
    artifacts: Mapping[str, tuple[Path, str]],
    quarantine: Sequence[str],
    versions: Mapping[str, str],
) -> None:
    """Say what the run left; paths are relative, so that the folder can be moved."""
    folder, outcomes = last
    shards = [shard for outcome in outcomes for shard in outcome.shards]
    write_json(
        dataset.folder / _SAYS,
        {
            "recipe": dict(recipe),
            "stages": [stage.folder_name for stage in stages],
            "shards": [(folder / s.name).relative_to(dataset.folder).as_posix() for s in shards],
            "rows": sum(shard.rows for shard in shards),
            "accounts": {step: account.as_dict() for step, account in accounts.items()},
            "artifacts": {
                name: path.relative_to(dataset.folder).as_posix()
                for name, (path, _) in artifacts.items()
            },
            "quarantine": list(quarantine),
            "versions": dict(versions),
        },
    )


def open_finished(folder: str | Path) -> Finished:
    """What the last run that came to its end left in `folder`; raises DataError without one.

    Examples
    --------
    >>> open_finished("/nowhere")
    Traceback (most recent call last):
    ...
    onetrip.core.errors.DataError: `dataset` must be a folder that `onetrip data run` ...
    """
    folder = Path(folder)
    try:
        said = json.loads((folder / _SAYS).read_text("utf-8"))
    except FileNotFoundError as error:
        expected = "a folder that `onetrip data run` wrote to its end"
        raise DataError(complaint("dataset", expected=expected, got=repr(str(folder)))) from error
    return Finished(
        folder,
        said["recipe"],
        tuple(folder / name for name in said["shards"]),
        said["rows"],
        {step: Account.from_dict(account) for step, account in said["accounts"].items()},
        {name: folder / path for name, path in said["artifacts"].items()},
        tuple(folder / "quarantine" / name for name in said["quarantine"]),
        tuple(said["stages"]),
        said["versions"],
    )
