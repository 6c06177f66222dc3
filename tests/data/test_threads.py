"""What is done in other threads ends with who asked for it, and raises where it is asked."""

import threading
import time
from itertools import count

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onetrip.data.ahead import ahead, one_core
from onetrip.data.engine.plan import plan
from onetrip.data.engine.task import Places, Task
from onetrip.data.engine.worker import run_task
from onetrip.data.recipe import load_recipe
from onetrip.data.sources.oas.synthetic.unit import write_unit
from onetrip.data.store import aside, shards
from onetrip.data.store.behind import Behind
from onetrip.data.store.shards import ShardWriter


def itself(item):
    return item


def alive():
    return {thread for thread in threading.enumerate() if thread.name.startswith("onetrip-ahead")}


def test_items_come_in_order_and_then_what_was_raised():
    def items():
        yield from range(5)
        raise KeyError("unit")

    seen = []
    with pytest.raises(KeyError, match="unit"), ahead(items(), 2, itself) as made:
        seen.extend(made)
    assert seen == [0, 1, 2, 3, 4]
    assert alive() == set()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_however_long_each_takes(threads):
    slow = threading.Event()

    def work(number):
        # The first is done last: with more than one thread others overtake it.
        if number == 0 and threads > 1:
            assert slow.wait(5)
        elif number == 1:
            slow.set()
        return number * 10

    with ahead(iter(range(20)), 3, work, threads) as made:
        assert list(made) == [10 * number for number in range(20)]
    assert alive() == set()


def test_items_are_taken_by_one_thread_at_a_time():
    inside, most = 0, []

    def items():
        nonlocal inside
        for number in range(50):
            inside += 1
            most.append(inside)
            time.sleep(0.0005)
            inside -= 1
            yield number

    with ahead(items(), 4, itself, 4) as made:
        assert list(made) == list(range(50))
    assert set(most) == {1}


def test_what_work_raises_comes_behind_the_results_before_it():
    seen = []
    with pytest.raises(ZeroDivisionError), ahead(iter([2, 1, 0, 4]), 2, lambda n: 4 // n, 2) as got:
        seen.extend(got)
    assert seen == [2, 4]
    assert alive() == set()


def test_who_stops_early_leaves_no_thread():
    with ahead(count(), 1, itself) as numbers:
        assert [next(numbers), next(numbers)] == [0, 1]
    assert alive() == set()


def test_no_more_is_made_ahead_than_asked():
    made = []
    with ahead((made.append(n) or n for n in range(100)), 3, itself) as numbers:
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


def test_with_one_core_each_is_made_when_it_is_asked_for_and_no_thread_starts():
    made = []
    with one_core(only=True), ahead((made.append(n) or n for n in range(9)), 3, itself, 2) as got:
        assert (next(got), made) == (0, [0])
        assert alive() == set()
        assert list(got) == list(range(1, 9))
    with ahead(iter([1]), 1, itself) as got:
        assert alive() != set()
        assert list(got) == [1]


def test_a_task_in_one_thread_makes_what_one_in_several_does(tmp_path):
    unit = tmp_path / "in" / "a.csv.gz"
    unit.parent.mkdir()
    write_unit(unit, 3_000)
    recipe = load_recipe({"source": "oas"})
    (stage,), units = plan(recipe), tuple(recipe.source.find(unit.parent))
    made = {}
    for cores in (1, 2):
        places = Places(*(tmp_path / f"{name}{cores}" for name in "srat"))
        task = Task("key", "label", 1, units=units, cores=cores)
        outcome = run_task(stage, task, places, lambda moved: None)
        (shard,) = outcome.shards
        made[cores] = pq.read_table(places.stage / shard.name), outcome.accounts["oas"].as_dict()
    assert made[1][0].num_rows == 3_000
    assert made[1] == made[2]
