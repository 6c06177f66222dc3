"""The knowledge graph: link two nodes, and look around one."""

import sqlite3
import time
from dataclasses import asdict, dataclass

from onetrip.core.errors import ArgumentError, complaint
from onetrip.lab.knowledge import hypotheses
from onetrip.lab.knowledge.nodes import Node, check_node, described, key
from onetrip.lab.store.database import transaction
from onetrip.lab.store.events import append_event

RELATIONS = (
    "tests",
    "supports",
    "refutes",
    "derived_from",
    "supersedes",
    "contradicts",
    "about",
)
# What the lab itself derives from submissions and measurements.
_COMPUTED = ("tests", "supports", "refutes")


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes ({`key`, `type`, `id`, `title`, `state`}) and edges between them.

    An edge is {`source`, `relation`, `target`, `weight`, `by`}, source and target being keys.
    `truncated` says that more nodes were in reach.
    """

    nodes: list[dict]
    edges: list[dict]
    truncated: bool = False

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def link(
    connection: sqlite3.Connection,
    source: Node,
    relation: str,
    target: Node,
    by: str,
    weight: float = 1.0,
) -> bool:
    """Draw an edge between two nodes such as ("experiment", 12); False when it was there.

    Whether an experiment tests, supports or refutes a hypothesis follows from its submission and
    its measurements: such an edge cannot be drawn.

    Raises
    ------
    ArgumentError
        A node or relation that does not exist, a node linked to itself, or a computed edge.
    """
    if relation not in RELATIONS:
        raise ArgumentError(
            complaint("relation", expected=f"one of {', '.join(RELATIONS)}", got=repr(relation))
        )
    if relation in _COMPUTED and source[0] == "experiment":
        way_out = "Submit an experiment with this hypothesis, and its result will say."
        expected = "a relation that is not computed from results"
        raise ArgumentError(complaint("relation", expected=expected, got=relation, way_out=way_out))
    if source == target:
        raise ArgumentError(complaint("target", expected="another node than source", got=target))
    if not by.strip():
        raise ArgumentError(complaint("by", expected="who links them", got="nothing"))
    with transaction(connection):
        check_node(connection, "source", source)
        check_node(connection, "target", target)
        added = add_edge(connection, source, relation, target, by, weight)
    if relation == "supersedes" and target[0] == "hypothesis":
        hypotheses.recompute(connection, target[1])
    return added


def add_edge(
    connection: sqlite3.Connection,
    source: Node,
    relation: str,
    target: Node,
    by: str,
    weight: float = 1.0,
) -> bool:
    """Write an edge with its event, inside the transaction that is open; False: it was there."""
    cursor = connection.execute(
        "INSERT INTO edge (source_type, source_id, relation, target_type, target_id, weight,"
        " created_by, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*source, relation, *target, weight, by, time.time()),
    )
    if not cursor.rowcount:
        return False
    words = relation.replace("_", " ")
    text = f"{by}: {source[0]} {source[1]} {words} {target[0]} {target[1]}"
    append_event(connection, "edge.added", *source, text, relation=relation, target=key(target))
    return True


def graph(
    connection: sqlite3.Connection,
    around: Node | None = None,
    depth: int = 2,
    limit: int = 500,
) -> Graph:
    """The nodes within `depth` edges of `around`, nearest first, or the newest of all.

    Raises
    ------
    ArgumentError
        `around` does not exist, or `depth` or `limit` is below 1.
    """
    if depth < 1 or limit < 1:
        raise ArgumentError(complaint("depth, limit", expected="at least 1", got=(depth, limit)))
    if around is None:
        nodes = _newest(connection, limit + 1)
    else:
        check_node(connection, "around", around)
        nodes = _within(connection, around, depth, limit + 1)
    kept = nodes[:limit]
    return Graph(described(connection, kept), _edges(connection, kept), len(nodes) > limit)


def _newest(connection: sqlite3.Connection, limit: int) -> list[Node]:
    """What was thought first, then the latest of what was tried."""
    thought = [
        (type, row["id"])
        for type in ("problem", "hypothesis", "learning")
        for row in connection.execute(f"SELECT id FROM {type} ORDER BY id DESC LIMIT ?", (limit,))
    ]
    tried = [
        (row["type"], row["id"])
        for row in connection.execute(
            "SELECT 'experiment' AS type, id, created_at FROM experiment"
            " UNION ALL SELECT 'candidate', id, created_at FROM candidate"
            " ORDER BY created_at DESC, id DESC LIMIT ?",
            (limit,),
        )
    ]
    return (thought + tried)[:limit]


def _within(connection: sqlite3.Connection, around: Node, depth: int, limit: int) -> list[Node]:
    reached = {around: None}
    frontier = [around]
    for _ in range(depth):
        following = []
        for node in frontier:
            for neighbour in _neighbours(connection, node):
                if neighbour not in reached:
                    reached[neighbour] = None
                    following.append(neighbour)
            if len(reached) >= limit:
                return list(reached)[:limit]
        frontier = following
    return list(reached)


def _neighbours(connection: sqlite3.Connection, node: Node) -> list[Node]:
    # The newest first: of a problem's thousand candidates those that matter now.
    found = connection.execute(
        "SELECT target_type, target_id FROM relation WHERE source_type = ?1 AND source_id = ?2"
        " UNION SELECT source_type, source_id FROM relation WHERE target_type = ?1"
        " AND target_id = ?2 ORDER BY 2 DESC",
        node,
    )
    return [(row[0], row[1]) for row in found]


def _edges(connection: sqlite3.Connection, nodes: list[Node]) -> list[dict]:
    kept = set(nodes)
    found = {}
    for node in nodes:
        for row in connection.execute(
            "SELECT * FROM relation WHERE source_type = ? AND source_id = ?", node
        ):
            target = (row["target_type"], row["target_id"])
            name = (key(node), row["relation"], key(target))
            # What was linked comes before what follows from columns: it knows who and how much.
            if target in kept and name not in found:
                found[name] = {
                    "source": name[0],
                    "relation": name[1],
                    "target": name[2],
                    "weight": row["weight"],
                    "by": row["created_by"],
                }
    return list(found.values())
