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


def test_an_error_of_a_task_is_the_callers():
    def fail():
        raise ValueError("no such row")

    with pytest.raises(ValueError, match="no such row"):
        run_side_by_side([fail, lambda: 1])


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
