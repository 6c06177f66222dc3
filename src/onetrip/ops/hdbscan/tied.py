"""The spanning tree that Prim's algorithm takes, where other edges are as heavy as the tree's.

Take away all edges of one weight and the heavier ones: parts are left. The algorithm enters one of
them by a heavier edge, finishes it, and goes on by the edge of this weight that leads to the
smallest number. So what joins parts depends on nothing inside them, only on which of them is
entered first. Parts are walked as a whole, those between heavy edges before those between light
ones, and only where an edge beside the tree's may be taken.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.hdbscan.chains import Chains, merges_of
from onetrip.ops.hdbscan.tied_walk import Groups, walk


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of points [2, P], the parts [2, P] that hold them, what these are parts of [P]."""

    point: Tensor
    part: Tensor
    whole: Tensor

    def __getitem__(self, chosen: Tensor) -> "_Pairs":
        return _Pairs(self.point[:, chosen], self.part[:, chosen], self.whole[chosen])

    def split(self, first: int) -> tuple["_Pairs", "_Pairs"]:
        """The `first` pairs, and the others."""
        parts = (slice(None, first), slice(first, None))
        begin, end = (_Pairs(self.point[:, p], self.part[:, p], self.whole[p]) for p in parts)
        return begin, end

    def rows(self) -> list[Tensor]:
        """All five numbers of pairs, each [P]."""
        return [*self.point, *self.part, self.whole]


def as_met(
    source: Tensor, target: Tensor, weight: Tensor, tied: Tensor, tied_weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Edges [N - 1] of the tree that Prim's algorithm takes, away from point 0, by their weight.

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
    if source.is_cuda:
        from onetrip.ops.hdbscan.kernel_tied import taken

        given = (source, target, weight, tied, tied_weight)
        found = taken(*given)
        if found is not None:
            return *found, weight
        source, target, weight = (
            values.to(tied.device) for values in as_met(*(values.cpu() for values in given))
        )
        return source, target, weight
    N = source.shape[0] + 1
    nearer, above = source.new_zeros(N), weight.new_zeros(N)
    nearer[target], above[target] = source, weight
    tied, tied_weight = _once(nearer, tied, tied_weight)
    equal = torch.zeros(N, dtype=torch.bool, device=weight.device)
    equal[1:-1] = weight[1:] == weight[:-1]
    of_tree = (equal[1:] | equal[:-1]).nonzero().squeeze(1)
    point = torch.cat([torch.stack([source[of_tree], target[of_tree]]), tied], 1)
    pairs = _pairs(
        merges_of(source, target), weight, point, torch.cat([weight[of_tree], tied_weight])
    )
    tree, other = pairs.split(of_tree.shape[0])
    other = other[_matters(tree, other, N).nonzero().squeeze(1)]
    if other.whole.numel() == 0:
        return source, target, weight
    asked = torch.zeros(2 * N, dtype=torch.bool, device=weight.device)
    asked[other.whole] = True
    tree = tree[asked[tree.whole].nonzero().squeeze(1)]
    walk(_groups(tree, other), nearer.numpy(), above.numpy())
    by_weight = above[1:].argsort(stable=True)
    return nearer[1:][by_weight], by_weight + 1, above[1:][by_weight]


def _once(nearer: Tensor, tied: Tensor, tied_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Tied pairs, each once, smaller number first, without those of the tree."""
    low, high = tied.amin(0), tied.amax(0)
    key, at = (low * nearer.shape[0] + high).sort()
    low, high = low[at], high[at]
    new = (nearer[low] != high) & (nearer[high] != low)
    new[1:] &= key[1:] != key[:-1]
    new = new.nonzero().squeeze(1)
    return torch.stack([low[new], high[new]]), tied_weight[at[new]]


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


def _groups(tree: _Pairs, other: _Pairs) -> Groups:
    """Pairs by what their parts are parts of."""
    rows = [torch.cat([t, o], -1) for t, o in zip(tree.rows(), other.rows(), strict=True)]
    columns = torch.stack(rows).numpy()
    # The number of a whole grows with its weight: heavy ones come first.
    by_whole = np.argsort(-columns[4], kind="stable")
    columns = columns[:, by_whole]
    begin = np.flatnonzero(np.diff(columns[4], prepend=-1, append=-1))
    return Groups(columns[:2], columns[2:4], by_whole < tree.whole.shape[0], begin)
