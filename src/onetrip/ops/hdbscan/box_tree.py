"""A balanced tree of groups of points: which groups are near to which.

Points are numbered by their *place*. `build_tree` halves every group at the median of its widest
coordinate, so that a group is a run of consecutive places; `regrouped` cuts leaves anew so that
no leaf of a large component holds anything else. Every group has a box around it and, where there
are many features, a ball: in many dimensions boxes that are far apart still overlap in most.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# From so many features on, groups have a ball besides the box.
_BALL_FEATURES = 6
# Sums in another order than distances are: a few units in the last place of room.
_ROOM = 1e-12


@dataclass(frozen=True, slots=True)
class BoxTree:
    """Groups of places, level by level; node n of a level has the children 2n and 2n + 1.

    `order` [N] is the point at each place; `leaves` [leaves, L] the places of every leaf, with N
    where a leaf holds fewer; `low`, `high` [nodes, D] the boxes of every level, the root first;
    `centre` [nodes, D] and `radius` [nodes] its balls, or nothing. All in float64.
    """

    order: Tensor
    leaves: Tensor
    low: tuple[Tensor, ...]
    high: tuple[Tensor, ...]
    centre: tuple[Tensor, ...]
    radius: tuple[Tensor, ...]

    @property
    def depth(self) -> int:
        """Levels below the root."""
        return len(self.low) - 1

    def over_leaves(self, values: Tensor, reduction: str, empty: float | int) -> Tensor:
        """Reduce values of places [N] to values of leaves [leaves]."""
        padded = torch.cat([values, values.new_tensor([empty])])[self.leaves]  # [leaves, L]
        return padded.amin(1) if reduction == "amin" else padded.amax(1)

    def over_nodes(self, values: Tensor, reduction: str, empty: float | int) -> list[Tensor]:
        """Reduce values of places [N] to values of nodes, a tensor for each level."""
        found = [self.over_leaves(values, reduction, empty)]
        for _ in range(self.depth):
            pairs = found[-1].view(-1, 2)
            found.append(pairs.amin(1) if reduction == "amin" else pairs.amax(1))
        return found[::-1]

    def nearest(self, level: int, rows: Tensor, columns: Tensor) -> Tensor:
        """No two points of a pair of nodes are nearer than this (squared)."""
        low, high = self.low[level], self.high[level]
        gap = torch.maximum(low[columns] - high[rows], low[rows] - high[columns])
        bound = gap.clamp_min_(0.0).square_().sum(-1)
        if self.centre:
            centre, radius = self.centre[level], self.radius[level]
            between = torch.linalg.vector_norm(centre[rows] - centre[columns], dim=-1)
            between = between * (1 - _ROOM) - radius[rows] - radius[columns]
            bound = torch.maximum(bound, between.clamp_min_(0.0).square_())
        return bound.mul_(1 - _ROOM)

    def farthest(self, level: int, rows: Tensor, columns: Tensor) -> Tensor:
        """No two points of a pair of nodes are farther apart than this (squared)."""
        low, high = self.low[level], self.high[level]
        reach = torch.maximum(high[columns] - low[rows], high[rows] - low[columns])
        return reach.square_().sum(-1).mul_(1 + _ROOM)


def build_tree(x: Tensor, leaf_size: int) -> BoxTree:
    """Build the tree of points x [N, D], float64, N > 0, of at most `leaf_size` >= 2 in a leaf."""
    N = x.shape[0]
    depth = (-(-N // leaf_size) - 1).bit_length()
    order = torch.arange(N, device=x.device)
    for level in range(depth if x.shape[1] else 0):
        places = _runs(N, level, x.device)  # [nodes, run]
        missing = places == N
        points = order[torch.where(missing, places[:, :1], places)]
        inside = x[points]  # [nodes, run, D]
        widest = (inside.amax(1) - inside.amin(1)).argmax(1)  # [nodes]
        widest = widest[:, None, None].expand(-1, places.shape[1], 1)
        key = inside.gather(2, widest).squeeze(2).masked_fill_(missing, torch.inf)
        order = points.gather(1, key.argsort(dim=1, stable=True))[~missing]
    return _around(x[order], order, _runs(N, depth, x.device))


def regrouped(x: Tensor, tree: BoxTree, component: Tensor, components: int) -> BoxTree:
    """The tree's places in leaves that do not mix a large component with another.

    Parameters
    ----------
    x : Tensor [N, D], float64, points by place.
    component : Tensor [N], int64, of places.
    components : how many there are.
    """
    L = tree.leaves.shape[1]
    size = torch.bincount(component, minlength=components)
    large = (size >= L)[component]
    # Small components stay with their neighbours in the tree.
    group = torch.where(large, component, components)
    places = group.argsort(stable=True)
    group = group[places]
    counts = torch.unique_consecutive(group, return_counts=True)[1]
    starts = counts.cumsum(0) - counts
    pieces = (counts + L - 1) // L
    first_piece = pieces.cumsum(0) - pieces
    index = torch.repeat_interleave(torch.arange(counts.numel(), device=x.device), counts)
    offset = torch.arange(places.numel(), device=x.device) - starts[index]
    piece = offset * pieces[index] // counts[index]
    begin = -(-piece * counts[index] // pieces[index])
    leaf_count = 1 << (int(pieces.sum()) - 1).bit_length()
    leaves = torch.full((leaf_count, L), x.shape[0], device=x.device)
    leaves[first_piece[index] + piece, offset - begin] = places
    return _around(x, tree.order, leaves)


def _around(x: Tensor, order: Tensor, leaves: Tensor) -> BoxTree:
    """Boxes and balls around leaves of points x [N, D] by place, and what holds them."""
    N, D = x.shape
    missing = leaves == N
    inside = x[torch.where(missing, leaves[:, :1], leaves).clamp_max(N - 1)]  # [leaves, L, D]
    low, high = [inside.amin(1)], [inside.amax(1)]
    centre = [(low[0] + high[0]) / 2]
    radius = [torch.linalg.vector_norm(inside - centre[0][:, None], dim=2).amax(1)]
    while low[-1].shape[0] > 1:
        low.append(low[-1].view(-1, 2, D).amin(1))
        high.append(high[-1].view(-1, 2, D).amax(1))
        centre.append((low[-1] + high[-1]) / 2)
        between = centre[-1][:, None] - centre[-2].view(-1, 2, D)
        reach = torch.linalg.vector_norm(between, dim=2) + radius[-1].view(-1, 2)
        radius.append(reach.amax(1) * (1 + _ROOM))
    if D < _BALL_FEATURES:
        centre, radius = [], []
    turned = (tuple(levels[::-1]) for levels in (low, high, centre, radius))
    return BoxTree(order, leaves, *turned)


def _runs(N: int, level: int, device: torch.device) -> Tensor:
    """Places of every node of a level [nodes, run]; N stands at the end of a run one short."""
    nodes = 1 << level
    ends = torch.arange(nodes + 1, device=device) * N // nodes
    places = ends[:-1, None] + torch.arange(-(-N // nodes), device=device)
    return torch.where(places < ends[1:, None], places, N)
