"""Run a generator in a thread of its own, some items ahead of who takes them."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from onetrip.core.errors import OnetripError

_DEPTH = 4
_LOOK_S = 0.1


@contextmanager
def ahead(blocks: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """The same blocks, made while earlier ones are worked on; the thread ends with the context.

    Inflating holds no lock of the interpreter, and nor does parsing: together they use two cores.
    """
    made: queue.Queue[bytes | Exception | None] = queue.Queue(_DEPTH)
    stopped = threading.Event()

    def offer(item: bytes | Exception | None) -> None:
        while not stopped.is_set():
            try:
                made.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for block in blocks:
                offer(block)
                if stopped.is_set():
                    return
        except (OnetripError, OSError, MemoryError) as error:
            offer(error)
        else:
            offer(None)

    def taken() -> Iterator[bytes]:
        while (item := made.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    thread = threading.Thread(target=work, name="onetrip-inflate", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        thread.join()
