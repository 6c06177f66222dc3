"""The spanning tree that Prim's algorithm takes, where other edges are as heavy as the tree's.

Take away all edges of one weight and the heavier ones: parts are left. The algorithm enters one of
them by a heavier edge, finishes it, and goes on by the edge of this weight that leads to the
smallest number. So what joins parts depends on nothing inside them, only on which of them is
entered first. Parts are walked as a whole, those between heavy edges before those between light
ones, and only where an edge beside the tree's may be taken.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

import torch
from torch import Tensor

from onetrip.ops.hdbscan.chains import Chains, chains_of


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of points [2, P], the parts [2, P] that hold them, what these are parts of [P]."""

    point: Tensor
    part: Tensor
    whole: Tensor

    def __getitem__(self, chosen: Tensor) -> "_Pairs":
        return _Pairs(self.point[:, chosen], self.part[:, chosen], self.whole[chosen])


def as_met(
    source: Tensor, target: Tensor, weight: Tensor, tied: Tensor, tied_weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Edges [N - 1] of the tree that Prim's algorithm takes, away from point 0, by their targets.

    Parameters
    ----------
    source, target : Tensor [N - 1], edges of a minimum spanning tree that lead away from point 0.
    weight : Tensor [N - 1], of these, ascending.
    tied, tied_weight : Tensor [2, T], [T]
        Points of further edges, each as heavy as one of the tree; their weights.

    Examples
    --------
    >>> edges = torch.tensor([0, 0]), torch.tensor([1, 2]), torch.ones(2, dtype=torch.float64)
    >>> source, target, _ = as_met(*edges, torch.tensor([[1], [2]]), edges[2][:1])
    >>> source.tolist(), target.tolist()
    ([0, 0], [1, 2])
    """
    N = source.shape[0] + 1
    tied, tied_weight = _once(source, target, tied, tied_weight)
    some = torch.isin(weight, tied_weight).nonzero().squeeze(1)
    chains = chains_of(source, target)
    tree = _pairs(chains, weight, torch.stack([source[some], target[some]]), weight[some])
    other = _pairs(chains, weight, tied, tied_weight)
    other = other[_matters(tree, other, N).nonzero().squeeze(1)]
    tree = tree[torch.isin(tree.whole, other.whole).nonzero().squeeze(1)]
    nearer, above = source.new_zeros(N), weight.new_zeros(N)
    nearer[target], above[target] = source, weight
    nearer, above = nearer.tolist(), above.tolist()
    _walk(tree, other, nearer, above)
    device = source.device
    return (
        torch.tensor(nearer[1:], device=device),
        torch.arange(1, N, device=device),
        torch.tensor(above[1:], dtype=weight.dtype, device=device),
    )


def _once(
    source: Tensor, target: Tensor, tied: Tensor, tied_weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Tied pairs, each once, smaller number first, without those of the tree."""
    N = source.shape[0] + 1
    low, high = tied.amin(0), tied.amax(0)
    key, at = (low * N + high).sort()
    in_tree = torch.minimum(source, target) * N + torch.maximum(source, target)
    new = (key != key.roll(1)) & ~torch.isin(key, in_tree)
    new = at[new.nonzero().squeeze(1)]
    return torch.stack([low[new], high[new]]), tied_weight[new]


def _pairs(chains: Chains, weight: Tensor, point: Tensor, of_pair: Tensor) -> _Pairs:
    """Parts that pairs [2, P] as heavy as `of_pair` [P] lie between, the smaller number first."""
    lighter = torch.searchsorted(weight, of_pair).expand_as(point)
    part = chains.climb(point.reshape(-1), lighter.reshape(-1)).view_as(point)
    whole = chains.climb(point[0], torch.searchsorted(weight, of_pair, right=True))
    part, by_part = part.sort(0)
    return _Pairs(point.gather(0, by_part), part, whole)


def _matters(tree: _Pairs, other: _Pairs, N: int) -> Tensor:
    """Of `other`, which may be taken instead of the tree's edges [P].

    One within a part is never taken, nor is one between two parts that an edge of the tree joins,
    if that leads to no larger number on either side.
    """
    joined, at = (tree.part[0] * 2 * N + tree.part[1]).sort()
    key = other.part[0] * 2 * N + other.part[1]
    found = torch.searchsorted(joined, key).clamp_max_(joined.shape[0] - 1)
    first = tree.point[:, at[found]]
    behind = (joined[found] == key) & (first <= other.point).all(0)
    return (other.part[0] != other.part[1]) & ~behind


def _walk(tree: _Pairs, other: _Pairs, nearer: list[int], above: list[float]) -> None:
    """Change the edges by which points are reached: the end before each, and the weight."""
    pairs_of: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for pairs in (tree, other):
        columns = (*pairs.point.tolist(), *pairs.part.tolist())
        for whole, *pair in zip(pairs.whole.tolist(), *columns, strict=True):
            pairs_of[whole].append(tuple(pair))
    in_tree = Counter(tree.whole.tolist())
    # The number of a whole grows with its weight.
    for whole in sorted(pairs_of, reverse=True):
        entry: dict[int, int] = {}
        leaving: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for number, (a, b, part_a, part_b) in enumerate(pairs_of[whole]):
            leaving[part_a].append((b, part_b, a))
            leaving[part_b].append((a, part_a, b))
            if number < in_tree[whole]:
                part, point = (part_b, b) if nearer[b] == a else (part_a, a)
                entry[part] = point
        (first,) = leaving.keys() - entry.keys()
        weight = above[next(iter(entry.values()))]
        for part, point, origin in _met(first, leaving):
            _enter(point, entry[part], origin, weight, nearer, above)


def _met(
    part: int, leaving: dict[int, list[tuple[int, int, int]]]
) -> Iterator[tuple[int, int, int]]:
    """Every other part in the order of the walk, the point it is entered at, and from where."""
    reached = {part}
    step = count()
    frontier: list[tuple[int, int, int, int]] = []
    while True:
        # Of equal points the one that was met first: it is nearest from an earlier part.
        for point, to, origin in leaving[part]:
            if to not in reached:
                heappush(frontier, (point, next(step), to, origin))
        while frontier:
            point, _, part, origin = heappop(frontier)
            if part not in reached:
                break
        else:
            return
        reached.add(part)
        yield part, point, origin


def _enter(
    point: int, entry: int, origin: int, weight: float, nearer: list[int], above: list[float]
) -> None:
    """Turn the way from `entry` to `point`: their part is entered there, from `origin`."""
    while True:
        further, heavier = nearer[point], above[point]
        nearer[point], above[point] = origin, weight
        if point == entry:
            return
        origin, weight, point = point, heavier, further
