"""The four tools that add. They propose and note; no tool can judge, measure or allow."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import ToolAnnotations
from pydantic import Field

from onetrip.lab.desk import desk
from onetrip.lab.mcp.reading import ProblemName
from onetrip.lab.mcp.teaching import opened

_ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
_ADDS_ONCE = _ADDS.model_copy(update={"idempotent_hint": True})

Words = Annotated[str, Field(min_length=1, max_length=4000)]
Node = Annotated[
    str, Field(max_length=40, description="KIND:NUMBER, such as 'experiment:12', 'learning:3'.")
]


def add_proposing_tools(
    server: MCPServer, database: Path, author: Callable[[Context], str]
) -> None:
    """Give `server` the tools that add to `database` in the name that `author` finds."""

    @server.tool(annotations=_ADDS_ONCE)
    def submit_candidate(
        problem: ProblemName,
        why: Annotated[Words, Field(description="One sentence; it stands beside the result.")],
        context: Context,
        source: Annotated[
            str, Field(description="The text of one Python file, as the brief's entry asks.")
        ] = "",
        impl: Annotated[str, Field(max_length=40, description="Or an implementation,")] = "",
        config: Annotated[
            dict[str, Any] | None, Field(description="with its configuration; operators only.")
        ] = None,
        title: Annotated[str, Field(max_length=200)] = "",
        hypothesis: Annotated[
            int | None, Field(ge=1, description="Which hypothesis the result decides.")
        ] = None,
        parent: Annotated[
            int | None, Field(ge=1, description="The experiment that it was made from.")
        ] = None,
        baseline: Annotated[
            int | None, Field(ge=1, description="Timed beside that one, not the champion.")
        ] = None,
        seconds: Annotated[
            float | None, Field(gt=0, le=3600, description="Limit of one attempt.")
        ] = None,
        idempotency_key: Annotated[
            str | None, Field(max_length=200, description="The same key, the same experiment.")
        ] = None,
    ) -> desk.Submission:
        """Queue one candidate; answers at once with the number to wait for."""
        with opened(database) as connection:
            return desk.submit_candidate(
                connection,
                problem,
                why=why,
                by=author(context),
                source=source,
                impl=impl,
                config=config,
                title=title,
                hypothesis=hypothesis,
                parent=parent,
                baseline=baseline,
                seconds=seconds,
                idempotency_key=idempotency_key,
            )

    @server.tool(annotations=_ADDS)
    def propose_hypothesis(
        problem: ProblemName,
        title: Annotated[str, Field(min_length=1, max_length=200)],
        rationale: Annotated[Words, Field(description="Why it should be so; Markdown.")],
        context: Context,
        metric: Annotated[
            str, Field(max_length=60, description="latency_ms, peak_bytes, max_error, or a run's.")
        ] = "latency_ms",
        direction: Literal["decrease", "increase"] = "decrease",
        least_effect: Annotated[
            float, Field(ge=0, le=100, description="Relative: 0.2 is a fifth at least.")
        ] = 0.05,
        workloads: Annotated[list[str] | None, Field(description="Names; none for all.")] = None,
        prior: Annotated[
            float, Field(gt=0, lt=1, description="How likely you hold it to be, before.")
        ] = 0.5,
        parent: Annotated[int | None, Field(ge=1, description="A wider hypothesis.")] = None,
    ) -> dict[str, Any]:
        """Declare a prediction before you measure; it is frozen, and its status is computed."""
        with opened(database) as connection:
            return desk.propose_hypothesis(
                connection,
                problem,
                title=title,
                rationale=rationale,
                by=author(context),
                metric=metric,
                direction=direction,
                least_effect=least_effect,
                workloads=tuple(workloads or ()),
                prior=prior,
                parent=parent,
            )

    @server.tool(annotations=_ADDS)
    def add_learning(
        text: Annotated[Words, Field(description="What you now know; Markdown.")],
        context: Context,
        confidence: Annotated[float, Field(ge=0, le=1)] = 0.7,
        about: Annotated[
            list[Node] | None, Field(max_length=50, description="What it rests on.")
        ] = None,
        scope: Annotated[
            dict[str, Any] | None,
            Field(description="Where it holds: {'problem': …, 'device': …, 'dtype': …}."),
        ] = None,
    ) -> dict[str, Any]:
        """Keep what an experiment taught, also and above all when it failed."""
        with opened(database) as connection:
            return desk.add_learning(
                connection,
                text=text,
                by=author(context),
                confidence=confidence,
                about=about or (),
                scope=scope,
            )

    @server.tool(annotations=_ADDS_ONCE)
    def link(
        source: Node,
        relation: Literal["about", "contradicts", "supersedes"],
        target: Node,
        context: Context,
    ) -> dict[str, Any]:
        """Draw an edge of the knowledge graph; what supports or refutes follows from verdicts."""
        with opened(database) as connection:
            return desk.link(connection, source, relation, target, by=author(context))
