"""Real clients, over standard input and output and over HTTP, that optimise the toy end to end."""

import sys
import threading
import time
from contextlib import contextmanager

import anyio
import httpx
import httpx2
import pytest
import uvicorn
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from onetrip.lab.mcp.http import gated_app
from onetrip.lab.web.session_token import Keys, Scope, new_secret

LADDER = (
    "def custom_kernel(data): return data + data  # 4 ms\n",
    "def custom_kernel(data): return 3 * data  # wrong, 1 ms\n",
    "def custom_kernel(data): return 2 * data  # 2 ms\n",
)


async def until_final(use, experiment):
    while not (found := await use("wait_experiment", experiment=experiment))["final"]:
        pass
    return found


async def optimise(client):
    """Climb the ladder with every one of the twelve tools; return the name of who did it."""

    async def use(tool, **arguments):
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, (tool, result.content)
        return result.structured_content

    problem = (await use("list_problems"))["result"][0]
    brief = await use("get_brief", problem=problem["name"])
    assert "twice the input" in str(brief)
    parent, numbers, states = None, [], []
    for step, source in enumerate(LADDER):
        hypothesis = None
        if parent is not None:
            declared = await use(
                "propose_hypothesis",
                problem="toy",
                title=f"step {step}",
                rationale="One read is enough.",
                least_effect=0.3,
            )
            hypothesis = declared["hypothesis"]
        submitted = await use(
            "submit_candidate",
            problem="toy",
            why=f"step {step}",
            source=source,
            parent=parent,
            baseline=parent,
            hypothesis=hypothesis,
            idempotency_key=f"step-{step}",
        )
        numbers.append(submitted["experiment"])
        found = await until_final(use, numbers[-1])
        states.append(found["state"])
        if found["state"] == "done":
            parent = numbers[-1]
    assert states == ["done", "incorrect", "done"]
    # The worker asks for a second run right after it answers.
    while (again := await until_final(use, numbers[-1]))["confirmation"] is None:
        await anyio.sleep(0.05)
    await until_final(use, again["confirmation"])
    while (await use("get_experiment", experiment=numbers[-1]))["prediction"][
        "status"
    ] == "testing":
        await anyio.sleep(0.05)
    last = await use("get_experiment", experiment=numbers[-1])
    assert last["prediction"]["status"] == "supported"
    side_by_side = await use("compare", experiments=[numbers[0], numbers[2]])
    assert len(side_by_side["experiments"]) == 2
    page = await use("list_experiments", query="state:done", limit=1)
    assert (page["total"], page["next_cursor"]) == (4, 1)
    learned = await use("add_learning", text="Double.", about=[f"experiment:{numbers[2]}"])
    await use(
        "link", source=f"learning:{learned['learning']}", relation="about", target="problem:1"
    )
    table = await use("query_sql", statement="SELECT count(*) FROM learning")
    assert table["rows"] == [[1]]
    sha256 = last["candidate"]["source_sha256"]
    assert (await use("get_artifact", sha256=sha256))["text"] == LADDER[2]
    return last["proposer"]


def test_over_standard_input_and_output(lab, working):
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "onetrip.cli.main", "lab", "mcp", "--db", str(lab), "--name", "night"],
    )

    async def main():
        async with Client(server, read_timeout_seconds=60) as client:
            assert client.server_info is not None
            assert "onetrip" in client.server_info.name
            assert "ends the campaign" in (client.instructions or "")
            return await optimise(client)

    assert anyio.run(main) == "agent:night"


@contextmanager
def listening(app):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    server.should_exit = True
    thread.join()


@pytest.fixture
def keys():
    return Keys(new_secret())


@pytest.fixture
def address(lab, keys):
    with listening(gated_app(lab, token=keys.secret)) as address:
        yield address


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_over_http_with_a_token_that_may_propose(address, keys, working, mode):
    async def main():
        headers = {"Authorization": f"Bearer {keys.token(Scope.PROPOSE)}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(address, http_client=http)
            async with Client(transport, mode=mode) as client:
                return await optimise(client)

    assert anyio.run(main).startswith("agent:")


HELLO = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"content-type": "text/plain"}, 415),
    ],
)
def test_who_may_not_is_turned_away_at_the_gate(address, keys, change, status):
    headers = {
        "authorization": f"Bearer {keys.token(Scope.PROPOSE)}",
        "accept": "application/json, text/event-stream",
    }
    with httpx.Client(trust_env=False) as client:
        fine = client.post(address, json=HELLO, headers=headers)
        assert fine.status_code not in (401, 403, 415, 421), fine.text
        refused = client.post(address, json=HELLO, headers=headers | change)
    assert refused.status_code == status


def test_a_token_that_only_reads_may_not_propose(address, keys):
    headers = {"authorization": f"Bearer {keys.token(Scope.READ)}"}
    with httpx.Client(trust_env=False) as client:
        assert client.post(address, json=HELLO, headers=headers).status_code == 403


def test_a_giant_body_is_refused_before_it_is_read(address, keys):
    headers = {
        "authorization": f"Bearer {keys.token(Scope.PROPOSE)}",
        "content-type": "application/json",
    }
    with httpx.Client(trust_env=False) as client:
        refused = client.post(address, content=b"x" * (6 << 20), headers=headers)
    assert refused.status_code == 413
