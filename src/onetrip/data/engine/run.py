"""Run a recipe: stage after stage, each as far as it is not there already."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

import onetrip
from onetrip.core.errors import DataError, complaint
from onetrip.data.engine.account import Account, merged
from onetrip.data.engine.bundle import BUNDLE_BYTES
from onetrip.data.engine.executors import executor_named
from onetrip.data.engine.executors.executor import Executor
from onetrip.data.engine.executors.slurm import Share
from onetrip.data.engine.limits import LIMITS_EXCEEDED, Damage, Limits, rejected_rows
from onetrip.data.engine.memory import admit
from onetrip.data.engine.outcome import Outcome
from onetrip.data.engine.plan import Stage, plan
from onetrip.data.engine.progress import Progress, Silent
from onetrip.data.engine.stage_cleaning import (
    remove_scratch,
    remove_spent,
    remove_superseded,
    remove_unnamed_rejects,
)
from onetrip.data.engine.stage_run import StageRun
from onetrip.data.engine.task import SHARD_ROWS
from onetrip.data.engine.tasks import Sizes, Upstream, tasks_of
from onetrip.data.recipe import Recipe, load_recipe
from onetrip.data.sources.source import Source, Unit
from onetrip.data.step import LearnStep
from onetrip.data.store.aside import full_disk_explained
from onetrip.data.store.dataset import Dataset, write_finished
from onetrip.data.store.listing import Listing
from onetrip.data.store.manifest import Manifest
from onetrip.data.store.quarantine import write_bad_units

# Of all that the quarantine has.
_REMARKS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    `exit_code` is 0 where nothing was set aside, 3 where something was, 4 where it was more than
    the limits bear; then `message` says which. `accounts` hold the balance of each step; `ran`
    names the stages in which a task ran, `rows` counts what came out.
    """

    exit_code: int
    message: str
    rows: int
    accounts: Mapping[str, Account]
    damage: Damage
    ran: tuple[str, ...]
    dataset: Path


class _TooMuch(Exception):
    """More bad input than the limits bear."""


def run(
    recipe: str | Path | Mapping[str, Any],
    input: str | Path,
    output: str | Path,
    *,
    workers: int | None = None,
    memory: str = "2GB",
    executor: str = "local",
    max_bad_rows: str = "1%",
    max_bad_units: str = "5%",
    strict: bool = False,
    progress: Progress | None = None,
    rank: int = 0,
    world: int = 1,
    shard_rows: int = SHARD_ROWS,
    bundle_bytes: int = BUNDLE_BYTES,
) -> Result:
    r"""Run a recipe over a folder of files into a dataset of Parquet shards; go on where it ended.

    What is done stays done: the same call after a crash, a full disk or Ctrl-C goes on, and a
    changed step recomputes only itself and what follows.

    Parameters
    ----------
    recipe : path of a YAML file, name of a shipped recipe, or what the YAML would hold.
    input : folder of units, or one file.
    output : folder of the dataset; made where it is missing.
    workers : processes. Default: as many as there are cores and `memory` bears.
    memory : bound on all processes together, "2GB".
    executor : "local", "ray", or "inline": in this process, where a debugger sees it.
    max_bad_rows, max_bad_units : a share, "1%", or a number.
    strict : the first bad row or unit ends the run.
    progress : told how far the run is. Default: silent.
    rank, world : this process is one of `world` that share `output`, as in an array of Slurm.
    shard_rows : a crash inside a huge unit costs so many rows at most.
    bundle_bytes : small units are read together, up to so many bytes on disk.

    Returns
    -------
    Result
        Rows, the account of every step, and the exit code.

    Raises
    ------
    ArgumentError
        A step, a parameter, a limit or the number of workers is not possible.
    DataError
        No input; steps that do not fit together; a full disk; another run at work.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("word,n\nyes,1\nno,2\n")
    >>> from onetrip.data.engine.run import run
    >>> result = run({"source": "csv", "steps": [{"filter": {"where": ["n == 1"]}}]},
    ...              folder / "a.csv", folder / "out", executor="inline")
    >>> result.rows, result.exit_code, dict(result.accounts["filter"].dropped)
    (1, 0, {'n == 1': 1})
    """
    admission = admit(workers, memory)
    limits = Limits.of(max_bad_rows, max_bad_units, strict=strict)
    share = Share(rank, world)
    dataset = Dataset(Path(output))
    hands = executor_named(executor, admission.workers)
    try:
        if not dataset.folder.exists():
            hands.expect_work()
        loaded, units, stages = prepared(recipe, input, output)
        with dataset.locked(rank), full_disk_explained(dataset.folder):
            work = _Run(dataset, stages, units, limits, hands, progress or Silent(), share)
            with work.recorded(loaded, str(input)):
                work.compare_units(loaded.source)
                sizes = Sizes(admission.task_bytes, shard_rows, bundle_bytes)
                try:
                    return work.run(loaded, sizes)
                finally:
                    # What workers that are stopped now hold there may be large.
                    hands.close()
                    if world == 1:
                        remove_scratch(dataset.folder)
    finally:
        hands.close()
        if progress:
            progress.close()


