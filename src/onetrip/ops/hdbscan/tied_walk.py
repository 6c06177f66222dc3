"""Walk through parts of a tree as Prim's algorithm does, where several edges are as heavy.

Many groups of parts are walked at once, a step of each at a time. That is right as long as parts
are entered where they were: which part of a group comes first depends on heavier groups only by
the point that they enter. From a group that enters a part elsewhere, groups are walked one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

# Groups that are walked at once, at first, and alone after one that enters a part elsewhere: of
# 2,269 groups of 100,000 points one does, of digits and integers every tenth.
_TOGETHER, _ALONE = 1024, 64
_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Groups:
    """Pairs of points, sorted by the group that they lie in, those of heavy groups first.

    `point`, `part` [2, P], the parts that hold the points; `in_tree` [P]; `begin` [groups + 1].
    Every part lies in one group.
    """

    point: np.ndarray
    part: np.ndarray
    in_tree: np.ndarray
    begin: np.ndarray

    def chunk(self, first: int, last: int) -> "Groups":
        """Groups from `first` to before `last`."""
        pairs = slice(self.begin[first], self.begin[last])
        begin = self.begin[first : last + 1] - self.begin[first]
        return Groups(self.point[:, pairs], self.part[:, pairs], self.in_tree[pairs], begin)


def walk(groups: Groups, nearer: np.ndarray, above: np.ndarray) -> None:
    """Change the edges by which points are reached [N]: the end before each, and the weight."""
    count = groups.begin.shape[0] - 1
    first, size = 0, _TOGETHER
    while first < count:
        last = min(first + size, count)
        first += _walk_together(groups.chunk(first, last), nearer)
        if first == last:
            size *= 2
            continue
        last = min(first + _ALONE, count)
        _walk_alone(groups.chunk(first, last), nearer, above)
        first, size = last, max(_ALONE, size // 4)


def _entries(groups: Groups, nearer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs of the tree [2, T]: 0 or 1, the end that is entered, and the entered points."""
    first, second = groups.point[:, groups.in_tree]
    side = (nearer[second] == first).astype(np.int64)
    return side, np.where(side, second, first)


def _walk_together(groups: Groups, nearer: np.ndarray) -> int:
    """Walk a step of every group at a time; return how many stand before one that must wait."""
    count = groups.begin.shape[0] - 1
    group = np.repeat(np.arange(count), np.diff(groups.begin))
    names, part = np.unique(groups.part, return_inverse=True)
    part = part.reshape(groups.part.shape)
    of_part = np.empty(names.shape[0], dtype=np.int64)
    of_part[part] = group
    side, entered = _entries(groups, nearer)
    entry = np.full(names.shape[0], -1)
    entry[part[side, groups.in_tree.nonzero()[0]]] = entered
    # When each part was reached: the first of every group, which no edge enters, at 0.
    reached = np.where(entry < 0, 0, _NONE)
    found, origin = entry.copy(), entry.copy()
    point = groups.point
    for step in range(1, names.shape[0]):
        inside = reached[part] < _NONE
        open_ = ~inside.all(0)
        if not open_.any():
            break
        point, part, group, inside = point[:, open_], part[:, open_], group[open_], inside[:, open_]
        leads = inside.any(0)
        begin = np.flatnonzero(np.diff(group, prepend=-1))
        index = np.repeat(np.arange(begin.shape[0]), np.diff(begin, append=group.shape[0]))
        to, start = np.where(inside[0], point[::-1], point)
        least = np.minimum.reduceat(np.where(leads, to, _NONE), begin)[index]
        # Of equal points the one that was met first: it is nearest from an earlier part.
        met = np.where(inside[0], reached[part[0]], reached[part[1]])
        leads &= to == least
        first = np.where(leads, met << 32 | start, _NONE)
        chosen = leads & (first == np.minimum.reduceat(first, begin)[index])
        entering = np.where(inside[0], part[1], part[0])[chosen]
        reached[entering], found[entering], origin[entering] = step, to[chosen], start[chosen]
    elsewhere = of_part[found != entry]
    settled = int(elsewhere.min()) if elsewhere.size else count
    kept = (of_part < settled) & (entry >= 0)
    nearer[entry[kept]] = origin[kept]
    return settled


def _walk_alone(groups: Groups, nearer: np.ndarray, above: np.ndarray) -> None:
    """Walk group after group, and turn parts that are entered elsewhere."""
    # An array makes lists of its numbers in a third of the time that they take one by one.
    columns = np.stack([*groups.point, *groups.part, groups.in_tree])
    pairs = list(zip(*columns.tolist(), strict=True))
    for start, end in zip(groups.begin[:-1].tolist(), groups.begin[1:].tolist(), strict=True):
        entry: dict[int, int] = {}
        leaving: dict[int, list[tuple[int, int, int]]] = {}
        for a, b, part_a, part_b, in_tree in pairs[start:end]:
            leaving.setdefault(part_a, []).append((b, part_b, a))
            leaving.setdefault(part_b, []).append((a, part_a, b))
            if in_tree:
                to, entered = (part_b, b) if nearer[b] == a else (part_a, a)
                entry[to] = entered
        (first,) = leaving.keys() - entry.keys()
        weight = above[entered]
        for to, entered, origin in _met(first, leaving):
            if entered == entry[to]:
                nearer[entered] = origin
            else:
                _enter(entered, entry[to], origin, weight, nearer, above)


def _met(
    part: int, leaving: dict[int, list[tuple[int, int, int]]]
) -> Iterator[tuple[int, int, int]]:
    """Every other part in the order of the walk, the point it is entered at, and from where."""
    reached = {part}
    frontier: list[tuple[int, int, int, int]] = []
    while len(reached) < len(leaving):
        # Of equal points the one that was met first: it is nearest from an earlier part.
        for point, to, origin in leaving[part]:
            if to not in reached:
                heappush(frontier, (point, len(reached), to, origin))
        while part in reached:
            point, _, part, origin = heappop(frontier)
        reached.add(part)
        yield part, point, origin


def _enter(
    point: int, entry: int, origin: int, weight: float, nearer: np.ndarray, above: np.ndarray
) -> None:
    """Turn the way from `entry` to `point`: their part is entered there, from `origin`."""
    while True:
        further, heavier = nearer[point], above[point]
        nearer[point], above[point] = origin, weight
        if point == entry:
            return
        origin, weight, point = point, heavier, further
