"""The spanning tree that Prim's algorithm takes, where other edges are as heavy as the tree's.

Take away all edges of one weight and the heavier ones: parts are left. The algorithm enters one of
them by a heavier edge, finishes it, and goes on by the edge of this weight that leads to the
smallest number. So what joins parts depends on nothing inside them, only on which of them is
entered first. Parts are walked as a whole, those between heavy edges before those between light
ones, and only where an edge beside the tree's may be taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np
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
    >>> edges = torch.tensor([0, 2]), torch.tensor([2, 1]), torch.ones(2, dtype=torch.float64)
    >>> source, target, _ = as_met(*edges, torch.tensor([[0], [1]]), edges[2][:1])
    >>> source.tolist(), target.tolist()
    ([0, 0], [1, 2])
    """
    N = source.shape[0] + 1
    tied, tied_weight = _once(source, target, tied, tied_weight)
    of_tree = torch.isin(weight, tied_weight).nonzero().squeeze(1)
    point = torch.cat([torch.stack([source[of_tree], target[of_tree]]), tied], 1)
    pairs = _pairs(
        chains_of(source, target), weight, point, torch.cat([weight[of_tree], tied_weight])
    )
    here = torch.arange(pairs.whole.shape[0], device=weight.device)
    tree, other = pairs[here[: of_tree.shape[0]]], pairs[here[of_tree.shape[0] :]]
    other = other[_matters(tree, other, N).nonzero().squeeze(1)]
    tree = tree[torch.isin(tree.whole, other.whole).nonzero().squeeze(1)]
    nearer, above = source.new_zeros(N), weight.new_zeros(N)
    nearer[target], above[target] = source, weight
    on_host = nearer.cpu(), above.cpu()
    _walk(tree, other, on_host[0].numpy(), on_host[1].numpy())
    nearer, above = (values.to(weight.device) for values in on_host)
    return nearer[1:], torch.arange(1, N, device=weight.device), above[1:]


def _once(
    source: Tensor, target: Tensor, tied: Tensor, tied_weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Tied pairs, each once, smaller number first, without those of the tree."""
    N = source.shape[0] + 1
    low, high = tied.amin(0), tied.amax(0)
    key, at = (low * N + high).sort()
    in_tree = torch.minimum(source, target) * N + torch.maximum(source, target)
    new = ~torch.isin(key, in_tree)
    new[1:] &= key[1:] != key[:-1]
    new = at[new.nonzero().squeeze(1)]
    return torch.stack([low[new], high[new]]), tied_weight[new]


def _pairs(chains: Chains, weight: Tensor, point: Tensor, of_pair: Tensor) -> _Pairs:
    """Parts that pairs [2, P] as heavy as `of_pair` [P] lie between, the smaller number first."""
    lighter = torch.searchsorted(weight, of_pair)
    up_to = torch.searchsorted(weight, of_pair, right=True)
    node = chains.climb(point[[0, 1, 0]].view(-1), torch.cat([lighter, lighter, up_to]))
    first, second, whole = node.view(3, -1)
    part, by_part = torch.stack([first, second]).sort(0)
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


def _walk(tree: _Pairs, other: _Pairs, nearer: np.ndarray, above: np.ndarray) -> None:
    """Change the edges by which points are reached: the end before each, and the weight."""
    whole, by_whole = torch.cat([tree.whole, other.whole]).sort(stable=True, descending=True)
    point, part = torch.cat([tree.point, other.point], 1), torch.cat([tree.part, other.part], 1)
    columns = torch.cat([point, part, tree.whole.new_zeros(1, whole.shape[0])])[:, by_whole]
    columns[4] = by_whole < tree.whole.shape[0]
    # An array makes lists of its numbers in a third of the time that a tensor takes.
    pairs = list(zip(*columns.cpu().numpy().tolist(), strict=True))
    counts = whole.unique_consecutive(return_counts=True)[1]
    # The number of a whole grows with its weight: heavy ones come first.
    for start, end in pairwise([0, *counts.cumsum(0).tolist()]):
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
