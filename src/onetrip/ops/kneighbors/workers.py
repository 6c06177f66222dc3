"""Threads that each work on rows of their own, instead of torch's threads inside every call.

A tile takes a millisecond, and a tile takes a dozen calls. Threads that meet after every call wait
for the slowest at each of them; on a machine with other work that wait is many times the call.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def worker_count() -> int:
    """Threads that a call may keep busy: as many as torch may.

    >>> worker_count() >= 1
    True
    """
    return torch.get_num_threads()


def run_side_by_side(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Results of `tasks`, each run by a thread that has torch to itself; one alone, right here.

    >>> run_side_by_side([lambda: 1, lambda: 2])
    [1, 2]
    """
    if len(tasks) == 1:
        return [tasks[0]()]
    threads = worker_count()
    if threads == 1:
        return [task() for task in tasks]
    try:
        # Torch keeps the number of its threads for each thread that calls it.
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(lambda task: task(), tasks))
    finally:
        # The last number that anybody set is what threads of the future begin with.
        torch.set_num_threads(threads)
