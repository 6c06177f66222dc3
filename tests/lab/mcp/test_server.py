"""The MCP server in this process: its tools, their schemas, and what hostile input gets."""

import json
from contextlib import closing

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from onetrip.lab.desk import desk
from onetrip.lab.mcp.server import INSTRUCTIONS, create_server
from onetrip.lab.store.database import connect

TOOLS = {
    "get_brief",
    "list_problems",
    "submit_candidate",
    "get_experiment",
    "wait_experiment",
    "list_experiments",
    "compare",
    "propose_hypothesis",
    "add_learning",
    "link",
    "query_sql",
    "get_artifact",
}
SOURCE = "def custom_kernel(data): return data + data  # 4 ms\n"


def with_client(lab, ask, by="agent:night"):
    """What `ask(client)` returns, with a client of a server in this process."""

    async def main():
        async with Client(create_server(lab, by=by)) as client:
            return await ask(client)

    return anyio.run(main)


def call(lab, tool, **arguments):
    return with_client(lab, lambda client: client.call_tool(tool, arguments))


def answer(result):
    assert not result.is_error, result.content
    return result.structured_content


def test_the_twelve_tools_say_what_they_may_do(lab):
    tools = with_client(lab, lambda client: client.list_tools()).tools
    assert {tool.name for tool in tools} == TOOLS
    writes = {tool.name for tool in tools if not tool.annotations.read_only_hint}
    assert writes == {"submit_candidate", "propose_hypothesis", "add_learning", "link"}
    assert not any(tool.annotations.destructive_hint for tool in tools)
    for tool in tools:
        assert tool.description, tool.name
        assert tool.output_schema, tool.name


def test_bounds_and_choices_are_in_the_schemas(lab):
    tools = with_client(lab, lambda client: client.list_tools()).tools
    schemas = {tool.name: tool.input_schema["properties"] for tool in tools}
    assert schemas["wait_experiment"]["seconds"]["maximum"] == desk.LONGEST_WAIT_S == 50.0
    assert schemas["list_experiments"]["limit"]["maximum"] == 50
    assert schemas["propose_hypothesis"]["direction"]["enum"] == ["decrease", "increase"]
    assert "supports" not in schemas["link"]["relation"]["enum"]
    assert "context" not in schemas["submit_candidate"]


def test_no_tool_takes_a_tolerance_a_verdict_or_a_measurement(lab):
    tools = with_client(lab, lambda client: client.list_tools()).tools
    writing = [tool for tool in tools if not tool.annotations.read_only_hint]
    names = {name for tool in writing for name in tool.input_schema["properties"]}
    assert not names & {"tolerance", "policy", "outcome", "state", "status", "verdict", "seed"}
    assert not names & {"samples_ms", "median_ms", "speedup", "purpose", "priority", "by"}


def test_the_instructions_state_the_loop_and_the_rule():
    assert "Any attempt to game the judge ends the campaign" in INSTRUCTIONS
    places = [INSTRUCTIONS.index(tool) for tool in ("get_brief", "propose_hypothesis")]
    places += [INSTRUCTIONS.index(tool) for tool in ("submit_candidate", "wait_experiment")]
    places += [INSTRUCTIONS.index("add_learning")]
    assert places == sorted(places)


def test_a_client_cannot_choose_its_name(lab):
    submitted = answer(call(lab, "submit_candidate", problem="toy", why="to see", source=SOURCE))
    row = answer(call(lab, "get_experiment", experiment=submitted["experiment"]))
    assert row["proposer"] == "agent:night"
    result = call(lab, "submit_candidate", problem="toy", why="y", source=SOURCE, by="person")
    with closing(connect(lab)) as connection:
        found = connection.execute("SELECT DISTINCT proposer FROM experiment").fetchall()
    assert [row["proposer"] for row in found] == ["agent:night"], result


