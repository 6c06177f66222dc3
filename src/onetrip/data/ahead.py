"""Run an iterator in a thread of its own, some items ahead of who takes them."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

_LOOK_S = 0.1


@contextmanager
def ahead(items: Iterator[Item], depth: int) -> Iterator[Iterator[Item]]:
    """The same items, made while earlier ones are worked on; the thread ends with the context.

    Inflating and parsing hold no lock of the interpreter, nor do most steps, nor does writing:
    together they use two cores. What they raise is raised to who takes the items. Up to `depth`
    items wait, one more is being made.

    >>> with ahead(iter(range(3)), 1) as numbers:
    ...     list(numbers)
    [0, 1, 2]
    """
    made: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def offer(item: tuple[Item] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                made.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                offer((item,))
                if stopped.is_set():
                    return
        except BaseException as error:
            offer(error)
        else:
            offer(None)

    def taken() -> Iterator[Item]:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]

    thread = threading.Thread(target=work, name="onetrip-ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        thread.join()
