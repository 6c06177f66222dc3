"""The life of a local worker: take a task, run it, say how it went, until nobody asks."""

import os
import signal
import threading
import time
from multiprocessing.connection import Connection

import pyarrow as pa

from onetrip.data.engine.executors.executor import READY
from onetrip.data.engine.executors.without_pandas import leave_pandas_out, let_pandas_in
from onetrip.data.engine.plan import Stage
from onetrip.data.engine.task import Moved, Places, Task
from onetrip.data.engine.worker import run_task
from onetrip.data.store.aside import is_full_disk

# How soon a worker notices that it is alone.
_LOOK_S = 0.5


def serve(handle: int, parent: int) -> None:
    """Run tasks that come through the socket `handle`, a file descriptor, until it is closed.

    When `parent`, the process that hands them out, is gone, so is this one, whatever it does.
    """
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # Of Arrow's own threads one is enough: tasks have theirs, and there is a task for each core.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    leave_pandas_out()
    connection = Connection(handle)
    connection.send(READY)
    stage: Stage | None = None
    places: Places | None = None
    while True:
        try:
            message = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        if isinstance(message, Task):
            if stage is not None and places is not None:
                _run(connection, stage, places, message)
        else:
            stage, places = message
            if stage is not None:
                let_pandas_in(step for step in (stage.head, *stage.chain, stage.tail) if step)


def _end_with(parent: int) -> None:
    """End this process at once when its parent has: what is half written has no name yet."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    if os.getpgrp() == os.getpid():
        # Programs that a step started, too.
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _run(connection: Connection, stage: Stage, places: Places, task: Task) -> None:
    def report(moved: Moved) -> None:
        connection.send(moved)

    try:
        outcome = run_task(stage, task, places, report)
    except (BrokenPipeError, ConnectionResetError):
        # Nobody is there any more to commit what we would finish.
        raise SystemExit(1) from None
    except MemoryError as error:
        connection.send(("S02", f"{type(error).__name__}: {error}"))
    except Exception as error:
        if is_full_disk(error):
            connection.send(("S01", str(error)))
            return
        connection.send(("S03", f"{type(error).__name__}: {error}"))
        # What raised where nobody expected it may have left anything behind: start afresh.
        raise SystemExit(1) from error
    else:
        connection.send(outcome)
