"""Rules on columns: first fail and any fail, nulls, types, dictionaries."""

import pyarrow as pa
import pytest

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.filter import Filter

BATCH = pa.RecordBatch.from_pydict(
    {
        "n": pa.array([1, 2, None, 4, 5], pa.int64()),
        "word": pa.array(["a", "b", "a", "b", "a"]).dictionary_encode(),
        "fine": pa.array([True, True, True, None, False]),
    }
)


def test_first_refusing_rule_is_counted_and_every_refusal_told():
    applied = Filter(where=("n > 1", "word == a")).apply(BATCH)
    assert applied.batch.column("n").to_pylist() == [5]
    assert dict(applied.dropped) == {"n > 1": 2, "word == a": 2}
    assert dict(applied.counts) == {"n > 1 (any)": 2, "word == a (any)": 2}
    assert BATCH.num_rows == applied.batch.num_rows + sum(applied.dropped.values())


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("n == 4", [4]),
        ("n != 4", [1, 2, 5]),
        ("n >= 4", [4, 5]),
        ("n<=2", [1, 2]),
        ("n < 2", [1]),
        ("word == 'b'", [2, 4]),
        ("fine == true", [1, 2, None]),
    ],
)
def test_value_is_read_as_the_columns_type_and_null_does_not_fit(rule, kept):
    assert Filter(where=(rule,)).apply(BATCH).batch.column("n").to_pylist() == kept


def test_without_rules_everything_stays():
    assert Filter().apply(BATCH).batch.equals(BATCH)


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        ("n", ArgumentError, "rules like"),
        ("m > 1", DataError, "columns that are there|on columns"),
        ("n > many", ArgumentError, "of type int64"),
    ],
)
def test_impossible_rules_are_refused_beforehand(rule, error, message):
    with pytest.raises(error, match=message):
        Filter(where=(rule,)).schema(BATCH.schema)


def test_rules_are_part_of_the_key():
    keys = {
        step.fingerprint("k", BATCH.schema)
        for step in (Filter(), Filter(where=("n > 1",)), Filter(where=("n > 2",)))
    }
    assert len(keys) == 3
