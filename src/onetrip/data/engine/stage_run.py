"""Run one stage: what is done stays, what is missing runs, what is lost is tried again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from onetrip.core.errors import DataError
from onetrip.data.engine.account import Account
from onetrip.data.engine.executors.executor import Executor, Finished, Lost, Progressed
from onetrip.data.engine.executors.slurm import Share
from onetrip.data.engine.outcome import (
    Outcome,
    commit,
    is_whole,
    load_checkpoint,
    load_outcome,
    sidecar_path,
)
from onetrip.data.engine.output import reject_batch
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.progress import Progress
from onetrip.data.engine.task import Task
from onetrip.data.reject import SCHEMA, Reject
from onetrip.data.sources.source import Source
from onetrip.data.step import DatasetStep, LearnStep
from onetrip.data.store.aside import full_disk, remove_abandoned
from onetrip.data.store.dataset import Dataset
from onetrip.data.store.manifest import Manifest
from onetrip.data.store.shards import ShardWriter

# A task is tried so often again, each time with half the rows in a batch.
RETRIES = 2
_LEAST_BATCH_ROWS = 256


def known_outcomes(
    dataset: Dataset, stage: Stage, tasks: Sequence[Task], *, files: bool = True
) -> dict[str, Outcome]:
    """Outcomes of tasks that are done, by key; with `files`, only where these are there."""
    folder, artifacts, found = dataset.stage_folder(stage), dataset.places(stage).artifacts, {}
    for key in {task.key for task in tasks}:
        outcome = load_outcome(sidecar_path(folder, key))
        if outcome and outcome.key == key:
            there = all((artifacts / name).exists() for name in outcome.artifacts)
            if not files or (there and is_whole(folder, dataset.quarantine, outcome)):
                found[key] = outcome
    return found


@dataclass(slots=True)
class StageRun:
    """One stage of one run.

    `after_each` is told every outcome that is new; it may raise to end the run. `gathered` answers
    with the outcomes of a scatter whose buckets are gone because all of them are gathered.
    """

    stage: Stage
    tasks: Sequence[Task]
    dataset: Dataset
    executor: Executor
    manifest: Manifest | None
    progress: Progress
    share: Share
    after_each: Callable[[Outcome], None]
    gathered: Callable[["StageRun"], Sequence[Outcome] | None]
    _lost: Counter[tuple[str, str]] = field(default_factory=Counter)

    def known(self, *, files: bool = True) -> dict[str, Outcome]:
        """Outcomes of tasks that are done, by key."""
        return known_outcomes(self.dataset, self.stage, self.tasks, files=files)

    def run(self, position: int, stages: int) -> list[Outcome]:
        """Run what is missing; outcomes of all tasks in their order."""
        unique = {task.key: task for task in self.tasks}
        places = self.dataset.places(self.stage)
        for folder in (places.stage, places.quarantine):
            folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(folder)
        done = self.known()
        kept = sum(unique[key].bytes for key in done)
        total = sum(task.bytes for task in unique.values())
        if self.manifest:
            self.manifest.begin_stage(self.stage.folder_name, unique.values())
            self.manifest.finish_tasks(self.stage.folder_name, done.values())
        self.progress.begin_stage(
            self.stage.name, position, stages, len(unique), len(done), total, kept
        )
        largest_first = sorted(unique.values(), key=lambda task: -task.bytes)
        mine = self.share.of(largest_first)
        self._run_missing([task for task in mine if task.key not in done], done)
        self.share.wait(self._known_or_gathered, len(unique), done, self.progress)
        if self.manifest:
            self.manifest.finish_tasks(self.stage.folder_name, done.values())
            self.manifest.end_stage(self.stage.folder_name)
        self.progress.end_stage()
        return [done[task.key] for task in self.tasks]

    def _known_or_gathered(self) -> dict[str, Outcome]:
        """What is done; a rank that comes late may find buckets gathered and gone."""
        gathered = self.gathered(self)
        return self.known() if gathered is None else {one.key: one for one in gathered}

    def _run_missing(self, tasks: Sequence[Task], done: dict[str, Outcome]) -> None:
        if not tasks:
            return
        places = self.dataset.places(self.stage)
        self.executor.begin(self.stage, places)
        for task in tasks:
            checkpoint = load_checkpoint(places.stage, places.quarantine, task.key)
            self.executor.submit(replace(task, checkpoint=checkpoint))
        for event in self.executor.events():
            if isinstance(event, Progressed):
                self.progress.moved(event.task.key, event.moved)
            elif isinstance(event, Finished):
                self._finish(event.task, event.outcome, done)
            else:
                self._again(event, done)

    def _finish(self, task: Task, outcome: Outcome, done: dict[str, Outcome]) -> None:
        commit(self.dataset.stage_folder(self.stage), outcome)
        done[task.key] = outcome
        if self.manifest:
            self.manifest.finish_tasks(self.stage.folder_name, [outcome])
        first = next(iter(outcome.accounts.values()), Account())
        rejected = sum(account.rejected for account in outcome.accounts.values())
        self.progress.finished(task.key, task.bytes, first.rows_in, rejected)
        self.after_each(outcome)

    def _again(self, lost: Lost, done: dict[str, Outcome]) -> None:
        task = lost.task
        self.progress.lost(task.key)
        if lost.code == "S01":
            raise full_disk(self.dataset.folder)
        unit_id = lost.unit_id or (task.units[0].unit_id if len(task.units) == 1 else "")
        self._lost[task.key, unit_id] += 1
        times = self._lost[task.key, unit_id]
        what = f"{task.label}{f', at {unit_id}' if unit_id != task.label and unit_id else ''}"
        self.progress.note(f"{lost.code} {self.stage.name}: {what}: {lost.message}")
        places = self.dataset.places(self.stage)
        again = replace(
            task,
            batch_rows=max(_LEAST_BATCH_ROWS, task.batch_rows // 2),
            checkpoint=load_checkpoint(places.stage, places.quarantine, task.key),
        )
        if times <= RETRIES:
            self.executor.submit(again)
        elif isinstance(self.stage.head, Source) and unit_id:
            reason = f"{lost.code} given up after {times} times: {lost.message}"
            given_up = {**task.given_up, unit_id: reason}
            self.executor.submit(replace(again, given_up=given_up, checkpoint=None))
        elif self._can_fail():
            self._finish(task, self._failed(task, lost), done)
        else:
            raise DataError(
                f"{lost.code}: stage {self.stage.name} cannot run {task.label}, tried {times} "
                f"times: {lost.message}. Finished tasks are kept."
            )

    def _can_fail(self) -> bool:
        """Whether a task of this stage may be given up with its rows, and the run goes on."""
        head = self.stage.head
        has_step = head is not None or bool(self.stage.chain)
        return has_step and not isinstance(head, Source | DatasetStep | LearnStep)

    def _failed(self, task: Task, lost: Lost) -> Outcome:
        """A task that is given up: all its rows are rejected, under one entry of the quarantine."""
        label = self.stage.head_label or self.stage.chain_labels[0]
        reason = f"All {task.rows} rows of {task.label} given up: {lost.message}"
        writer = ShardWriter(self.dataset.quarantine, f"{self.stage.name}-{task.key[:24]}", SCHEMA)
        writer.write(reject_batch([Reject("", 0, lost.code, "", reason, task.label)]))
        writer.end_shard()
        return Outcome(
            task.key,
            quarantine=writer.closed_shards,
            accounts={label: Account(rows_in=task.rows, rejected=task.rows)},
            remarks=1,
            failed=f"{lost.code} {lost.message}",
        )
