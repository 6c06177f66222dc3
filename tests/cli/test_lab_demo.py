"""`onetrip lab demo`: the page opens first, and the summary comes even when time runs out."""

import re
import subprocess
import sys
from contextlib import closing

from onetrip.cli.lab_demo import problem_folder
from onetrip.lab.store.database import connect


def test_the_problem_is_found():
    assert (problem_folder() / "task.yml").is_file()


def test_the_demo_ends_by_itself_and_says_how_to_go_on(tmp_path):
    database = tmp_path / "lab.sqlite"
    command = [sys.executable, "-m", "onetrip.cli.main", "lab", "demo", "--until-done"]
    options = ["--seconds", "2", "--db", str(database)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, *_ = done.stderr.splitlines()
    address = re.fullmatch(r"The page: (http://127\.0\.0\.1:(\d+)/\?token=\S+)", first)
    assert address is not None
    assert "agent:scripted queued #1 A row at a time" in done.stderr
    assert f"onetrip lab serve --db {database} --port {address.group(2)}" in done.stdout
    assert done.stdout.splitlines()[-1] == f"The page: {address.group(1)}"
    with closing(connect(database)) as connection:
        ended = connection.execute("SELECT ended_why FROM campaign").fetchone()
        open_attempts = connection.execute(
            "SELECT count(*) FROM attempt WHERE outcome IS NULL"
        ).fetchone()[0]
    assert ended["ended_why"] == "stopped"
    assert open_attempts == 0
