"""Threads that each work through blocks of rows by themselves.

Torch's own threads meet at a barrier after every operation: a dozen small operations a block are
a dozen barriers, and on a busy machine each waits, spinning, for the slowest core. Here a block's
operations stay on one thread, in one cache, and the threads meet once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from onetrip.tile.side_by_side import on_one_thread, share_out, worker_count

# Elements of the samples below which threads cost more than they save.
WORTH_THREADS = 1 << 19

Block = TypeVar("Block")
Result = TypeVar("Result")


class Workers:
    """The caller and those that help it, `threads` in all."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def map(self, work: Callable[[Block], Result], blocks: Sequence[Block]) -> list[Result]:
        """Do the work for every block, and return the results in order."""
        return share_out(work, blocks, self.threads)


ALONE = Workers(1)


@contextmanager
def block_workers(device: torch.device, *, worth: bool) -> Iterator[Workers]:
    """As many workers as torch may use threads, each of which runs torch on one.

    On a device the caller does everything itself; where the work is not `worth` starting
    threads too, on one thread of torch. Torch's number of threads is set back at the end.

    >>> with block_workers(torch.device("cpu"), worth=True) as workers:
    ...     workers.map(lambda block: block + 1, [1, 2])
    [2, 3]
    """
    if device.type != "cpu":
        yield ALONE
        return
    threads = worker_count()
    with on_one_thread():
        if threads == 1 or not worth:
            yield ALONE
        else:
            yield Workers(threads)


def rows_workers(x: Tensor) -> AbstractContextManager[Workers]:
    """Workers for passes over samples [N, D], where they are many enough to be worth any."""
    return block_workers(x.device, worth=x.numel() >= WORTH_THREADS)


def pass_rows(x: Tensor) -> int:
    """Rows of one step of a pass over samples [N, D]: what a cache holds, or fills a device."""
    return 8192 if x.device.type == "cpu" else max(8192, (1 << 24) // x.shape[1])


def slices(whole: slice, step: int) -> list[slice]:
    """Consecutive parts of `whole`, of `step` rows and a rest.

    >>> slices(slice(2, 7), 3)
    [slice(2, 5, None), slice(5, 7, None)]
    """
    starts = range(whole.start, whole.stop, step)
    return [slice(start, min(start + step, whole.stop)) for start in starts]
