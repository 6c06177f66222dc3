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
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Chains:
    """The merges of N points: edge m of E = N - 1 makes the node N + m. Points are nodes below N.

    `left`, `right` [E]: nodes that hold the source and the target of edge m; `size` [E], points
    under node N + m; `above` [2N - 1], the edge that merges each node, E for the last node.

    `edge` [E]: edges chain by chain, in order; what hangs under a chain stands before it. `begin`,
    `end` [E]: where in `edge` the chain of each place begins, and where its last edge is.
    `bounds`: where in `edge` each pass begins, and E.
    """

    left: Tensor
    right: Tensor
    size: Tensor
    above: Tensor
    edge: Tensor
    begin: Tensor
    end: Tensor
    bounds: list[int]

    def places(self) -> Tensor:
        """Place of every point [N] where what holds a source stands before what holds its target.

        >>> chains_of(torch.tensor([2, 2]), torch.tensor([0, 1])).places().tolist()
        [1, 2, 0]
        """
        E = self.edge.shape[0]
        N = E + 1
        left = torch.cat([self.left, self.left.new_full((1,), N + E - 1)])
        sizes = torch.cat([self.size.new_ones(N), self.size])
        # Of every edge's node, and of the whole; from the last chains to the first.
        start = self.size.new_zeros(N)
        before = N + self.edge.roll(1)
        pushed = torch.where(left[self.edge] == before, 0, sizes[left[self.edge]])
        for low, high in reversed(list(pairwise(self.bounds))):
            edge, end = self.edge[low:high], self.end[low:high]
            top = self._start(N + self.edge[end], left, sizes, start)
            along = pushed[low:high].cumsum(0)
            start[edge] = top + along[end - low] - along
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


class _Pass(NamedTuple):
    """What one pass found: chains of vertices of which all edges but `first` are contracted."""

    edge: Tensor  # in the chains of this pass
    chain: Tensor  # [edges], the vertex that each was contracted into
    first: Tensor  # [vertices], the edge that merges each
    at_source: Tensor  # [vertices], whether that edge's source is there


def chains_of(source: Tensor, target: Tensor) -> Chains:
    """Merge the ends of the edges [E] of a tree, in order; E > 0.

    >>> chains = chains_of(torch.tensor([0, 1]), torch.tensor([1, 2]))
    >>> chains.left.tolist(), chains.right.tolist(), chains.size.tolist()
    ([0, 3], [1, 2], [2, 3])
    """
    E, device = source.shape[0], source.device
    N = E + 1
    points, *passes = _contracted(source, target)
    offsets = [0]
    for found in passes:
        offsets.append(offsets[-1] + found.first.shape[0])
    # Chains in the order of passes; within one, edges in order.
    numbered = zip(passes, offsets, strict=False)
    key = torch.cat([(found.chain + offset) * N + found.edge for found, offset in numbered])
    key = key.sort().values
    chain = key.div(N, rounding_mode="floor")
    edge = key - chain * N
    here = torch.arange(E, device=device)
    is_last = chain != torch.cat([chain[1:], chain.new_full((1,), -1)])
    begin = torch.where(is_last.roll(1), here, 0).cummax(0).values
    end = torch.where(is_last.flip(0), here.flip(0), E).cummin(0).values.flip(0)
    first = torch.cat([found.first for found in passes])
    next_edge = torch.where(is_last, first[chain], edge.roll(-1))

    above = torch.empty(2 * N - 1, dtype=torch.int64, device=device)
    above[:N], above[N + edge] = points.first, next_edge
    # The end of a chain stands where its vertex does, and so do points.
    at_source = torch.cat([found.at_source for found in passes])
    last = is_last.nonzero().squeeze(1)
    node = torch.cat([torch.arange(N, device=device), N + edge[last]])
    merged = torch.cat([points.first, next_edge[last]])
    from_source = torch.cat([points.at_source, at_source[chain[last]]])
    joined = torch.full((2, E + 1), -1, device=device)
    joined[(~from_source).long(), merged] = node
    # What comes before in the chain stands on the side that is left.
    inside = (~is_last).nonzero().squeeze(1)
    merged = next_edge[inside]
    joined[(joined[0, merged] >= 0).long(), merged] = N + edge[inside]
    left, right = joined[0, :E], joined[1, :E]

    counts = [found.edge.shape[0] for found in passes]
    bounds = [0, *torch.tensor(counts).cumsum(0).tolist()]
    under = torch.bincount(points.first, minlength=N)
    size = torch.empty(E, dtype=torch.int64, device=device)
    for low, high in pairwise(bounds):
        member = edge[low:high]
        added = under[member]
        along = added.cumsum(0)
        start = begin[low:high] - low
        size[member] = along - along[start] + added[start]
        under.index_add_(0, next_edge[low:high], torch.where(is_last[low:high], size[member], 0))
    return Chains(left, right, size, above, edge, begin, end, bounds)


def _contracted(source: Tensor, target: Tensor) -> list[_Pass]:
    """Contract edges until one vertex is left; the first pass is that of the points themselves."""
    E, device = source.shape[0], source.device
    vertices, edge = E + 1, torch.arange(E, device=device)
    waiting = at = edge[:0]
    passes: list[_Pass] = []
    while True:
        here = torch.arange(edge.shape[0], device=device)
        none = torch.full((vertices,), edge.shape[0], device=device)
        as_source = none.scatter_reduce(0, source, here, "amin")
        place = as_source.scatter_reduce(0, target, here, "amin")
        first = torch.cat([edge, edge.new_full((1,), E)])[place]
        ends_here = waiting < first[at]
        yes, no = ends_here.nonzero().squeeze(1), (~ends_here).nonzero().squeeze(1)
        passes.append(_Pass(waiting[yes], at[yes], first, as_source == place))
        if vertices == 1:
            return passes
        waiting, at = waiting[no], at[no]
        number = torch.arange(vertices, device=device)
        above = source[place] + target[place] - number
        above = torch.where((above[above] == number) & (number < above), number, above)
        is_root = above == number
        while True:
            further = above[above]
            if torch.equal(further, above):
                break
            above = further
        renamed = (is_root.cumsum(0) - 1)[above]
        contracted = (place[source] == here) | (place[target] == here)
        yes, no = contracted.nonzero().squeeze(1), (~contracted).nonzero().squeeze(1)
        waiting = torch.cat([waiting, edge[yes]])
        at = torch.cat([renamed[at], renamed[source[yes]]])
        edge, source, target = edge[no], renamed[source[no]], renamed[target[no]]
        vertices = edge.shape[0] + 1
