"""Threads that each work through blocks of rows by themselves.

Torch's own threads meet at a barrier after every operation: a dozen small operations a block are
a dozen barriers, and on a busy machine each waits for the slowest core. Here a block's operations
stay on one thread, in one cache, and the threads meet once.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Block = TypeVar("Block")
Result = TypeVar("Result")
Spread = Callable[[Callable[[Block], Result], Sequence[Block]], list[Result]]


@contextmanager
def block_threads(device: torch.device) -> Iterator[Spread]:
    """Yield a `map` of blocks over as many threads as torch may use, results in order.

    On a device, or where torch may use one thread, everything stays on the caller's.

    >>> with block_threads(torch.device("cpu")) as spread:
    ...     spread(lambda block: block + 1, [1, 2])
    [2, 3]
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield lambda work, blocks: [work(block) for block in blocks]
        return
    # The number is each thread's own, but a thread born later starts with the last one set:
    # the caller's is set again once the workers have theirs.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def spread(work: Callable[[Block], Result], blocks: Sequence[Block]) -> list[Result]:
            if len(blocks) == 1:
                return [work(blocks[0])]
            results = list(pool.map(work, blocks))
            torch.set_num_threads(threads)
            return results

        yield spread
