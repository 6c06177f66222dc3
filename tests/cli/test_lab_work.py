"""`onetrip lab work`: it goes when it is told to, and leaves nothing open."""

import signal
import subprocess
import sys
from contextlib import closing

import pytest

from onetrip.lab.store.database import connect


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminated"])
def test_a_worker_that_is_stopped_leaves_the_lab(tmp_path, sent):
    database = tmp_path / "lab.sqlite"
    command = [sys.executable, "-m", "onetrip.cli.main", "lab", "work", "--db", str(database)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "Working on cpu; Ctrl-C ends it.\n"
        process.send_signal(sent)
        try:
            _, said = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    with closing(connect(database)) as connection:
        workers = connection.execute("SELECT ended_at FROM worker").fetchall()
    assert all(row["ended_at"] is not None for row in workers)