def prepared(
    recipe: str | Path | Mapping[str, Any], input: str | Path, output: str | Path
) -> tuple[Recipe, Sequence[Unit], tuple[Stage, ...]]:
    """The recipe, the units that it reads, and its stages; nothing runs.

    What earlier runs wrote to the output is no input, even where the output lies below the input.
    """
    loaded = load_recipe(recipe)
    made = [Path(output).absolute() / name for name in ("stages", "quarantine", "export")]
    found = loaded.source.find(Path(input))
    units = [unit for unit in found if not any(map(unit.path.is_relative_to, made))]
    if not units:
        expected = "files that the output did not make"
        raise DataError(complaint("input", expected=expected, got=repr(str(input))))
    resolved = Recipe(
        loaded.source.resolve(units), loaded.steps, loaded.cached, loaded.source_cached
    )
    return resolved, units, plan(resolved)


class _Run:
    """One run, from the first stage to the last."""

    def __init__(
        self,
        dataset: Dataset,
        stages: Sequence[Stage],
        units: Sequence[Unit],
        limits: Limits,
        executor: Executor,
        progress: Progress,
        share: Share,
    ) -> None:
        self._dataset, self._stages, self._units = dataset, stages, units
        self._limits, self._executor, self._progress = limits, executor, progress
        self._share = share
        self._manifest: Manifest | None = None
        self._outcomes: dict[str, list[Outcome]] = {}
        self._artifacts: dict[str, tuple[Path, str]] = {}
        self._ran: list[str] = []
        self._fresh: list[Outcome] = []
        self._so_far = self._damage
        self._listing = Listing(dataset.folder, units)

    @contextmanager
    def recorded(self, recipe: Recipe, input: str) -> Iterator[None]:
        """Keep in the manifest that a run began, and how it ended."""
        if not self._share.leads:
            yield
            return
        manifest = self._manifest = Manifest(self._dataset.manifest)
        manifest.begin(
            recipe.as_dict(),
            input,
            [(stage.folder_name, stage.name, account_labels(stage)) for stage in self._stages],
        )
        try:
            yield
        except KeyboardInterrupt:
            manifest.end("interrupted", None)
            raise
        except BaseException as error:
            manifest.end("failed", None, str(error))
            raise
        finally:
            manifest.close()

    def compare_units(self, source: Source) -> None:
        """Say what is odd about the units beside each other, and beside those of the run before."""
        if not self._share.leads:
            return
        self._listing.compare(source)
        for remark in self._listing.remarks[:_REMARKS_TOLD]:
            self._progress.note(f"{remark.unit_id}: {remark.message}")

    def run(self, recipe: Recipe, sizes: Sizes) -> Result:
        """All stages; raises what ends the run, save limits that are exceeded."""
        if self._share.world == 1:
            remove_scratch(self._dataset.folder)
        try:
            last = self._all_stages(sizes)
        except _TooMuch as error:
            return self._result(LIMITS_EXCEEDED, str(error), 0)
        self._check_continuity()
        rows = sum(outcome.rows for outcome in last[1])
        if self._share.leads:
            every = [outcome for of in self._outcomes.values() for outcome in of]
            write_finished(
                self._dataset,
                recipe.as_dict(),
                self._stages,
                last,
                self._accounts,
                self._artifacts,
                self._listing.files
                + [shard.name for outcome in every for shard in outcome.quarantine],
                versions(),
            )
            self._listing.keep({u.unit_id for one in every for u in one.units if u.state == "ok"})
            if self._ran:
                remove_unnamed_rejects(self._dataset.folder)
        return self._result(self._damage.exit_code, "", rows)

    def _all_stages(self, sizes: Sizes) -> tuple[Path, Sequence[Outcome]]:
        upstream = Upstream(units=self._units)
        for position, stage in enumerate(self._stages):
            stage_run = self._stage_run(position, upstream, sizes)
            outcomes = stage_run.gathered(stage_run)
            if outcomes is None:
                self._so_far = self._damage
                # What ends here counts, even where too much of it is bad for the stage to end.
                self._fresh = self._outcomes[stage.folder_name] = []
                outcomes = stage_run.run(position + 1, len(self._stages))
                if self._fresh:
                    self._ran.append(stage.name)
                self._outcomes[stage.folder_name] = list(outcomes)
                self._check_limits(self._damage, rows_are_all=True)
                if self._share.leads:
                    remove_superseded(self._dataset.stage_folder(stage), outcomes)
            else:
                self._outcomes[stage.folder_name] = list(outcomes)
            if isinstance(stage.head, LearnStep):
                folder = self._dataset.places(stage).artifacts
                for name, digest in outcomes[0].artifacts.items():
                    self._artifacts[name] = (folder / name, digest)
                upstream = Upstream((), upstream.folder, upstream.outcomes, self._artifacts)
                continue
            if position and self._stages[position - 1].tail and self._share.leads:
                spent = self._stages[position - 1]
                remove_spent(self._dataset.stage_folder(spent), self._outcomes[spent.folder_name])
            upstream = Upstream(
                (), self._dataset.stage_folder(stage), outcomes, dict(self._artifacts)
            )
        return upstream.folder, upstream.outcomes

    def _stage_run(self, position: int, upstream: Upstream, sizes: Sizes) -> StageRun:
        stage = self._stages[position]
        return StageRun(
            stage,
            tasks_of(stage, upstream, sizes),
            self._dataset,
            self._executor,
            self._manifest,
            self._progress,
            self._share,
            self._after_each,
            lambda scatter: self._gathered(position, scatter, sizes),
        )

    def _gathered(self, position: int, scatter: StageRun, sizes: Sizes) -> list[Outcome] | None:
        """Outcomes of a scatter whose buckets are gone because all of them are gathered."""
        if scatter.stage.tail is None:
            return None
        known = scatter.known(files=False)
        if any(task.key not in known for task in scatter.tasks):
            return None
        outcomes = [known[task.key] for task in scatter.tasks]
        folder = self._dataset.stage_folder(scatter.stage)
        upstream = Upstream((), folder, outcomes, dict(self._artifacts))
        gather = self._stage_run(position + 1, upstream, sizes)
        keys = {task.key for task in gather.tasks}
        if len(gather.known()) < len(keys) and gather.gathered(gather) is None:
            return None
        if self._manifest:
            name = scatter.stage.folder_name
            self._manifest.begin_stage(name, scatter.tasks)
            self._manifest.finish_tasks(name, outcomes)
            self._manifest.end_stage(name)
        return outcomes

    def _after_each(self, outcome: Outcome) -> None:
        self._fresh.append(outcome)
        self._so_far = self._so_far.plus(outcome)
        self._check_limits(self._so_far, rows_are_all=False)

    def _check_limits(self, damage: Damage, *, rows_are_all: bool) -> None:
        reason = damage.exceeded(self._limits, rows_are_all=rows_are_all)
        if reason:
            raise _TooMuch(reason)

    @property
    def _accounts(self) -> dict[str, Account]:
        return merged(
            outcome.accounts for outcomes in self._outcomes.values() for outcome in outcomes
        )

    @property
    def _damage(self) -> Damage:
        outcomes = [outcome for of in self._outcomes.values() for outcome in of]
        accounts = merged(outcome.accounts for outcome in outcomes)
        states = [unit.state for outcome in outcomes for unit in outcome.units]
        first = next(iter(accounts.values()), Account())
        return Damage(
            first.rows_in,
            rejected_rows(accounts),
            len(self._units),
            states.count("bad"),
            states.count("partial"),
        )

    def _check_continuity(self) -> None:
        """What leaves a step enters the next, or the run counts wrongly somewhere."""
        before: tuple[str, Account] | None = None
        for step, account in self._accounts.items():
            account.close(step)
            if before and before[1].rows_out != account.rows_in:
                raise DataError(
                    f"Step `{before[0]}` gave {before[1].rows_out} rows and `{step}` took "
                    f"{account.rows_in}: rows got lost between them."
                )
            before = step, account

    def _result(self, exit_code: int, message: str, rows: int) -> Result:
        if self._share.leads:
            every = [unit for of in self._outcomes.values() for one in of for unit in one.units]
            write_bad_units(self._dataset.quarantine, every)
        if self._manifest:
            self._manifest.end("failed" if message else "done", exit_code, message)
        return Result(
            exit_code,
            message,
            rows,
            self._accounts,
            self._damage,
            tuple(self._ran),
            self._dataset.folder,
        )


def versions() -> dict[str, str]:
    """What made the rows: versions of onetrip, Arrow and Python."""
    return {
        "onetrip": onetrip.__version__,
        "pyarrow": pa.__version__,
        "python": platform.python_version(),
    }


def account_labels(stage: Stage) -> list[str]:
    """Names of a stage's steps in its accounts."""
    return [*([stage.head_label] if stage.head_label else []), *stage.chain_labels]
