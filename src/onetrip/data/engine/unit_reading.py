"""Read the units of one task: small ones held until they are whole, a huge one with checkpoints."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from onetrip.data.ahead import ahead
from onetrip.data.engine.account import Account, merged
from onetrip.data.engine.chain import Chain, StepFailed
from onetrip.data.engine.outcome import Checkpoint, Outcome, UnitOutcome, save_checkpoint
from onetrip.data.engine.output import Held, Output
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.task import Moved, Places, Report, Task
from onetrip.data.reject import Reject
from onetrip.data.sources.source import Read, Source, Unit, UnitError

# Batches of a source are as small as its blocks. Steps see them joined; a writer joins them itself.
JOINED_BYTES = 24 << 20
READS_AHEAD = 3


def read_units(
    stage: Stage, source: Source, task: Task, places: Places, output: Output, report: Report
) -> Outcome:
    """Read all units of a task; one that cannot be read is set aside and the others go on."""
    outcome = Outcome(task.key)
    bytes_before = 0
    for unit in task.units:
        reading = _Reading(stage, source, task, places, output, unit)
        if unit.unit_id in task.given_up:
            code, _, message = task.given_up[unit.unit_id].partition(" ")
            reading.set_aside(UnitError(code, message))
        else:
            for moved in reading.run():
                report(Moved(bytes_before + moved.bytes, moved.rows, moved.rejected, unit.unit_id))
        reading.enter(outcome)
        bytes_before += unit.bytes
    return outcome


class _Reading:
    """One unit from its first row, or from its checkpoint, to its end."""

    def __init__(
        self,
        stage: Stage,
        source: Source,
        task: Task,
        places: Places,
        output: Output,
        unit: Unit,
    ) -> None:
        self._stage, self._source, self._task = stage, source, task
        self._places, self._output, self._unit = places, output, unit
        self._alone = len(task.units) == 1
        self._sink: Held | Output = output if self._alone else Held()
        self._done = task.checkpoint.outcome if task.checkpoint else Outcome(task.key)
        self._lines = task.checkpoint.lines if task.checkpoint else 0
        self._rows_at_checkpoint = task.checkpoint.rows if task.checkpoint else 0
        self._end = UnitOutcome(unit.unit_id, "ok", 0, unit.bytes)

    @property
    def _read(self) -> Account:
        return self._done.accounts.setdefault(self._stage.head_label, Account())

    def run(self) -> Iterator[Moved]:
        """Read to the end; yields how far it is."""
        stage, unit = self._stage, self._unit
        chain = Chain(
            stage.chain,
            stage.chain_schemas,
            stage.chain_labels,
            self._reject,
            self._done.accounts,
            stage.lines_above,
        )
        yield self._moved(0)
        try:
            for batch, last in self._joined():
                self._sink.write(chain.apply(batch))
                yield self._moved(last.position)
                self._maybe_checkpoint(last)
        except StepFailed as error:
            self.set_aside(UnitError("S03", str(error)))
        except UnitError as error:
            if not error.salvaged:
                self.set_aside(error)
                return
            self._remark(error)
            rows = self._read.rows_in
            self._end = UnitOutcome(
                unit.unit_id, "partial", rows, unit.bytes, error.code, str(error)
            )
        else:
            self._end = UnitOutcome(unit.unit_id, "ok", self._read.rows_in, unit.bytes)

    def set_aside(self, error: UnitError) -> None:
        """Keep nothing of the unit but why."""
        if self._alone:
            self._output.start_again()
        else:
            self._sink = Held()
        self._done = Outcome(self._task.key)
        self._remark(error)
        unit = self._unit
        self._end = UnitOutcome(unit.unit_id, "bad", 0, unit.bytes, error.code, str(error))

    def enter(self, outcome: Outcome) -> None:
        """Enter what came of the unit into the outcome of its task."""
        if isinstance(self._sink, Held):
            self._sink.pour(self._output)
        outcome.accounts = merged([outcome.accounts, self._done.accounts])
        outcome.remarks += self._done.remarks
        outcome.shards += self._done.shards
        outcome.quarantine += self._done.quarantine
        outcome.seconds += self._done.seconds
        outcome.cpu_seconds += self._done.cpu_seconds
        outcome.units.append(self._end)

    def _joined(self) -> Iterator[tuple[pa.RecordBatch, Read]]:
        """Batches of the source, joined to the size that steps like, with the last read of each."""
        waiting: list[pa.RecordBatch] = []
        rows = waiting_bytes = 0
        last = Read(pa.RecordBatch.from_arrays([], []))
        source = self._source.read(
            self._unit, skip_lines=self._lines, skip_rows=self._rows_at_checkpoint
        )
        try:
            with ahead(source, READS_AHEAD, _itself) as reads:
                for last in reads:
                    self._enter_read(last)
                    waiting.append(last.batch)
                    rows += last.batch.num_rows
                    waiting_bytes += last.batch.nbytes
                    if (
                        rows >= self._task.batch_rows
                        or waiting_bytes >= JOINED_BYTES
                        or not self._stage.chain
                    ):
                        yield _join(waiting), last
                        waiting, rows, waiting_bytes = [], 0, 0
        except UnitError as error:
            if error.salvaged and rows:
                yield _join(waiting), last
            raise
        if rows:
            yield _join(waiting), last

    def _enter_read(self, read: Read) -> None:
        of_rows = sum(reject.line > 0 for reject in read.rejects)
        account = self._read
        account.rows_in += read.batch.num_rows + of_rows
        account.rows_out += read.batch.num_rows
        account.rejected += of_rows
        account.counts.update(read.counts)
        self._done.remarks += len(read.rejects) - of_rows
        if read.rejects:
            self._reject(read.rejects)

    def _moved(self, position: int) -> Moved:
        rejected = sum(account.rejected for account in self._done.accounts.values())
        return Moved(position, self._read.rows_in, rejected)

    def _maybe_checkpoint(self, last: Read) -> None:
        behind = self._read.rows_in - self._rows_at_checkpoint
        if not (self._alone and last.lines and behind >= self._task.shard_rows):
            return
        if self._stage.tail is not None:
            return
        self._output.end_shard()
        self._output.keep()
        self._rows_at_checkpoint = self._read.rows_in
        so_far = Outcome(
            self._task.key,
            shards=[*self._done.shards, *self._output.shards],
            quarantine=[*self._done.quarantine, *self._output.quarantine],
            accounts=self._done.accounts,
            remarks=self._done.remarks,
        )
        save_checkpoint(self._places.stage, Checkpoint(so_far, last.lines, self._read.rows_in))

    def _reject(self, rejects: Sequence[Reject]) -> None:
        self._sink.reject(rejects)

    def _remark(self, error: UnitError) -> None:
        self._done.remarks += 1
        self._sink.reject(
            [Reject(self._unit.unit_id, error.line, error.code, "", str(error), error.raw)]
        )


def _itself(read: Read) -> Read:
    return read


def _join(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
