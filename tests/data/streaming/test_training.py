"""Every row once, the same batches for any number of workers, and exact resume."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import onetrip.data
from onetrip.core.errors import ArgumentError, DataError


@pytest.fixture(scope="session")
def numbered(tmp_path_factory):
    """Make a folder of files with so many rows: row n has the id n, and n % 4 tokens."""

    def make(rows_of_files, group_rows=7):
        folder = tmp_path_factory.mktemp("numbered")
        start = 0
        for number, rows in enumerate(rows_of_files):
            ids = range(start, start + rows)
            start += rows
            table = pa.table(
                {
                    "row": pa.array(ids, pa.int64()),
                    "input_ids": pa.array([[n] * (n % 4) for n in ids], pa.list_(pa.uint16())),
                    "split": pa.array(["train"] * rows).dictionary_encode(),
                }
            )
            pq.write_table(table, folder / f"train-{number:05}.parquet", row_group_size=group_rows)
        return folder

    return make


@pytest.fixture(scope="session")
def folder(numbered):
    return numbered([40, 0, 33, 5])


def rows_of(batches):
    return [n for batch in batches for n in batch["row"].tolist()]


def taken_in_turn(streams_of_workers):
    """What a DataLoader gives: one batch of each worker in turn, finished ones left out."""
    running = [iter(each) for each in streams_of_workers]
    while running:
        for worker in list(running):
            try:
                yield next(worker)
            except StopIteration:
                running.remove(worker)


SHAPES = {"batch_size": st.integers(1, 9), "shuffle_buffer": st.sampled_from([0, 1, 10, 100])}


@given(world=st.integers(1, 5), epoch=st.integers(0, 2), drop_last=st.booleans(), **SHAPES)
def test_ranks_share_all_rows_without_a_double(
    folder, world, epoch, drop_last, batch_size, shuffle_buffer
):
    ranks = []
    for rank in range(world):
        stream = onetrip.data.stream(
            folder, batch_size, ["row"], shuffle_buffer, rank, world, drop_last=drop_last
        )
        stream.set_epoch(epoch)
        batches = list(stream)
        assert len(batches) == len(stream)
        if drop_last:
            assert {len(batch["row"]) for batch in batches} <= {batch_size}
        ranks.append(rows_of(batches))
    seen = [n for rows in ranks for n in rows]
    assert len(seen) == len(set(seen))
    if drop_last:
        assert len({len(rows) for rows in ranks}) == 1
        assert len(seen) > 78 - world * batch_size - world
    else:
        assert sorted(seen) == list(range(78))


@given(workers=st.integers(1, 4), start=st.integers(0, 8), **SHAPES)
def test_workers_give_the_batches_of_one_process(
    folder, workers, start, batch_size, shuffle_buffer
):
    def opened():
        stream = onetrip.data.stream(folder, batch_size, ["row"], shuffle_buffer)
        stream.load_state_dict(stream.state_after(min(start, len(stream))))
        return stream

    shares = [opened()._share(worker, workers) for worker in range(workers)]
    assert rows_of(taken_in_turn(shares)) == rows_of(opened())


@given(seed=st.integers(0, 3), stop=st.integers(0, 40), world=st.integers(1, 2), **SHAPES)
def test_resumed_stream_gives_what_would_have_come(
    folder, seed, stop, world, batch_size, shuffle_buffer
):
    options = {"rank": world - 1, "world": world, "seed": seed}
    arguments = (folder, batch_size, ["row", "input_ids"], shuffle_buffer)
    whole = onetrip.data.stream(*arguments, **options)
    expected = [batch["row"].tolist() for _ in range(3) for batch in whole]

    broken, seen = onetrip.data.stream(*arguments, **options), []
    while len(seen) < stop:
        for batch in broken:
            seen.append(batch["row"].tolist())
            if len(seen) >= stop:
                break
    state = json.loads(json.dumps(broken.state_dict()))
    resumed = onetrip.data.stream(*arguments, state=state, **options)
    while len(seen) < len(expected):
        seen += [batch["row"].tolist() for batch in resumed]
    assert seen[: len(expected)] == expected


def test_a_loader_with_two_workers_resumes(folder):
    def opened(state=None):
        return onetrip.data.stream(folder, 4, ["row"], 16, state=state)

    expected = [batch["row"].tolist() for batch in opened()]
    loader = DataLoader(opened(), batch_size=None, num_workers=2)
    assert len(loader) == len(expected)
    assert [batch["row"].tolist() for batch in loader] == expected
    state = opened().state_after(7)
    resumed = DataLoader(opened(state), batch_size=None, num_workers=2)
    assert [batch["row"].tolist() for batch in resumed] == expected[7:]


def test_epochs_and_seeds_are_other_orders(folder):
    def rows(epoch=0, seed=0):
        stream = onetrip.data.stream(folder, 8, ["row"], 20, seed=seed)
        stream.set_epoch(epoch)
        return rows_of(stream)

    first = rows()
    assert rows() == first
    assert len({tuple(order) for order in (first, rows(1), rows(seed=1))}) == 3
    stream = onetrip.data.stream(folder, 8, ["row"], 20)
    assert [rows_of(stream), rows_of(stream)] == [first, rows(1)]


def test_shuffling_reaches_beyond_neighbours(numbered):
    folder = numbered([3000], group_rows=500)
    rows = np.array(rows_of(onetrip.data.stream(folder, 50, ["row"], 1000)))
    assert np.abs(np.diff(rows)).mean() > 300
    plain = rows_of(onetrip.data.stream(folder, 50, ["row"], 0))
    assert plain == list(range(3000))


def test_all_columns_of_a_batch_are_of_one_row(folder):
    for batch in onetrip.data.stream(folder, 8, ["row", "input_ids", "split"], 30):
        for n, ids, length in zip(
            batch["row"].tolist(),
            batch["input_ids"].tolist(),
            batch["input_ids_lengths"].tolist(),
            strict=True,
        ):
            assert ids == [n] * (n % 4) + [0] * (batch["input_ids"].shape[1] - n % 4)
            assert length == n % 4
        assert batch["split"] == ["train"] * len(batch["row"])


def test_state_of_another_stream_is_refused(folder, numbered):
    state = onetrip.data.stream(folder, 8).state_dict()
    for options in ({"batch_size": 4}, {"seed": 1}, {"rank": 1, "world": 2}, {"shuffle_buffer": 9}):
        with pytest.raises(ArgumentError, match="`state` must be of a stream with"):
            onetrip.data.stream(folder, **{"batch_size": 8, "state": state, **options})
    with pytest.raises(ArgumentError, match="`state` must be of a stream with files="):
        onetrip.data.stream(numbered([40, 0, 33, 6]), 8, state=state)


def test_wrong_use_is_refused(folder, tmp_path):
    for options, message in (
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"rank": 2, "world": 2}, "`rank` must be 0 to 1"),
        ({"columns": ["no"]}, "`columns` must be some of row, input_ids"),
        ({"layout": "ragged"}, "`layout` must be padded or packed"),
    ):
        with pytest.raises(ArgumentError, match=message):
            onetrip.data.stream(folder, **options)
    with pytest.raises(DataError, match="`path` must be a place of Parquet files"):
        onetrip.data.stream(tmp_path)
    with pytest.raises(DataError, match="no-such-file"):
        onetrip.data.stream(tmp_path / "no-such-file.parquet")
    with pytest.raises(DataError, match="`split` must be one of train"):
        onetrip.data.stream(folder, split="test")
    stream = onetrip.data.stream(folder)
    with pytest.raises(ArgumentError, match="`batches` must be 0 to 1"):
        stream.state_after(2)
    with pytest.raises(ArgumentError, match="`epoch` must be at least 0"):
        stream.set_epoch(-1)
