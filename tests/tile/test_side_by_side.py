"""Threads side by side: results in order, errors and interrupts that end all of them."""

import signal
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch

from onetrip.core.errors import ArgumentError
from onetrip.tile.side_by_side import (
    on_threads,
    run_side_by_side,
    share_out,
    thread_pool,
    total_square,
    worker_count,
)


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_tasks():
    def slow(number):
        time.sleep(0.05 * (number == 0))
        return number

    assert run_side_by_side([partial(slow, number) for number in range(5)]) == list(range(5))
    assert torch.get_num_threads() == 2


def test_a_thread_has_itself_alone_however_late_it_asks_torch():
    pool = thread_pool.__wrapped__(1)  # one that nobody has used
    pool.submit(lambda: None).result()
    torch.set_num_threads(2)
    assert pool.submit(torch.get_num_threads).result() == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_are_shared_out_in_order(threads):
    assert share_out(lambda block: block * block, range(50), threads) == [n * n for n in range(50)]
    assert share_out(lambda block: block, [], threads) == []


def test_the_caller_and_a_helper_work_at_once():
    """Each waits for the other inside its block, which one thread alone could not."""
    meeting = threading.Barrier(2, timeout=30)

    def work(block):
        meeting.wait()
        return threading.get_ident(), torch.get_num_threads()

    found = run_side_by_side([partial(work, 0), partial(work, 1)])
    assert {thread for thread, _ in found} > {threading.get_ident()}
    assert [count for _, count in found] == [1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("by_caller", [True, False])
def test_an_error_is_the_callers_and_leaves_the_other_blocks(by_caller):
    """It comes when every thread is done, whoever raised it."""
    caller, done, has_raised = threading.get_ident(), [], threading.Event()

    def work(block):
        if (threading.get_ident() == caller) == by_caller:
            has_raised.set()
            raise ValueError("no such row")
        assert has_raised.wait(30)
        done.append(block)

    with pytest.raises(ValueError, match="no such row"):
        share_out(work, range(100_000), 2)
    assert len(done) < 99_999
    count = len(done)
    assert share_out(lambda block: block, [1, 2], 2) == [1, 2]
    assert len(done) == count


def test_an_interrupt_ends_every_task():
    """Else the next call waits until tasks end whose results nobody wants."""
    begun, ended = [], []

    def endless():
        begun.append(True)
        try:
            for _ in range(3000):
                time.sleep(0.01)
        finally:
            ended.append(True)

    # As a terminal sends it.
    me = threading.get_ident()
    threading.Timer(0.3, signal.pthread_kill, (me, signal.SIGINT)).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        run_side_by_side([endless] * 5)
    assert run_side_by_side([lambda: 1, lambda: 2]) == [1, 2]
    assert time.perf_counter() - start < 10
    deadline = time.perf_counter() + 10
    while len(ended) < len(begun) and time.perf_counter() < deadline:
        time.sleep(0.01)  # One thread may be at its end while the other did both.
    assert len(begun) == len(ended) == 2  # The others never began.
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("n_jobs", "threads"), [(None, 2), (1, 1), (2, 2), (99, 2), (-1, 2), (-2, 1), (-9, 1)]
)
def test_jobs_are_threads_of_torch(n_jobs, threads):
    with on_threads(n_jobs):
        assert worker_count() == threads
    assert worker_count() == 2


def test_no_jobs_are_refused():
    with pytest.raises(ArgumentError, match="`n_jobs` must be a number of threads"), on_threads(0):
        pass


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 8192, 9000])
def test_the_thread_that_asks_adds_up_squares(monkeypatch, dtype, rows):
    """OpenBLAS would wake another for many of float64."""
    asked = []
    product = np.vdot
    monkeypatch.setattr(np, "vdot", lambda x, y: (asked.append(x.size), product(x, y))[1])
    x = np.random.default_rng(0).standard_normal((rows, 2)).astype(dtype)[:, :1].copy()
    assert total_square(x) == pytest.approx(float((x.astype(np.float64) ** 2).sum()), rel=1e-5)
    assert asked == ([] if dtype is np.float64 and rows > 8192 else [rows])
