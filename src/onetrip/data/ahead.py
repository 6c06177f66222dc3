"""Run an iterator in threads of its own, some items ahead of who takes them.

Where every other core has a process of its own, a thread more only moves text from one core's cache
to another's: `one_core` says so, and then nothing runs ahead.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

_END: Any = object()
_on_one_core = False


@contextmanager
def one_core(only: bool) -> Iterator[None]:
    """Whether this process has but one core to work on, for as long as the context lasts."""
    global _on_one_core
    before, _on_one_core = _on_one_core, only
    try:
        yield
    finally:
        _on_one_core = before


@contextmanager
def ahead(
    items: Iterator[Item], depth: int, work: Callable[[Item], Made], threads: int = 1
) -> Iterator[Iterator[Made]]:
    """What `work` makes of each item, in order, while earlier ones are dealt with elsewhere.

    Inflating and parsing hold no lock of the interpreter, nor do most steps, nor does writing:
    together they use two cores. Items are taken one at a time, and a thread works on what it took
    itself, which its core has at hand. What that raises is raised to who takes the results. Up to
    `depth` of them wait, one more for each thread is being made; the threads end with the context.
    On `one_core` each is made when it is asked for.

    >>> with ahead(iter(range(3)), 1, str) as texts:
    ...     list(texts)
    ['0', '1', '2']
    """
    if _on_one_core:
        yield map(work, items)
        return
    last = Event()
    last.set()
    waiting: deque[Future[Made]] = deque()

    def make(mine: Event, next_one: Event) -> Made:
        mine.wait()
        try:
            item: Any = next(items, _END)
        finally:
            next_one.set()
        return item if item is _END else work(item)

    with ThreadPoolExecutor(threads, "onetrip-ahead") as makers:

        def ask() -> None:
            nonlocal last
            mine, last = last, Event()
            waiting.append(makers.submit(make, mine, last))

        def taken() -> Iterator[Made]:
            while (made := waiting.popleft().result()) is not _END:
                ask()
                yield made

        for _ in range(depth + threads):
            ask()
        try:
            yield taken()
        finally:
            # Turns are begun in order, so that none waits for one that never comes.
            makers.shutdown(wait=False, cancel_futures=True)
