"""The eight tools that read. They change nothing, and none takes longer than 50 seconds."""

from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.types import ToolAnnotations
from pydantic import Field

from onetrip.lab.desk import desk
from onetrip.lab.mcp.teaching import opened, teaching

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

ProblemName = Annotated[
    int | str, Field(description="A problem's number or name, from list_problems.")
]
Experiment = Annotated[int, Field(ge=1, description="Number of an experiment.")]


def add_reading_tools(server: MCPServer, database: Path) -> None:
    """Give `server` the tools that read `database`."""

    @server.tool(annotations=_READS)
    def list_problems() -> list[dict[str, Any]]:
        """All problems: what each is, its best so far, and why a refused one is not judged."""
        with opened(database) as connection:
            return desk.list_problems(connection)

    @server.tool(annotations=_READS)
    def get_brief(problem: ProblemName) -> dict[str, Any]:
        """Read this first: definition, how a source is called, tolerance, floor, best so far.

        Also what failed and why, what was learned, open hypotheses and measured device facts.
        """
        with opened(database) as connection:
            return desk.get_brief(connection, problem)

    @server.tool(annotations=_READS)
    def get_experiment(
        experiment: Experiment,
        raw: Annotated[bool, Field(description="Also every sample, block and event.")] = False,
    ) -> dict[str, Any]:
        """Everything about one experiment: source, diff, prediction, checks, times, evidence."""
        with opened(database) as connection:
            return desk.get_experiment(connection, experiment, raw=raw)

    @server.tool(annotations=_READS)
    def wait_experiment(
        experiment: Experiment,
        seconds: Annotated[
            float, Field(ge=0, le=desk.LONGEST_WAIT_S, description="Longest wait.")
        ] = 30.0,
    ) -> desk.Progress:
        """Wait for a verdict, at most 50 s. Not `final` yet? Call again, or work on meanwhile."""
        with opened(database) as connection:
            return desk.wait_experiment(connection, experiment, seconds)

    @server.tool(annotations=_READS)
    def list_experiments(
        query: Annotated[
            str,
            Field(
                max_length=500,
                description="Words and field:value, such as 'problem:vectoradd state:done "
                "hypothesis:3 proposer:agent ratio:>1.1'. Empty for all.",
            ),
        ] = "",
        limit: Annotated[int, Field(ge=1, le=desk.LARGEST_PAGE)] = 20,
        cursor: Annotated[int, Field(ge=0, description="next_cursor of the page before.")] = 0,
        order: Annotated[
            str, Field(max_length=40, description="A column; '-' in front: the largest first.")
        ] = "-updated",
    ) -> desk.Page:
        """One page of experiments, with counts by state."""
        with opened(database) as connection:
            return desk.list_experiments(connection, query, limit=limit, cursor=cursor, order=order)

    @server.tool(annotations=_READS)
    def compare(
        experiments: Annotated[
            list[int], Field(min_length=2, max_length=desk.MOST_COMPARED, description="Numbers.")
        ],
    ) -> dict[str, Any]:
        """Several experiments side by side: what differs, times with their intervals."""
        with opened(database) as connection:
            return desk.compare(connection, experiments)

    @server.tool(annotations=_READS)
    def query_sql(
        statement: Annotated[
            str,
            Field(
                max_length=10_000,
                description="One SELECT in SQLite's dialect. Tables: problem, candidate, "
                "experiment, attempt, check_result, measurement, comparison, metric, flag, "
                "hypothesis, learning, edge, ledger, priority_change, event.",
            ),
        ],
        max_rows: Annotated[int, Field(ge=1, le=desk.LARGEST_TABLE)] = 100,
    ) -> dict[str, Any]:
        """Read anything in the lab. Writes are refused, rows and seconds are limited."""
        with teaching():
            return desk.query_sql(database, statement, max_rows=max_rows)

    @server.tool(annotations=_READS)
    def get_artifact(
        sha256: Annotated[str, Field(max_length=64, description="From an experiment.")],
        offset: Annotated[int, Field(ge=0, description="In bytes.")] = 0,
        length: Annotated[int, Field(ge=1, le=desk.LARGEST_RANGE)] = 16 << 10,
    ) -> desk.Artifact:
        """A range of a source or a log. Go on at `next_offset` until it is null."""
        with opened(database) as connection:
            return desk.get_artifact(connection, sha256, offset=offset, length=length)
