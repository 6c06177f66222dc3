"""What a run would do, told before it does: which stages are there, which would run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onetrip.data.engine.memory import admit
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.run import prepared
from onetrip.data.engine.stage_run import known_outcomes
from onetrip.data.engine.tasks import Sizes, Upstream, tasks_of
from onetrip.data.step import LearnStep
from onetrip.data.store.dataset import Dataset


@dataclass(frozen=True, slots=True)
class StageForecast:
    """One stage: its steps, tasks, and how many of these are done; None where not yet known."""

    folder: str
    steps: tuple[str, ...]
    tasks: int | None
    done: int | None

    @property
    def says(self) -> str:
        """What will happen, in a word or two."""
        if self.tasks is None:
            return "will run"
        if self.tasks == self.done:
            return "cached"
        return f"will run {self.tasks - (self.done or 0)} of {self.tasks} tasks"


@dataclass(frozen=True, slots=True)
class Forecast:
    """Units and bytes to read, workers that fit, and every stage."""

    units: int
    bytes: int
    workers: int
    stages: tuple[StageForecast, ...]


def forecast(
    recipe: str | Path | Mapping[str, Any],
    input: str | Path,
    output: str | Path,
    *,
    memory: str = "2GB",
) -> Forecast:
    """Tell what `onetrip.data.engine.run.run` would do with the same arguments; nothing runs.

    How many tasks a stage has is known once the stage before it is done.
    """
    _, units, stages = prepared(recipe, input, output)
    admission = admit(None, memory)
    found = _stages(
        Dataset(Path(output)), stages, Upstream(units=units), Sizes(admission.task_bytes)
    )
    return Forecast(len(units), sum(unit.bytes for unit in units), admission.workers, tuple(found))


def _stages(
    dataset: Dataset, stages: Sequence[Stage], upstream: Upstream, sizes: Sizes
) -> list[StageForecast]:
    found: list[StageForecast] = []
    complete = True
    for stage in stages:
        steps = step_labels(stage)
        if not complete:
            found.append(StageForecast(stage.folder_name, steps, None, None))
            continue
        tasks = tasks_of(stage, upstream, sizes)
        keys = {task.key for task in tasks}
        known = known_outcomes(dataset, stage, tasks, files=stage.tail is None)
        complete = len(known) == len(keys)
        found.append(StageForecast(stage.folder_name, steps, len(keys), len(known)))
        if not complete:
            continue
        outcomes = [known[task.key] for task in tasks]
        folder = dataset.stage_folder(stage)
        if isinstance(stage.head, LearnStep):
            files = dataset.places(stage).artifacts
            learnt = {name: (files / name, d) for name, d in outcomes[0].artifacts.items()}
            upstream.artifacts = {**upstream.artifacts, **learnt}
        else:
            upstream = Upstream((), folder, outcomes, upstream.artifacts)
    return found


def step_labels(stage: Stage) -> tuple[str, ...]:
    """What a stage does, by the names in its accounts."""
    head = (stage.head_label,) if stage.head_label else ()
    tail = (f"{stage.tail.name}: scatter",) if stage.tail else ()
    return (*head, *stage.chain_labels, *tail)
