"""Work done behind one's back, one piece at a time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Behind:
    """Runs one piece of work in a thread of its own; the next one waits for it.

    What a piece raises is raised where the next one is begun, or waited for.

    >>> behind, done = Behind(), []
    >>> behind.begin(lambda: done.append(1))
    >>> behind.wait()
    >>> done
    [1]
    """

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "onetrip-behind")
        self._piece: Future[None] | None = None

    def begin(self, work: Callable[[], None]) -> None:
        """Begin a piece, once the one before it is done."""
        self.wait()
        self._piece = self._worker.submit(work)

    def wait(self) -> None:
        """Return when nothing is at work, or raise what ended it."""
        piece, self._piece = self._piece, None
        if piece is not None:
            piece.result()

    def give_up(self) -> None:
        """Return when nothing is at work, however that ended: nobody needs it any more."""
        piece, self._piece = self._piece, None
        if piece is not None:
            piece.exception()
