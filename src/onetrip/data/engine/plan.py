"""A plan: a recipe cut into stages, at every place where something is written.

A stage reads (units of the source, shards of the stage before, buckets of an exchange, or
everything as a stream), runs fused batch steps, and writes (shards, or a file of buckets).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import pyarrow as pa

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.recipe import Recipe
from onetrip.data.sources.source import Source
from onetrip.data.step import BatchStep, DatasetStep, ExchangeStep, LearnStep, RowStep, Step

# Grows when the engine itself would write other rows, or in another form.
ENGINE = 1

SHORT_KEY = 12

Head = Source | ExchangeStep | DatasetStep | LearnStep | None


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs between two writings.

    `head` says what is read: a source its units, an exchange its buckets, a step over the dataset
    everything, None the shards of the stage before. `chain` are the steps behind it that run on
    batches, `tail` the exchange whose buckets are written in place of shards. `schema_in` are the
    columns on disk, `head_schema` those behind the head, `chain_schemas` those behind each step of
    the chain; the labels name them in accounts. `lines_above` are the lines of a unit above row 1.
    """

    ordinal: int
    name: str
    key: str
    schema_in: pa.Schema
    head: Head = None
    head_label: str = ""
    head_schema: pa.Schema | None = None
    chain: tuple[RowStep, ...] = ()
    chain_labels: tuple[str, ...] = ()
    chain_schemas: tuple[pa.Schema, ...] = ()
    tail: ExchangeStep | None = None
    lines_above: int = 0

    @property
    def folder_name(self) -> str:
        """Name of its folder: "03-filter-0123456789ab"."""
        return f"{self.ordinal:02}-{self.name}-{self.key[:SHORT_KEY]}"

    @property
    def schema(self) -> pa.Schema:
        """Columns that come out."""
        return self.chain_schemas[-1] if self.chain else self.head_schema or self.schema_in

    @property
    def wants(self) -> tuple[str, ...]:
        """Artifacts that its steps ask for."""
        steps = [step for step in (self.head, *self.chain, self.tail) if isinstance(step, Step)]
        return tuple(dict.fromkeys(name for step in steps for name in step.wants))


def plan(recipe: Recipe) -> tuple[Stage, ...]:
    """Cut a recipe into stages; raises DataError where steps do not fit together."""
    source, schema = recipe.source, recipe.source.schema()
    key = _hash(["engine", ENGINE, source.name, source.version, asdict(source)])
    stages = [Stage(0, source.name, key, schema, source, source.name)]
    fused = not recipe.source_cached
    labels = _labels(recipe)
    for ordinal, (step, cached) in enumerate(zip(recipe.steps, recipe.cached, strict=True), 1):
        _check_reads(step, schema, recipe.steps[: ordinal - 1])
        key, before, schema = step.fingerprint(key, schema), schema, _behind(step, schema)
        label = labels[ordinal]
        if isinstance(step, BatchStep) or (isinstance(step, ExchangeStep) and step.alone):
            onto = stages.pop() if fused else Stage(ordinal, label, key, before)
            stages.append(_with_step(onto, ordinal, key, step, label, schema))
        elif isinstance(step, ExchangeStep):
            name, scatter_key = f"{label}.scatter", _hash([key, "scatter"])
            onto = stages.pop() if fused else Stage(ordinal, name, scatter_key, before)
            stages += [
                replace(onto, ordinal=ordinal, name=name, key=scatter_key, tail=step),
                Stage(ordinal, label, key, before, step, label, schema),
            ]
        elif fused:
            raise ArgumentError(
                f"`cache: false` on what stands before `{step.name}`: it reads everything, maybe "
                "more than once, so that its input must be on disk. Leave `cache` out there."
            )
        else:
            stages.append(Stage(ordinal, label, key, before, _whole(step), label, schema))
        fused = not cached
    _check_artifacts(stages)
    return tuple(replace(stage, lines_above=source.lines_above) for stage in stages)


def _with_step(
    stage: Stage, ordinal: int, key: str, step: RowStep, label: str, schema: pa.Schema
) -> Stage:
    return replace(
        stage,
        ordinal=ordinal,
        name=label,
        key=key,
        chain=(*stage.chain, step),
        chain_labels=(*stage.chain_labels, label),
        chain_schemas=(*stage.chain_schemas, schema),
    )


def task_key(stage: Stage, inputs: Sequence[object], *more: object) -> str:
    """Key of a task: its stage's, what it reads, and whatever else its rows depend on."""
    return _hash([stage.key, *inputs, *more])


def _labels(recipe: Recipe) -> list[str]:
    """Names of source and steps, numbered where one comes again: "filter", "filter-2"."""
    seen: dict[str, int] = {}
    labels = []
    for name in (recipe.source.name, *(step.name for step in recipe.steps)):
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return labels


def _check_reads(step: Step, schema: pa.Schema, before: Sequence[Step]) -> None:
    missing = [name for name in step.reads if name not in schema.names]
    if missing:
        passed = " → ".join(step.name for step in before) or "the source alone"
        raise DataError(
            f"Step `{step.name}` reads the columns {missing}, which are not there behind "
            f"{passed}: {', '.join(schema.names)}. Put the step that makes them before it."
        )


def _behind(step: Step, schema: pa.Schema) -> pa.Schema:
    try:
        return step.schema(schema)
    except DataError as error:
        if f"`{step.name}`" in str(error):
            raise
        raise DataError(f"Step `{step.name}`: {error}") from error


def _check_artifacts(stages: Sequence[Stage]) -> None:
    learnt = False
    for stage in stages:
        if stage.wants and not learnt:
            raise DataError(
                f"Step `{stage.name}` wants {list(stage.wants)}, and no step before it learns "
                "anything. Put the step that leaves them before it."
            )
        learnt = learnt or isinstance(stage.head, LearnStep)


def _whole(step: Step) -> DatasetStep | LearnStep:
    if isinstance(step, DatasetStep | LearnStep):
        return step
    expected = "a BatchStep, ExchangeStep, DatasetStep or LearnStep"
    raise ArgumentError(f"Step `{step.name}` must be {expected}, got {type(step).__name__}.")


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
