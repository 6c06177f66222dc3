"""Run one task: read, apply the fused steps, write, and say what was left behind."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pyarrow as pa

from onetrip.data.ahead import one_core
from onetrip.data.engine.account import Account
from onetrip.data.engine.chain import Chain, check_schema
from onetrip.data.engine.exchange import read_bucket
from onetrip.data.engine.outcome import Outcome
from onetrip.data.engine.output import Output
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.stored import ShardStream, read_shards, scratch, write_artifacts
from onetrip.data.engine.task import Moved, Places, Report, Task
from onetrip.data.engine.unit_reading import read_units
from onetrip.data.reject import Reject, placed
from onetrip.data.sources.source import Source
from onetrip.data.step import Context, DatasetStep, ExchangeStep, LearnStep, RowStep, Step


def run_task(stage: Stage, task: Task, places: Places, report: Report) -> Outcome:
    """Run one task to its end. Its files are there when this returns; nobody knows them yet.

    Parameters
    ----------
    stage, task, places : what to run, on what, and where to write.
    report : told after every batch how far the task is.

    Returns
    -------
    Outcome
        For `onetrip.data.engine.outcome.commit`, which makes the task done.
    """
    began, began_cpu = time.perf_counter(), time.process_time()
    for folder in (places.stage, places.quarantine):
        folder.mkdir(parents=True, exist_ok=True)
    stage = _bound(stage, task.artifacts)
    with one_core(task.cores == 1):
        if isinstance(stage.head, LearnStep):
            outcome = _learn(stage.head, task, places)
        else:
            outcome = _rows_out(stage, task, places, report)
    outcome.seconds += time.perf_counter() - began
    outcome.cpu_seconds += time.process_time() - began_cpu
    for label, account in outcome.accounts.items():
        account.close(label)
    pa.default_memory_pool().release_unused()
    return outcome


def _bound(stage: Stage, artifacts: Mapping[str, Path]) -> Stage:
    """The stage with its steps bound to the artifacts that they want."""
    if not stage.wants:
        return stage

    def bound(step: Step) -> Step:
        return step.bind({name: artifacts[name].read_bytes() for name in step.wants})

    return replace(
        stage,
        head=bound(stage.head) if isinstance(stage.head, Step) else stage.head,
        chain=tuple(cast(RowStep, bound(step)) for step in stage.chain),
        tail=None if stage.tail is None else cast(ExchangeStep, bound(stage.tail)),
    )


def _rows_out(stage: Stage, task: Task, places: Places, report: Report) -> Outcome:
    output = Output(stage, task, places)
    try:
        outcome = (
            read_units(stage, stage.head, task, places, output, report)
            if isinstance(stage.head, Source)
            else _read_files(stage, task, places, output, report)
        )
        output.end_shard()
    except BaseException:
        output.discard()
        raise
    outcome.shards += output.shards
    outcome.quarantine += output.quarantine
    outcome.buckets = output.buckets
    return outcome


def _read_files(
    stage: Stage, task: Task, places: Places, output: Output, report: Report
) -> Outcome:
    outcome = Outcome(task.key)
    rows = rejected = 0

    def reject(rejects: Sequence[Reject]) -> None:
        nonlocal rejected
        rejected += len(rejects)
        output.reject(rejects)

    def told(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in batches:
            rows += batch.num_rows
            yield batch
            report(Moved(task.bytes * rows // max(rows, task.rows, 1), rows, rejected))

    chain = Chain(
        stage.chain,
        stage.chain_schemas,
        stage.chain_labels,
        reject,
        outcome.accounts,
        stage.lines_above,
    )
    if stage.head is None:
        for batch in told(read_shards(task.shards, task.batch_rows)):
            output.write(chain.apply(batch))
        return outcome
    step = cast(ExchangeStep | DatasetStep, stage.head)
    account = outcome.accounts[stage.head_label] = Account(rows_in=task.rows)
    with scratch(places.scratch) as folder:
        if isinstance(step, ExchangeStep):
            made = step.gather(told(read_bucket(task.bucket, stage.schema_in)))
        else:
            stream = ShardStream(task.shards, task.rows, task.batch_rows)
            made = step.run(stream, Context(folder, task.memory_bytes))
        for applied in made:
            check_schema(step, applied, stage.head_schema or stage.schema_in)
            account.add(0, applied)
            reject(placed(applied.rejects, stage.lines_above))
            # A bucket is large: what steps make of it in parts stays in a core's cache.
            for at in range(0, applied.batch.num_rows, task.batch_rows):
                output.write(chain.apply(applied.batch.slice(at, task.batch_rows)))
            if isinstance(step, DatasetStep):
                report(Moved(_share(task, account), account.rows_out, rejected))
    return outcome


def _share(task: Task, account: Account) -> int:
    """Bytes of the input that the rows so far stand for."""
    accounted = account.rows_out + account.rejected + account.dropped.total()
    return task.bytes * accounted // max(task.rows, accounted, 1)


def _learn(step: LearnStep, task: Task, places: Places) -> Outcome:
    stream = ShardStream(task.shards, task.rows, task.batch_rows)
    with scratch(places.scratch) as folder:
        artifacts = step.learn(stream, Context(folder, task.memory_bytes))
    return Outcome(task.key, artifacts=write_artifacts(places.artifacts, artifacts))
