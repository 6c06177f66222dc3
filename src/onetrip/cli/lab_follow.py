"""Say what happens in the lab while a command of it works."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from onetrip.cli import screen
from onetrip.cli.lab_options import opened

_LOOK_S = 0.2


@contextmanager
def following(database: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Say every event of the lab from now on; the stages of a trial only in a terminal.

    Parameters
    ----------
    say : of `screen.working`: one live line in a terminal, a line for each event elsewhere.
    """
    from onetrip.lab.store.events import events_after, last_seq

    stages = screen.console(stderr=True).is_terminal
    stopped = threading.Event()
    ready = threading.Event()

    def follow() -> None:
        with opened(database) as connection:
            seq = last_seq(connection)
            ready.set()
            while not stopped.wait(_LOOK_S):
                for event in events_after(connection, seq):
                    seq = event.seq
                    if stages or event.type != "attempt.stage":
                        say(event.text)

    thread = threading.Thread(target=follow, name="onetrip-log")
    thread.start()
    ready.wait(timeout=5.0)
    try:
        yield
    finally:
        stopped.set()
        thread.join()
