"""The caller and its helpers share blocks; results keep their order, and an error ends the work."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from onetrip.ops.kmeans.workers import ALONE, Workers


@pytest.fixture
def two():
    with ThreadPoolExecutor(1) as pool:
        yield Workers(2, pool)


def test_results_are_in_the_order_of_the_blocks(two):
    for workers in (ALONE, two):
        assert workers.map(lambda block: block * block, range(50)) == [n * n for n in range(50)]
        assert workers.map(lambda block: block, []) == []


def test_the_caller_and_a_helper_work_at_once(two):
    """Each waits for the other inside its block, which one thread alone could not."""
    meeting = threading.Barrier(2, timeout=30)

    def work(block: int) -> int:
        meeting.wait()
        return threading.get_ident()

    found = two.map(work, [0, 1])
    assert threading.get_ident() in found
    assert len(set(found)) == 2


@pytest.mark.parametrize("raised", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_of_any_thread_leaves_the_other_blocks(two, raised):
    """It reaches the caller when the helper is done, whoever raised it."""
    for by_caller in (True, False):
        caller, done, has_raised = threading.get_ident(), [], threading.Event()

        def work(
            block: int, by_caller=by_caller, caller=caller, done=done, has_raised=has_raised
        ) -> None:
            if (threading.get_ident() == caller) == by_caller:
                has_raised.set()
                raise raised("here")
            assert has_raised.wait(30)
            done.append(block)

        with pytest.raises(raised, match="here"):
            two.map(work, range(10_000))
        assert len(done) < 10_000
    assert two.map(lambda block: block, [1, 2]) == [1, 2]
