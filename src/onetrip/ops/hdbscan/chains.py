"""Merge the edges of a tree in order without a loop over them: on any device, in O(log N) passes.

Of the edges at a vertex the first in order merges that vertex, alone, with something. An edge that
is the first of neither end merges two larger parts; there are fewer of these than half of the
vertices. All others are contracted, and the tree that is left is treated alike, until one vertex
is left. What was contracted into one vertex, and comes before all edges that leave it, merges one
after the other: a chain, whose end is merged by the first edge that leaves the vertex.

The idea is that of Sao, Prokopenko, Lebrun-Grandié, "PANDORA: a parallel dendrogram construction
algorithm for single linkage clustering on GPU", 2024.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from onetrip.ops.hdbscan.pointers import highest

if TYPE_CHECKING:
    from onetrip.ops.hdbscan.device_chains import DeviceChains


@dataclass(frozen=True, slots=True)
class Chains:
    """The merges of N points: edge m of E = N - 1 makes the node N + m. Points are nodes below N.

    `left`, `right` [E]: nodes that hold the source and the target of edge m; `above` [2N - 1], the
    edge that merges each node, E for the last node.

    `edge` [E]: edges chain by chain, in order; what hangs under a chain stands before it. `begin`,
    `end` [E]: where in `edge` the chain of each place begins, and where its last edge is.
    `bounds`: where in `edge` each pass begins, and E.
    """

    left: Tensor
    right: Tensor
    above: Tensor
    edge: Tensor
    begin: Tensor
    end: Tensor
    bounds: list[int]

    def sizes(self) -> Tensor:
        """Points [E] under the node that every edge makes.

        >>> chains_of(torch.tensor([0, 1]), torch.tensor([1, 2])).sizes().tolist()
        [2, 3]
        """
        E = self.edge.shape[0]
        under = torch.bincount(self.above[: E + 1], minlength=E + 1)
        size = torch.empty_like(self.edge)
        for low, high in pairwise(self.bounds):
            edge, start = self.edge[low:high], self.begin[low:high] - low
            added = under[edge]
            along = added.cumsum(0)
            held = along + (added - along)[start]
            size[edge] = held
            is_last = self.end[low:high] == torch.arange(low, high, device=edge.device)
            under.index_add_(0, self.above[E + 1 + edge], held * is_last)
        return size

    def places(self) -> Tensor:
        """Place of every point [N] where what holds a source stands before what holds its target.

        >>> chains_of(torch.tensor([2, 2]), torch.tensor([0, 1])).places().tolist()
        [1, 2, 0]
        """
        E = self.edge.shape[0]
        N = E + 1
        left = torch.cat([self.left, self.left.new_full((1,), N + E - 1)])
        sizes = torch.cat([torch.ones_like(left), self.sizes()])
        # Of every edge's node, and of the whole; from the last chains to the first.
        start = torch.zeros_like(left)
        pushed = sizes[self.left[self.edge]].masked_fill_(
            self.left[self.edge] == N + self.edge.roll(1), 0
        )
        along = pushed.cumsum(0)
        # From a place to the end of its chain.
        along = along[self.end] - along
        last = N + self.edge[self.end]
        for low, high in reversed(list(pairwise(self.bounds))):
            top = self._start(last[low:high], left, sizes, start)
            start[self.edge[low:high]] = top + along[low:high]
        return self._start(torch.arange(N, device=left.device), left, sizes, start)

    def climb(self, point: Tensor, limit: Tensor) -> Tensor:
        """Highest node above each point [P] that edges before `limit` [P] make; the point if none.

        >>> chains = chains_of(torch.tensor([0, 1]), torch.tensor([1, 2]))
        >>> chains.climb(torch.tensor([0, 0, 0]), torch.tensor([0, 1, 2])).tolist()
        [0, 3, 4]
        """
        E = self.edge.shape[0]
        N = E + 1
        # Ascending, as a chain's first place tells the chain.
        key = self.begin * N + self.edge
        where = torch.empty_like(self.edge)
        where[self.edge] = torch.arange(E, device=key.device)
        node = point.clone()
        moving = (self.above[node] < limit).nonzero().squeeze(1)
        while moving.numel():
            place = where[self.above[node[moving]]]
            bound = self.begin[place] * N + limit[moving]
            node[moving] = N + self.edge[torch.searchsorted(key, bound) - 1]
            # From the end of a chain the way leads on.
            moving = moving[self.above[node[moving]] < limit[moving]]
        return node

    def _start(self, node: Tensor, left: Tensor, sizes: Tensor, start: Tensor) -> Tensor:
        """First place of nodes, from that of the node above each."""
        above = self.above[node]
        return start[above] + torch.where(left[above] == node, 0, sizes[left[above]])


@dataclass(frozen=True, slots=True)
class _Contraction:
    """What the passes found. The first is over the points, a chain each, which holds no edge.

    `chain` [E], the chain that each edge is in; `first` [chains], the edge that merges its end;
    `at_source` [chains], whether that holds the edge's source; `offsets`, the first chain of each
    pass, and how many there are.
    """

    chain: Tensor
    first: Tensor
    at_source: Tensor
    offsets: list[int]


def chains_of(source: Tensor, target: Tensor) -> "Chains | DeviceChains":
    """Merge the ends of the edges [E] of a tree, in order; E > 0.

    >>> chains = chains_of(torch.tensor([0, 1]), torch.tensor([1, 2]))
    >>> chains.left.tolist(), chains.right.tolist()
    ([0, 3], [1, 2])
    """
    if source.is_cuda:
        from onetrip.ops.hdbscan.device_chains import DeviceChains

        return DeviceChains(source, target)
    return merges_of(source, target)


def merges_of(source: Tensor, target: Tensor) -> Chains:
    """As `chains_of`, in plain torch."""
    E, device = source.shape[0], source.device
    N = E + 1
    found = _contracted(source, target)
    key = (found.chain * N + torch.arange(E, device=device)).sort().values
    chain = key // N
    edge = key - chain * N
    is_last = torch.ones(E, dtype=torch.bool, device=device)
    is_last[:-1] = chain[1:] != chain[:-1]
    last = is_last.nonzero().squeeze(1)
    number = is_last.cumsum(0) - is_last.long()  # of the chain, those before it counted
    end = last[number]
    begin = torch.cat([last.new_zeros(1), last + 1])[number]

    # The end of a chain is merged as the vertex that it was contracted into, and so are points.
    merging = torch.where(is_last, found.first[chain], edge.roll(-1))
    above = torch.empty(2 * N - 1, dtype=torch.int64, device=device)
    above[:N], above[N + edge] = found.first[:N], merging
    ends = torch.cat([torch.arange(N, device=device), N + edge[last]])
    side = torch.cat([found.at_source[:N], found.at_source[chain[last]]])
    joined = torch.full((2, N), -1, device=device)
    joined[(~side).long(), above[ends]] = ends
    left, right = joined[:, :E]
    # What comes before in a chain stands on the side that is left.
    before = torch.where(begin == torch.arange(E, device=device), -1, N + edge.roll(1))
    of_edge = torch.empty_like(edge)
    of_edge[edge] = before
    left, right = torch.where(left < 0, of_edge, left), torch.where(right < 0, of_edge, right)

    bounds = torch.searchsorted(chain, torch.tensor(found.offsets[1:], device=device)).tolist()
    return Chains(left, right, above, edge, begin, end, bounds)


def _contracted(source: Tensor, target: Tensor) -> _Contraction:
    """Contract edges until one vertex is left."""
    E, device = source.shape[0], source.device
    edge = here = torch.arange(E, device=device)
    vertices, vertex = E + 1, source  # [E], where the source of every edge is
    is_inside = torch.zeros(E, dtype=torch.bool, device=device)
    chain = torch.full_like(edge, -1)
    first, at_source, offsets = [], [], [0]
    while True:
        place = torch.full((2, vertices), edge.shape[0], device=device)
        place[0].scatter_reduce_(0, source, here, "amin")
        place[1].scatter_reduce_(0, target, here, "amin")
        at_source.append(place[0] < place[1])
        place = place.amin(0)
        first.append(torch.cat([edge, edge.new_full((1,), E)])[place])
        is_chain = is_inside & (chain < 0) & (torch.arange(E, device=device) < first[-1][vertex])
        chain = torch.where(is_chain, vertex + offsets[-1], chain)
        offsets.append(offsets[-1] + vertices)
        if vertices == 1:
            return _Contraction(chain, torch.cat(first), torch.cat(at_source), offsets)
        number = torch.arange(vertices, device=device)
        other = source[place] + target[place] - number
        is_root = (other[other] == number) & (number < other)
        renamed = (is_root.cumsum(0) - 1)[highest(torch.where(is_root, number, other))]
        is_first = (place[source] == here) | (place[target] == here)
        is_inside[edge] = is_first
        vertex = renamed[vertex]
        kept = (~is_first).nonzero().squeeze(1)
        edge, source, target = edge[kept], renamed[source[kept]], renamed[target[kept]]
        here, vertices = here[: edge.shape[0]], edge.shape[0] + 1
