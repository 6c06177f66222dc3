"""The step: columns for each chain, junk flagged, chains not, null where nothing is."""

import pyarrow as pa
import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.complexity import ComplexityStep

JUNK = ["A" * 110, "GGGGS" * 24, "GS" * 60]


def test_junk_is_flagged_and_chains_are_not(run_step, random_chains):
    batch = pa.record_batch({"sequence_aa": [*random_chains(40), *JUNK, None]})
    table, dropped, counts = run_step(ComplexityStep(), [batch])
    assert table["low_complexity"].to_pylist() == [False] * 40 + [True] * 3 + [None]
    assert table["complexity_bits"].null_count == 1
    assert dropped == {}
    assert counts == {"low_complexity": 3}


def test_each_chain_of_a_pair(run_step, random_chains):
    heavy, light = random_chains(2), [JUNK[0], random_chains(1, seed=1)[0]]
    batch = pa.record_batch({"sequence_aa_heavy": heavy, "sequence_aa_light": light})
    table, _, counts = run_step(ComplexityStep(), [batch])
    assert table["low_complexity_light"].to_pylist() == [True, False]
    assert counts == {"low_complexity_heavy": 0, "low_complexity_light": 1}


def test_bounds_and_column_are_parameters(run_step, random_chains):
    batch = pa.record_batch({"cdr3_aa": random_chains(5, 12, 20)})
    step = ComplexityStep(column="cdr3_aa", bits_below=99.0)
    table, *_ = run_step(step, [batch])
    assert table["low_complexity"].to_pylist() == [True] * 5
    with pytest.raises(ArgumentError, match="ratio_below"):
        ComplexityStep(ratio_below=-1.0)
    with pytest.raises(DataError, match="sequence_aa"):
        ComplexityStep().schema(batch.schema)
