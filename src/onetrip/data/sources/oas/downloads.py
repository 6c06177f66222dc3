"""Downloads side by side, in threads that nobody has to wait for."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

# What a download may take to see that it is to end. One whose server is silent does not.
_GRACE_S = 1.0


def side_by_side(
    work: Callable[[Item], Made], items: Sequence[Item], threads: int, ended: Event
) -> list[Made]:
    """What `work` makes of each item, in their order; the first error ends all of it.

    `ended` is set when this ends, however it does: at an error, at Ctrl-C, at the end. Threads that
    take no notice of it for a second are left behind, and do not keep the process. A pool of
    `concurrent.futures` waits for them: for a minute, where a server says nothing any more.

    >>> side_by_side(str, [1, 2, 3], 2, Event())
    ['1', '2', '3']
    """
    waiting = iter(enumerate(items))
    turn = Lock()
    made: SimpleQueue[tuple[int, Made | None, BaseException | None]] = SimpleQueue()

    def serve() -> None:
        while not ended.is_set():
            with turn:
                number, item = next(waiting, (-1, None))
            if item is None:
                return
            # What it raises is raised again by who waits, whatever it is, and not in this thread.
            with ExitStack() as errors:
                errors.push(partial(_hand_over, made, number))
                made.put((number, work(item), None))

    servants = [
        Thread(target=serve, name=f"onetrip-fetch-{number}", daemon=True)
        for number in range(min(threads, len(items)))
    ]
    results: dict[int, Made] = {}
    try:
        for servant in servants:
            servant.start()
        for _ in items:
            number, result, error = made.get()
            if error is not None:
                raise error
            results[number] = result  # pyright: ignore[reportArgumentType]
    finally:
        ended.set()
        until = time.monotonic() + _GRACE_S
        for servant in servants:
            if servant.is_alive():
                servant.join(max(0.0, until - time.monotonic()))
    return [results[number] for number in range(len(items))]


def _hand_over(
    made: SimpleQueue[Any], number: int, kind: object, error: BaseException | None, trace: object
) -> bool:
    if error is not None:
        made.put((number, None, error))
    return True
