"""The knowledge graph: what tests, supports, refutes and follows from what."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.knowledge.graph import graph
from onetrip.lab.web.charts.network import network
from onetrip.lab.web.frame import reading
from onetrip.lab.web.graph_fold import folded
from onetrip.lab.web.markup import plain
from onetrip.lab.web.render import render

# Around one thing more boxes are no picture any more; seen from nowhere most are folded away, and
# the evidence that is not must be among them, however old.
_MOST_AROUND = 400
_MOST_IN_ALL = 4000

router = APIRouter()


@router.get("/graph")
def graph_page(
    request: Request,
    around: Annotated[str, Query(max_length=60)] = "",
    depth: Annotated[int, Query(ge=1, le=6)] = 2,
) -> Response:
    """All of it, the newest first; or what lies within `depth` ties of ``?around=hypothesis:3``."""
    node = _node(around) if around else None
    with reading(request) as connection:
        found = graph(connection, node, depth=depth, limit=_MOST_AROUND if node else _MOST_IN_ALL)
    nodes = [each | {"title": plain(each["title"])} for each in found.nodes]
    boxes, ties = folded(nodes, found.edges, around)
    titles = {box.key: box for box in boxes}
    return render(
        request,
        "graph.html",
        page="graph",
        title="Graph",
        around=around,
        depth=depth,
        here=next((each for each in nodes if each["key"] == around), None),
        drawing=network("Knowledge graph", boxes, ties) if boxes else None,
        boxes=boxes,
        ties=[(titles[tie.source], tie.relation, titles[tie.target]) for tie in ties],
        truncated=found.truncated,
        kinds=sorted({box.kind for box in boxes}),
    )


def _node(text: str) -> tuple[str, int]:
    type, _, id = text.partition(":")
    if not id.isdecimal() or len(id) > 18:
        expected = "a type and a number, as in hypothesis:3"
        raise ArgumentError(complaint("around", expected=expected, got=repr(text)))
    return type, int(id)
