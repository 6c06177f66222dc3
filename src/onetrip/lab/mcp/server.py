"""The MCP server of a lab: who it is, what it tells an agent first, which tools it has."""

import re
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

import onetrip
from onetrip.lab.mcp.proposing import add_proposing_tools
from onetrip.lab.mcp.reading import add_reading_tools
from onetrip.lab.mcp.resources import add_resources

INSTRUCTIONS = """\
This is a laboratory for fast kernels. You propose; an isolated judge proves and times; everything \
is kept.

The loop:
1. get_brief(problem): the definition, the floor (the least time that the device allows), the best \
so far, what failed and why. State the floor before you write code.
2. propose_hypothesis: predict what one change will do, before you measure it. Metric, direction, \
least effect.
3. submit_candidate: one change, with its parent, its hypothesis and the reason. It answers at once.
4. wait_experiment until it is final; get_experiment shows checks, times and evidence.
5. add_learning: what you now know, above all when you were wrong. Then predict again.

How the judge works: truth is the definition in float64; inputs are new for every timed call, from \
a seed drawn after your source is fixed; every output of a timed call is checked; your process \
sees inputs and output buffers and nothing else, without network; times are paired with a rival's \
in random order, and only an interval that excludes 1 counts, twice. A time below the floor is \
quarantined.

Any attempt to game the judge ends the campaign. Skipped work, kept answers, a changed clock, a \
looser tolerance: each is an outcome of its own, "hacked", with the evidence beside it. You cannot \
change tolerances, verdicts or measurements; no tool does. A status follows from verdicts alone. \
A refuted prediction is a good result: say what it taught.
"""

_ANONYMOUS = "agent:unnamed"


def create_server(database: Path, *, by: str | None = None) -> MCPServer:
    """Make the server of the lab in `database`.

    Parameters
    ----------
    by : under which everything is filed, such as "agent:night"; None: each client's own name.
    """
    server = MCPServer(
        name="onetrip-lab",
        title="onetrip lab",
        description="Propose kernels, have them proved and timed, keep what was learned.",
        instructions=INSTRUCTIONS,
        version=onetrip.__version__,
        log_level="WARNING",
    )

    def author(context: Context) -> str:
        return by or _client_name(context)

    add_reading_tools(server, database)
    add_proposing_tools(server, database, author)
    add_resources(server, database)
    return server


def _client_name(context: Context) -> str:
    """A client's name for itself, always behind "agent:": no client can pose as a person."""
    client = context.request_context.session.client_params
    if client is None:
        return _ANONYMOUS
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", client.client_info.name)[:40].strip("-")
    return f"agent:{name}" if name else _ANONYMOUS
