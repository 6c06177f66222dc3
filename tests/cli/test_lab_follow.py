"""What happens while a command works is said, and nothing that happened before."""

import time
from contextlib import closing

from onetrip.cli.lab_follow import following
from onetrip.lab.store.database import connect
from onetrip.lab.store.events import append_event

PATIENCE_S = 10.0


def test_events_are_said_as_they_come(tmp_path):
    said = []
    with closing(connect(tmp_path / "lab.sqlite")) as connection:
        append_event(connection, "worker.joined", "worker", 1, "before")
        with following(tmp_path / "lab.sqlite", said.append):
            append_event(connection, "attempt.stage", "attempt", 1, "a stage, for terminals")
            append_event(connection, "worker.joined", "worker", 1, "meanwhile")
            deadline = time.monotonic() + PATIENCE_S
            while not said and time.monotonic() < deadline:
                time.sleep(0.05)
        append_event(connection, "worker.left", "worker", 1, "after")
    assert said == ["meanwhile"]
