"""Threads that each work on rows of their own, instead of torch's threads inside every call.

A tile takes a millisecond, and a tile takes a dozen calls. Threads that meet after every call wait
for the slowest at each of them; on a machine with other work that wait is many times the call.
"""

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

from onetrip.core.errors import ArgumentError, complaint

T = TypeVar("T")
# Float64 that OpenBLAS multiplies by itself on the thread that asks; of float32 any number.
_ALONE = 8192


def worker_count() -> int:
    """Threads that a call may keep busy: as many as torch may.

    >>> worker_count() >= 1
    True
    """
    return torch.get_num_threads()


def run_side_by_side(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Results of `tasks`, each run by a thread that has torch to itself; one alone, right here.

    An interrupt from the keyboard ends them all: a task that went on would hold up the next call.

    >>> run_side_by_side([lambda: 1, lambda: 2])
    [1, 2]
    """
    threads = worker_count()
    if len(tasks) == 1 or threads == 1:
        return [task() for task in tasks]
    crew = _Crew()
    futures = [thread_pool(threads).submit(crew.run, task) for task in tasks]
    try:
        return [future.result() for future in futures]
    except KeyboardInterrupt:
        for future in futures:
            future.cancel()
        crew.interrupt()
        raise
    finally:
        # The last number that anybody set is what threads of the future begin with.
        torch.set_num_threads(threads)


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
    """The threads at work on the tasks of one call."""

    def __init__(self) -> None:
        self._at_work: set[int] = set()

    def run(self, task: Callable[[], T]) -> T:
        """Do a task."""
        me = threading.get_ident()
        self._at_work.add(me)
        try:
            return task()
        finally:
            self._at_work.discard(me)

    def interrupt(self) -> None:
        """Raise in every thread what the main one has got, at its next line of Python."""
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
