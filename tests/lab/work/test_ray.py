import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from onetrip.lab.problems.facts import facts_of
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.queue.submit import add_problem, submit

WORLD = Path(__file__).parent / "ray_world.py"
VECTORADD = Path(__file__).parents[3] / "examples" / "problems" / "vectoradd"
RIGHT = "import torch\n\ndef custom_kernel(data):\n    a, b = data\n    return a + b\n"
WRONG = "import torch\n\ndef custom_kernel(data):\n    a, b = data\n    return a - b\n"
DIES = "import os\n\ndef custom_kernel(data):\n    os._exit(3)\n"


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is missing: pip install 'onetrip[ray]'"
)
def test_ray_tasks_answer_and_the_lab_keeps_the_record(database, connection):
    problem_id = add_problem(connection, facts_of(ProblemRef("folder", str(VECTORADD))))
    expected = {}
    for source, state in ((RIGHT, "done"), (WRONG, "incorrect"), (DIES, "crashed")):
        submitted = submit(
            connection,
            problem_id,
            Contender("source", source),
            proposer="person",
            why="to see",
            purpose="baseline",
            limits={"seconds": 120},
        )
        expected[submitted.experiment_id] = state
    world = subprocess.run(
        [sys.executable, "-P", str(WORLD), str(database)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert world.returncode == 0, world.stderr[-3000:]
    assert "answered 3" in world.stdout
    rows = connection.execute("SELECT id, state, reason FROM experiment").fetchall()
    assert {row["id"]: row["state"] for row in rows} == expected, [tuple(row) for row in rows]
    kinds = connection.execute(
        "SELECT DISTINCT worker.kind FROM attempt JOIN worker ON worker.id = worker_id"
    ).fetchall()
    assert [row["kind"] for row in kinds] == ["ray"]
