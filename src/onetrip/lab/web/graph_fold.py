"""Make the knowledge graph fit to be looked at.

A candidate and its experiments are one thing to a reader, and forty experiments that hang on one
hypothesis and nothing else are one box. Nothing is lost: each box leads to what it stands for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from onetrip.lab.web.charts.network import Box, Tie
from onetrip.lab.web.links import graph_of, place_of

# Boxes of one kind on one other box that are still shown one by one.
_FEW = 3
_LETTERS = {"hypothesis": "H", "learning": "L", "experiment": "#", "candidate": "C"}


def folded(
    nodes: Sequence[Mapping], edges: Sequence[Mapping], here: str = ""
) -> tuple[list[Box], list[Tie]]:
    """Boxes and ties to draw; `here` is the node that the reader came from, never folded away.

    Seen from nowhere, it is what was thought that counts: which candidate was made from which is
    left to the views around one.
    """
    stands_for = _representatives(nodes, edges, here)
    ties = _told_once(
        Tie(stands_for[edge["source"]], edge["relation"], stands_for[edge["target"]])
        for edge in edges
        if here or not _is_descent(edge)
    )
    kept = [node for node in nodes if stands_for[node["key"]] == node["key"]]
    more = Counter(other for key, other in stands_for.items() if key.startswith("experiment:"))
    boxes = {node["key"]: _box(node, here, more[node["key"]] - 1) for node in kept}
    return _with_groups(boxes, ties, here)


def _is_descent(edge: Mapping) -> bool:
    return edge["relation"] == "derived_from" and edge["source"].startswith("candidate:")


def _representatives(
    nodes: Sequence[Mapping], edges: Sequence[Mapping], here: str
) -> dict[str, str]:
    """Key -> key of the box that shows it.

    A candidate and its later experiments, which confirm it, are shown by its first one.
    """
    stands_for = {node["key"]: node["key"] for node in nodes}
    tried = [
        (int(edge["source"].partition(":")[2]), edge["source"], edge["target"])
        for edge in edges
        if edge["relation"] == "about"
        and edge["source"].startswith("experiment:")
        and edge["target"].startswith("candidate:")
    ]
    for _, experiment, candidate in sorted(tried):
        if candidate != here and stands_for[candidate] == candidate:
            stands_for[candidate] = experiment
        elif experiment != here:
            stands_for[experiment] = stands_for[candidate]
    return stands_for


def _told_once(ties: Iterable[Tie]) -> list[Tie]:
    """Without loops, and without what follows from another tie."""
    found = [tie for tie in dict.fromkeys(ties) if tie.source != tie.target]
    judged = {(tie.source, tie.target) for tie in found if tie.relation in ("supports", "refutes")}
    leaving = Counter(tie.source for tie in found)
    return [
        tie
        for tie in found
        if not (tie.relation == "tests" and (tie.source, tie.target) in judged)
        and not (
            tie.relation == "about"
            and tie.target.startswith("problem:")
            and not tie.source.startswith(("hypothesis:", "learning:"))
            and leaving[tie.source] > 1
        )
    ]


def _with_groups(
    boxes: Mapping[str, Box], ties: Sequence[Tie], here: str
) -> tuple[list[Box], list[Tie]]:
    degree = Counter(end for tie in ties for end in (tie.source, tie.target))
    hanging: dict[tuple[str, str, str], list[Tie]] = defaultdict(list)
    for tie in ties:
        box = boxes[tie.source]
        if (
            degree[tie.source] == 1
            and tie.source != here
            and box.kind in ("experiment", "candidate")
        ):
            hanging[tie.relation, tie.target, box.kind].append(tie)
    groups: dict[str, tuple[Box, Tie]] = {}
    gone: set[str] = set()
    for (relation, target, kind), members in hanging.items():
        if len(members) <= _FEW:
            continue
        key = f"{relation}:{kind}:{target}"
        states = Counter(boxes[tie.source].state for tie in members)
        title = ", ".join(f"{count} {state}" for state, count in states.most_common() if state)
        name = f"{len(members)} {kind}s"
        groups[key] = (
            Box(key, kind, name, title or relation, "", _all_of(target)),
            Tie(key, relation, target),
        )
        gone.update(tie.source for tie in members)
    shown = [box for key, box in boxes.items() if key not in gone]
    shown += [box for box, _ in groups.values()]
    kept = [tie for tie in ties if tie.source not in gone and tie.target not in gone]
    return shown, kept + [tie for _, tie in groups.values()]


def _box(node: Mapping, here: str, more: int) -> Box:
    state = str(node["state"] or "")
    name = "problem" if node["type"] == "problem" else f"{_LETTERS[node['type']]}{node['id']}"
    return Box(
        node["key"],
        node["type"],
        f"{name} and {more} more" if more > 0 else name,
        str(node["title"]),
        "" if state == "active" else state.replace("_", " "),
        place_of(node["type"], node["id"]) or "",
        here=node["key"] == here,
    )


def _all_of(target: str) -> str:
    """Where all experiments on one node are listed."""
    type, _, id = target.partition(":")
    if type in ("hypothesis", "problem"):
        return f"/experiments?q={quote(target, safe='')}"
    return graph_of(type, int(id))
