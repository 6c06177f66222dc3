"""Groups are never parted, stay when data grow, and follow the key."""

from hashlib import blake2b

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetrip.core.errors import ArgumentError, DataError
from onetrip.data.steps.split import Split


def by_cluster(ids):
    return pa.record_batch({"cluster_id": pa.array(ids, pa.uint64())})


def splits(run_step, step, batch):
    return run_step(step, [batch])[0]["split"].to_pylist()


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.lists(st.integers(0, 2**64 - 1)))
def test_groups_stay_when_data_grow(run_step, ids, more):
    before = splits(run_step, Split(), by_cluster(ids))
    after = splits(run_step, Split(), by_cluster(more + ids))
    assert after[len(more) :] == before


def test_can_be_computed_from_the_name_alone(run_step):
    ids = list(range(10_000))
    digest = [blake2b(n.to_bytes(8, "little"), digest_size=8, key=b"onetrip").digest() for n in ids]
    place = [int.from_bytes(d, "little") / 2**64 for d in digest]
    expected = ["val" if p < 0.05 else "test" if p < 0.1 else "train" for p in place]
    found = splits(run_step, Split(), by_cluster(ids))
    assert found == expected
    assert 400 < found.count("val") < 600
    assert 400 < found.count("test") < 600
    other = splits(run_step, Split(key="another"), by_cluster(ids))
    # Independent splits: 0.815 of the rows agree by chance.
    assert 0.80 < sum(a == b for a, b in zip(found, other, strict=True)) / len(ids) < 0.85


def test_a_group_is_never_parted(run_step):
    ids = [n % 50 for n in range(1000)]
    found = splits(run_step, Split(val=0.3, test=0.3), by_cluster(ids))
    of_group = {}
    for name, split in zip(ids, found, strict=True):
        of_group.setdefault(name, set()).add(split)
    assert {len(group) for group in of_group.values()} == {1}
    assert set(found) == {"train", "val", "test"}


def test_groups_of_donor_study_and_year(run_step):
    authors = ["Galson_2015 et al., 2015", "Briney et al., 2019", "Nobody", None] * 2
    batch = pa.record_batch({"meta_author": authors, "donor_id": ["a|1", "b|1", None, "a|1"] * 2})
    years = Split(group="year", val_groups=("2019",), test_groups=("2015",))
    table, _, counts = run_step(years, [batch])
    assert table["split"].to_pylist() == ["test", "val", "train", "train"] * 2
    assert counts == {"no_group": 4, "train": 4, "val": 2, "test": 2}
    donors = splits(run_step, Split(group="donor", val=0.5, test=0.5), batch)
    assert donors[0] == donors[3] == donors[7]
    studies = splits(run_step, Split(group="study", val=0.5, test=0.5), batch)
    assert studies[:4] == studies[4:]


def test_dictionary_column_and_no_rows(run_step):
    plain = pa.array(["a", "b", "a", None])
    one = splits(run_step, Split(group="donor"), pa.record_batch({"donor_id": plain}))
    encoded = pa.record_batch({"donor_id": plain.dictionary_encode()})
    assert splits(run_step, Split(group="donor"), encoded) == one
    assert splits(run_step, Split(), by_cluster([])) == []


def test_wrong_use_is_refused():
    with pytest.raises(ArgumentError, match="`val, test` must be shares"):
        Split(val=0.8, test=0.3)
    with pytest.raises(ArgumentError, match="`key` must be 1 to 64 bytes"):
        Split(key="")
    with pytest.raises(ArgumentError, match="`test_groups`"):
        Split(group="year", val_groups=("2018",), test_groups=("2018",))
    with pytest.raises(ArgumentError, match="empty for clusters"):
        Split(val_groups=("1",))
    with pytest.raises(DataError, match="reads cluster_id"):
        Split().schema(pa.schema([]))
