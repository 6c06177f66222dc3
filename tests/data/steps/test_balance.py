"""Every donor keeps its cap exactly, and the same rows in any order."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.balance import Balance


def rows_of(donors, places=None):
    places = places or range(len(donors))
    return pa.record_batch(
        {
            "unit_id": [f"unit{n % 3}" for n in places],
            "row_in_unit": pa.array(places, pa.int64()),
            "donor_id": pa.array(donors, pa.string()),
        }
    )


@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=60),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_each_donor_keeps_its_cap_whatever_the_order(run_step, donors, cap, random):
    places = list(range(len(donors)))
    random.shuffle(places)
    batch = rows_of(donors)
    plain, dropped, _ = run_step(Balance(cap=cap), [batch.slice(0, 7), batch.slice(7)])
    mixed, _, _ = run_step(Balance(cap=cap), [rows_of([donors[n] for n in places], places)])
    for donor in ("a", "b", "c"):
        assert plain["donor_id"].to_pylist().count(donor) == min(cap, donors.count(donor))
    assert plain["donor_id"].null_count == donors.count(None)
    names = ("unit_id", "row_in_unit")
    one, other = (
        sorted(zip(*(t[n].to_pylist() for n in names), strict=True)) for t in (plain, mixed)
    )
    assert one == other
    assert dropped.get("beyond_cap", 0) == len(donors) - plain.num_rows


def test_other_columns_can_be_balanced(run_step):
    batch = rows_of(["a"] * 10).append_column("study", pa.array(["x"] * 7 + ["y"] * 3))
    table, dropped, _ = run_step(Balance(cap=3, by="study"), [batch])
    assert sorted(table["study"].to_pylist()) == ["x"] * 3 + ["y"] * 3
    assert dropped == {"beyond_cap": 4}


def test_wrong_use_is_refused():
    with pytest.raises(ArgumentError, match="`cap` must be at least 1"):
        Balance(cap=0)
    with pytest.raises(DataError, match="reads donor_id"):
        Balance().schema(pa.schema([]))
