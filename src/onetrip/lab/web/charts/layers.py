"""Lay out a directed graph in columns: edges lead to the right, few of them cross.

The layered method: turn edges that close a circle, give each node the column after its last
predecessor, order each column by where its neighbours stand, then slide nodes towards their
neighbours as far as their own column lets them.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Node = Hashable
Edge = tuple[Node, Node]
# More sweeps change little: columns of a lab's graph settle within a few.
_SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each node stands, as (column, height), and by which points each edge passes.

    Heights count rows: two nodes of one column are at least 1 apart.
    """

    places: Mapping[Node, tuple[int, float]]
    bends: Mapping[Edge, Sequence[tuple[int, float]]]


def layers(nodes: Sequence[Node], edges: Iterable[Edge]) -> Layout:
    """Columns and heights of `nodes`; an edge to a node that is not there is left out.

    >>> layout = layers(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")])
    >>> {node: column for node, (column, _) in layout.places.items()}
    {'a': 0, 'b': 1, 'c': 2}
    >>> len(layout.bends["a", "c"])
    1
    """
    known = set(nodes)
    wanted = [edge for edge in dict.fromkeys(edges) if set(edge) <= known and edge[0] != edge[1]]
    forward = _without_circles(nodes, wanted)
    columns = _columns(nodes, forward)
    chains = {edge: _chain(edge, columns) for edge in forward}
    links = [pair for chain in chains.values() for pair in pairwise(chain)]
    for chain in chains.values():
        columns |= {bend: columns[chain[0]] + n for n, bend in enumerate(chain[1:-1], 1)}
    order = _ordered(columns, links)
    heights = _heights(order, links)
    bends = {}
    for edge in wanted:
        source, target = edge
        turned = edge not in chains
        inner = chains[(target, source) if turned else edge][1:-1]
        points = [(columns[bend], heights[bend]) for bend in inner]
        bends[edge] = points[::-1] if turned else points
    return Layout({node: (columns[node], heights[node]) for node in nodes}, bends)


def _without_circles(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[Edge]:
    """Edges with those turned round that lead back to a node on the way to them."""
    following = defaultdict(list)
    for source, target in edges:
        following[source].append(target)
    forward: dict[Edge, None] = {}
    done: set[Node] = set()
    for start in nodes:
        if start in done:
            continue
        on_way = {start}
        stack = [(start, iter(following[start]))]
        while stack:
            node, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                stack.pop()
                on_way.discard(node)
                done.add(node)
            elif target in on_way:
                forward[target, node] = None
            else:
                forward[node, target] = None
                if target not in done:
                    on_way.add(target)
                    stack.append((target, iter(following[target])))
    return list(forward)


def _columns(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[Node, int]:
    """The column after the last predecessor; a source stands right before its first follower."""
    before, after = defaultdict(list), defaultdict(list)
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    waiting = {node: len(before[node]) for node in nodes}
    ready = [node for node in nodes if not waiting[node]]
    columns: dict[Node, int] = {}
    for node in ready:
        columns[node] = max((columns[source] + 1 for source in before[node]), default=0)
        for target in after[node]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for node in reversed(ready):
        if not before[node] and after[node]:
            columns[node] = max(columns[node], min(columns[n] for n in after[node]) - 1)
    return columns


def _chain(edge: Edge, columns: Mapping[Node, int]) -> list[Node]:
    source, target = edge
    return [
        source,
        *(("bend", edge, n) for n in range(columns[source] + 1, columns[target])),
        target,
    ]


def _neighbours(links: Sequence[Edge]) -> dict[Node, list[Node]]:
    found: dict[Node, list[Node]] = defaultdict(list)
    for source, target in links:
        found[source].append(target)
        found[target].append(source)
    return found


def _ordered(columns: Mapping[Node, int], links: Sequence[Edge]) -> list[list[Node]]:
    """Nodes of each column, sorted by the mean place of their neighbours, sweep after sweep."""
    order: list[list[Node]] = [[] for _ in range(max(columns.values(), default=-1) + 1)]
    for node, column in columns.items():
        order[column].append(node)
    near = _neighbours(links)
    place = {node: float(n) for nodes in order for n, node in enumerate(nodes)}
    for sweep in range(_SWEEPS):
        to_the_right = sweep % 2 == 0
        for nodes in order if to_the_right else reversed(order):
            column = columns[nodes[0]]
            side = column - 1 if to_the_right else column + 1
            aim = {node: _mean(place, near[node], columns, side) for node in nodes}
            nodes.sort(key=lambda node: aim[node])
            place.update({node: float(n) for n, node in enumerate(nodes)})
    return order


def _mean(
    place: Mapping[Node, float],
    near: Sequence[Node],
    columns: Mapping[Node, int],
    side: int,
) -> float:
    """Mean place of the neighbours in column `side`, or of all where there is none."""
    there = [node for node in near if columns[node] == side] or near
    return sum(place[node] for node in there) / len(there) if there else float("inf")


def _heights(order: Sequence[Sequence[Node]], links: Sequence[Edge]) -> dict[Node, float]:
    near = _neighbours(links)
    height = {node: float(n) for nodes in order for n, node in enumerate(nodes)}
    for sweep in range(_SWEEPS):
        for nodes in order if sweep % 2 else reversed(order):
            aims = [
                sum(height[other] for other in near[node]) / len(near[node])
                if near[node]
                else height[node]
                for node in nodes
            ]
            height.update(zip(nodes, spread(aims), strict=True))
    top = min(height.values(), default=0.0)
    return {node: value - top for node, value in height.items()}


def spread(aims: Sequence[float]) -> list[float]:
    """Places at least 1 apart, in the order given, as near to `aims` as squares can tell.

    >>> spread([0.0, 0.0, 5.0])
    [-0.5, 0.5, 5.0]
    """
    # With the distance taken off, "at least 1 apart" becomes "never falling": pool neighbours
    # that fall into their mean.
    pools: list[tuple[float, int]] = []
    for n, aim in enumerate(aims):
        value, count = aim - n, 1
        while pools and pools[-1][0] > value:
            other, size = pools.pop()
            value, count = (value * count + other * size) / (count + size), count + size
        pools.append((value, count))
    level = [value for value, count in pools for _ in range(count)]
    return [value + n for n, value in enumerate(level)]
