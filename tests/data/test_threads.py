"""What is done in other threads ends with who asked for it, and raises where it is asked."""

import threading
from itertools import count

import pyarrow as pa
import pytest

from onetrip.data.ahead import ahead
from onetrip.data.store import aside, shards
from onetrip.data.store.behind import Behind
from onetrip.data.store.shards import ShardWriter


def alive():
    return {thread for thread in threading.enumerate() if thread.name.startswith("onetrip-ahead")}


def test_items_come_in_order_and_then_what_was_raised():
    def items():
        yield from range(5)
        raise KeyError("unit")

    seen = []
    with pytest.raises(KeyError, match="unit"), ahead(items(), 2, str.upper, 2) as made:
        seen.extend(made)
    assert seen == [0, 1, 2, 3, 4]
    assert alive() == set()


def test_who_stops_early_leaves_no_thread():
    with ahead(count(), 1) as numbers:
        assert [next(numbers), next(numbers)] == [0, 1]
    assert alive() == set()


def test_no_more_is_made_ahead_than_asked():
    made = []
    with ahead((made.append(n) or n for n in range(100)), 3) as numbers:
        assert next(numbers) == 0
        # Taken, waiting, and in the maker's hand.
        assert len(made) <= 1 + 3 + 1


def test_work_behind_is_done_in_turn_and_fails_at_the_next_piece():
    done, behind = [], Behind()
    for number in range(5):
        behind.begin(lambda number=number: done.append(number))
    behind.wait()
    assert done == [0, 1, 2, 3, 4]
    behind.begin(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        behind.begin(lambda: done.append(5))
    behind.begin(lambda: 1 // 0)
    behind.give_up()
    behind.wait()
    assert done == [0, 1, 2, 3, 4]


def test_a_full_disk_met_behind_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "GROUP_ROWS", 10)
    batch = pa.record_batch({"word": pa.array(["w"] * 10)})
    writer = ShardWriter(tmp_path, "part", batch.schema)
    write = aside.AsideFile.write

    def full_behind(file, data):
        if threading.current_thread() is threading.main_thread():
            return write(file, data)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(aside.AsideFile, "write", full_behind)
    writer.write(batch)
    with pytest.raises(OSError, match="No space left"):
        writer.write(batch)
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_shards_end_where_they_did_however_quick_the_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "GROUP_ROWS", 10)
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    batch = pa.record_batch({"n": pa.array(range(10))})
    writer = ShardWriter(tmp_path, "part", batch.schema)
    for _ in range(3):
        writer.write(batch)
    writer.end_shard()
    assert [shard.rows for shard in writer.closed_shards] == [10, 10, 10]
