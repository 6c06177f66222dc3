"""An agent over MCP, the real judge on the CPU, and a problem that ships with the repository."""

import re
import shutil
import threading
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from mcp import Client

from onetrip.lab.agents.row_softmax_cpu import STEPS
from onetrip.lab.mcp.server import create_server
from onetrip.lab.problems.facts import facts_of
from onetrip.lab.problems.problem import ProblemRef
from onetrip.lab.queue.submit import add_problem
from onetrip.lab.store.database import connect
from onetrip.lab.work.loop import work

PROBLEM = Path(__file__).resolve().parents[3] / "examples" / "problems" / "row_softmax"
NAIVE, FAST, WRONG = STEPS[0].source, STEPS[1].source, STEPS[2].source


@pytest.fixture
def softmax_lab(tmp_path):
    path, folder = tmp_path / "lab.sqlite", tmp_path / "row_softmax"
    shutil.copytree(PROBLEM, folder)
    # Small, so that the time goes into judging, not into the row loop.
    task = (folder / "task.yml").read_text(encoding="utf-8")
    small = re.sub(r'(benchmarks:\n  - \{"rows": )\d+', r"\g<1>128", task)
    assert small != task
    (folder / "task.yml").write_text(small, encoding="utf-8")
    with closing(connect(path)) as connection:
        add_problem(connection, facts_of(ProblemRef("folder", str(folder))))
    stopped = threading.Event()
    worker = threading.Thread(
        target=work, args=(path,), kwargs={"until": stopped.is_set, "abort": stopped.is_set}
    )
    worker.start()
    yield path
    stopped.set()
    worker.join()


async def try_all(client):
    async def use(tool, **arguments):
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, (tool, result.content)
        return result.structured_content

    async def verdict(source, **more):
        arguments = {"problem": "row_softmax", "why": "to see", "source": source, "seconds": 60}
        number = (await use("submit_candidate", **arguments | more))["experiment"]
        while not (found := await use("wait_experiment", experiment=number, seconds=50))["final"]:
            pass
        return found

    brief = await use("get_brief", problem="row_softmax")
    assert "Softmax over the last axis" in brief["definition"]
    naive = await verdict(NAIVE)
    parent = naive["experiment"]
    fast = await verdict(FAST, parent=parent, baseline=parent)
    wrong = await verdict(WRONG, parent=parent)
    shown = await use("get_experiment", experiment=fast["experiment"])
    return naive, fast, wrong, shown


@pytest.mark.slow
def test_an_agent_is_believed_only_what_the_judge_has_seen(softmax_lab):
    async def main():
        async with Client(create_server(softmax_lab, by="agent:night")) as client:
            return await try_all(client)

    naive, fast, wrong, shown = anyio.run(main)
    assert [naive["state"], fast["state"]] == ["done", "done"], (naive, fast)
    assert wrong["state"] == "incorrect"
    assert shown["ratio"]["low"] > 1.0
    assert shown["floor_share"] < 1.0
