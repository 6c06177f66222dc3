"""What runs a step without the engine, and small tables of antibodies."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from onetrip.data.step import BatchStep, Context, DatasetStep, ExchangeStep, Stream

RESIDUES = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)


class Batches(Stream):
    """A stream over batches in memory."""

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        self._batches = list(batches)

    @property
    def rows(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def batches(self, columns=None):
        for batch in self._batches:
            yield batch if columns is None else batch.select(list(columns))


def drive(step, batches, *, buckets=3, context=None):
    """All that `step` makes of `batches`: one table, and what was dropped and counted.

    Holds the step to its word: the schema that it declares, and an account that closes.
    """
    batches = list(batches)
    if isinstance(step, BatchStep):
        made = [step.apply(batch) for batch in batches]
    elif isinstance(step, ExchangeStep):
        made = []
        for bucket in range(buckets):
            parts = [b.filter(pa.array(step.hashes(b) % buckets == bucket)) for b in batches]
            made.extend(step.gather(iter([part for part in parts if part.num_rows])))
    else:
        assert isinstance(step, DatasetStep)
        made = list(step.run(Batches(batches), context))
    declared = step.schema(batches[0].schema)
    table = pa.Table.from_batches([applied.batch for applied in made], declared)
    dropped, counts = {}, {}
    for applied in made:
        for total, part in ((dropped, applied.dropped), (counts, applied.counts)):
            for name, number in part.items():
                total[name] = total.get(name, 0) + number
    rows_in = sum(batch.num_rows for batch in batches)
    rejected = sum(len(applied.rejects) for applied in made)
    assert rows_in == table.num_rows + rejected + sum(dropped.values())
    return table, dropped, counts


@pytest.fixture(scope="session")
def run_step():
    return drive


@pytest.fixture(scope="session")
def stream_of():
    return Batches


@pytest.fixture
def context(tmp_path: Path) -> Context:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Context(scratch=scratch, memory_bytes=256 << 20)


@pytest.fixture(scope="session")
def random_chains():
    """Random texts of residues: how many, how long, from which seed."""

    def make(rows: int, low: int = 110, high: int = 128, seed: int = 0) -> list[str]:
        random = np.random.default_rng(seed)
        lengths = random.integers(low, high, rows)
        return [RESIDUES[random.integers(0, 20, n)].tobytes().decode() for n in lengths]

    return make
