"""Work done behind one's back, one piece at a time."""

import threading
from collections.abc import Callable


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
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def begin(self, work: Callable[[], None]) -> None:
        """Begin a piece, once the one before it is done."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when nothing is at work, or raise what ended it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def give_up(self) -> None:
        """Return when nothing is at work, however that ended: nobody needs it any more."""
        if self._thread is not None:
            self._thread.join()
        self._thread = self._failure = None

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._failure = error
