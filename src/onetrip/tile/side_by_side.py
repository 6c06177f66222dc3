"""Threads that each work on rows of their own, instead of torch's threads inside every call.

A tile takes a millisecond, and a tile takes a dozen calls. Threads that meet after every call wait
for the slowest at each of them; on a machine with other work that wait is many times the call.
"""

import ctypes
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

from onetrip.core.errors import ArgumentError, complaint

Block = TypeVar("Block")
Result = TypeVar("Result")
# Float64 that OpenBLAS multiplies by itself on the thread that asks; of float32 any number.
_ALONE = 8192


def worker_count() -> int:
    """Threads that a call may keep busy: as many as torch may.

    >>> worker_count() >= 1
    True
    """
    return torch.get_num_threads()


def run_side_by_side(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Results of `tasks`, each run by a thread that has torch to itself.

    >>> run_side_by_side([lambda: 1, lambda: 2])
    [1, 2]
    """
    threads = worker_count()
    with on_one_thread(where=len(tasks) > 1):
        return share_out(lambda task: task(), tasks, threads)


def share_out(
    work: Callable[[Block], Result], blocks: Sequence[Block], threads: int
) -> list[Result]:
    """Do `work` for every block, and return the results in order.

    The caller, who has left torch one thread, begins at once: a thread that slept wakes late. An
    error leaves what nobody has begun. An interrupt from the keyboard ends what others are at as
    well: a task that went on would hold up the next call.

    >>> share_out(lambda block: block + 1, [1, 2], threads=2)
    [2, 3]
    """
    if threads == 1 or len(blocks) < 2:
        return [work(block) for block in blocks]
    left = deque(enumerate(blocks))
    results: dict[int, Result] = {}

    def share() -> None:
        try:
            while True:
                try:
                    place, block = left.popleft()
                except IndexError:
                    return
                results[place] = work(block)
        finally:
            # After an error: nobody wants what is left.
            left.clear()

    crew, pool = _Crew(), thread_pool(threads - 1)
    helpers = [pool.submit(crew.run, share) for _ in range(min(threads, len(blocks)) - 1)]
    try:
        share()
        wait(helpers)
    except KeyboardInterrupt:
        crew.interrupt()
        raise
    finally:
        wait(helpers)
    for helper in helpers:
        helper.result()
    return [results[place] for place in range(len(blocks))]


def total_square(x: np.ndarray) -> float:
    """Sum of all squares of `x`, by the thread that asks.

    OpenBLAS shares longer products of float64 with a thread that then looks for more work for
    milliseconds: 800 µs for 115,000 where a plain loop takes 50.

    >>> total_square(np.array([[3.0], [4.0]]))
    25.0
    """
    if x.dtype == np.float32 or x.size <= _ALONE:
        return float(np.vdot(x, x))
    flat = x.reshape(-1)
    return float(np.einsum("i,i->", flat, flat))


class _Crew:
    """The threads that help with one call."""

    def __init__(self) -> None:
        self._at_work: set[int] = set()
        self._lock = threading.Lock()

    def run(self, task: Callable[[], None]) -> None:
        """Do a task."""
        me = threading.get_ident()
        self._at_work.add(me)
        try:
            task()
        finally:
            # Whoever is interrupted is so in here, and not in the pool's own lines.
            with self._lock:
                self._at_work.discard(me)

    def interrupt(self) -> None:
        """Raise in every thread what the main one has got, at its next line of Python."""
        with self._lock:
            for thread in tuple(self._at_work):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
                )


@contextmanager
def on_one_thread(*, where: bool = True) -> Iterator[None]:
    """Leave torch one thread, `where` the calls are small: waking others takes longer than those.

    >>> with on_one_thread():
    ...     worker_count()
    1
    """
    threads = worker_count()
    if not where or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def on_threads(n_jobs: int | None) -> Iterator[None]:
    """Leave torch as many of its threads as `n_jobs` asks for: None or -1 all, -2 all but one.

    >>> with on_threads(1):
    ...     worker_count()
    1
    """
    if n_jobs == 0:
        expected = "a number of threads, -1 for all of torch's, or None"
        raise ArgumentError(complaint("n_jobs", expected=expected, got=0))
    threads = worker_count()
    wanted = threads if n_jobs is None else n_jobs
    wanted = max(1, min(threads, wanted if wanted > 0 else threads + 1 + wanted))
    if wanted == threads:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@functools.cache
def thread_pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: new ones, with their memory, cost a small search half of its time.

    Torch keeps the number of its threads for each thread that calls it, so one is set in each.
    """
    return ThreadPoolExecutor(threads, "onetrip", _leave_one_thread)


def _leave_one_thread() -> None:
    # A thread's first question takes over what was last set anywhere, however late it comes.
    torch.get_num_threads()
    torch.set_num_threads(1)


# A forked process has the pool, and none of its threads.
os.register_at_fork(after_in_child=thread_pool.cache_clear)