def test_a_client_without_a_name_given_is_filed_under_its_own(lab):
    async def ask(client):
        return await client.call_tool(
            "submit_candidate", {"problem": "toy", "why": "to see", "source": SOURCE}
        )

    number = answer(with_client(lab, ask, by=None))["experiment"]
    row = answer(call(lab, "get_experiment", experiment=number))
    assert row["proposer"].startswith("agent:")


HOSTILE = {
    "giant source": ("submit_candidate", {"source": "x" * 300_000}, "at most 256 KiB"),
    "unknown problem": ("submit_candidate", {"problem": "tyo", "source": SOURCE}, "known: toy"),
    "unknown experiment": ("get_experiment", {"experiment": 99}, "there is none yet"),
    "experiment of many digits": ("get_experiment", {"experiment": 10**40}, ""),
    "negative experiment": ("wait_experiment", {"experiment": -1}, "greater than or equal to 1"),
    "endless wait": ("wait_experiment", {"experiment": 1, "seconds": 600}, "less than or equal"),
    "path traversal": ("get_artifact", {"sha256": "../../etc/passwd"}, "64 hexadecimal digits"),
    "long path": ("get_artifact", {"sha256": "../" * 100}, "at most 64 characters"),
    "write": ("query_sql", {"statement": "DELETE FROM tolerance"}, "a SELECT of tables"),
    "two statements": ("query_sql", {"statement": "SELECT 1; SELECT 2"}, "one SELECT"),
    "giant table": ("query_sql", {"statement": "SELECT 1", "max_rows": 10**6}, "200"),
    "no SQL": ("query_sql", {"statement": "hello"}, "Names of tables"),
    "unknown field": ("list_experiments", {"query": "colour:red"}, "colour"),
    "giant page": ("list_experiments", {"limit": 1000}, "less than or equal to 50"),
    "self-made evidence": (
        "link",
        {"source": "experiment:1", "relation": "supports", "target": "hypothesis:1"},
        "'about', 'contradicts' or 'supersedes'",
    ),
    "certain prior": (
        "propose_hypothesis",
        {"problem": "toy", "title": "t", "rationale": "r", "prior": 1.0},
        "less than 1",
    ),
    "sure beyond one": ("add_learning", {"text": "t", "confidence": 2}, "less than or equal to 1"),
    "learning about nothing": ("add_learning", {"text": "t", "about": ["moon"]}, "KIND:NUMBER"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_allowed_is_an_error_that_teaches(lab, name):
    tool, arguments, words = HOSTILE[name]
    if tool == "submit_candidate":
        arguments = {"problem": "toy", "why": "to see"} | arguments
    result = call(lab, tool, **arguments)
    assert result.is_error
    text = result.content[0].text
    assert words in text, text
    assert "Traceback" not in text


def test_a_database_that_is_none_is_said(tmp_path):
    path = tmp_path / "lab.sqlite"
    path.write_text("not a database at all" * 100)
    result = call(path, "list_problems")
    assert result.is_error
    assert "cannot be used" in result.content[0].text


def test_a_resource_is_an_experiment_its_source_and_its_log(lab, judge_all):
    number = answer(call(lab, "submit_candidate", problem="toy", why="y", source=SOURCE))
    number = number["experiment"]

    async def read(client):
        found = []
        for tail in ("", "/source"):
            read = await client.read_resource(f"lab://experiment/{number}{tail}")
            found.append(read.contents[0].text)
        with pytest.raises(MCPError, match="has not a log"):
            await client.read_resource(f"lab://experiment/{number}/log")
        judge_all()
        log = await client.read_resource(f"lab://experiment/{number}/log")
        return [*found, log.contents[0].text]

    document, source, log = with_client(lab, read)
    assert json.loads(document)["id"] == number
    assert (source, log) == (SOURCE, "compiled in 0.1 s\n")


@pytest.mark.parametrize("tail", ["99", "..%2F..%2Fetc%2Fpasswd", "1%00", "-1", "9" * 40])
def test_a_resource_that_is_none_is_refused(lab, tail):
    async def read(client):
        with pytest.raises(MCPError):
            await client.read_resource(f"lab://experiment/{tail}")

    with_client(lab, read)
