"""The agent's skill and its guide name commands, options and tools that exist."""

import re
import shlex
from pathlib import Path

import anyio
import pytest
import typer.main
from mcp import Client

from onetrip.cli.main import app
from onetrip.lab.mcp.server import create_server

ROOT = Path(__file__).resolve().parents[2]
SKILL = ROOT / "skills" / "onetrip-kernel" / "SKILL.md"
GUIDE = ROOT / "docs" / "guide" / "agents.md"


def unknown_words(line):
    """Words of a command line that are no command, or no option of it."""
    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    path = []
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name not in command.commands:
            return [" ".join([*path, name])]
        command = command.commands[name]
        path.append(name)
    options = {option for parameter in command.params for option in parameter.opts}
    return [word for word in words if re.match(r"-\D", word) and word not in options]


def commands(path):
    text = path.read_text(encoding="utf-8")
    spans = re.findall(r"`(onetrip lab [^`…|]+?)`", text)
    return [*spans, *re.findall(r"^(onetrip lab .+)$", text, re.MULTILINE)]


def tool_names(path):
    tables = re.findall(r"^\|.*\|$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in tables for name in re.findall(r"`([a-z]+_[a-z]+|compare|link)`", row)}


async def names_of_tools():
    async with Client(create_server(Path("unused.sqlite"))) as client:
        return {tool.name for tool in (await client.list_tools()).tools}


@pytest.mark.parametrize("path", [SKILL, GUIDE], ids=["skill", "guide"])
def test_every_command_exists(path):
    lines = commands(path)
    assert len(lines) >= 6
    assert {line: wrong for line in lines if (wrong := unknown_words(line))} == {}


def test_a_command_that_does_not_exist_is_found():
    assert unknown_words("onetrip lab promote 3") == ["lab promote"]
    assert unknown_words("onetrip lab wait 3 --until tomorrow") == ["--until"]
    assert unknown_words("onetrip lab hypothesis accept 3") == ["lab hypothesis accept"]


@pytest.mark.parametrize("path", [SKILL, GUIDE], ids=["skill", "guide"])
def test_every_tool_is_named_and_exists(path):
    assert tool_names(path) == anyio.run(names_of_tools)


def test_the_skill_has_the_common_format():
    _, front, body = SKILL.read_text(encoding="utf-8").split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.strip().splitlines())
    assert fields["name"] == SKILL.parent.name
    assert re.fullmatch(r"[a-z0-9-]{1,64}", fields["name"])
    assert 0 < len(fields["description"]) <= 1024
    assert "Use when" in fields["description"]
    assert body.count("\n") < 500
    assert "ends the campaign" in body
