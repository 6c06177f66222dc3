"""Run an iterator in a thread of its own, some items ahead of who takes them."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")

_END: Any = object()


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
    with ThreadPoolExecutor(1, "onetrip-ahead") as maker:
        waiting = deque(maker.submit(next, items, _END) for _ in range(depth + 1))

        def taken() -> Iterator[Item]:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(maker.submit(next, items, _END))
                yield item

        try:
            yield taken()
        finally:
            for item in waiting:
                item.cancel()
