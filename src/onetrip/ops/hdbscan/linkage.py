"""The single linkage tree: which components a spanning tree joins, in order of weight."""

from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.ops.hdbscan.chains import chains_of
from onetrip.ops.hdbscan.pointers import highest


@dataclass(frozen=True, slots=True)
class Linkage:
    """The N - 1 merges of N points, nearest first.

    Merge m joins the nodes `left` [m] and `right` [m] into node N + m, of `size` [m] points, at
    `distance` [m]. Nodes below N are points.
    """

    left: Tensor
    right: Tensor
    distance: Tensor
    size: Tensor

    @property
    def n_samples(self) -> int:
        """N."""
        return self.left.shape[0] + 1

    @property
    def above(self) -> Tensor:
        """Node that every node is merged into [2N - 1]; the root's is the root."""
        N = self.n_samples
        above = torch.arange(2 * N - 1, device=self.left.device)
        above[self.left] = above[self.right] = torch.arange(N, 2 * N - 1, device=above.device)
        return above

    @property
    def sizes(self) -> Tensor:
        """Points under every node [2N - 1]."""
        return torch.cat([self.size.new_ones(self.n_samples), self.size])

    def cpu(self) -> "Linkage":
        """The same in the host's memory."""
        left, right, size = torch.stack([self.left, self.right, self.size]).cpu()
        return Linkage(left, right, self.distance.cpu(), size)


def single_linkage(source: Tensor, target: Tensor, weight: Tensor) -> Linkage:
    """Merge the ends of edges [N - 1] that stand in order of weight, N > 1.

    >>> edges = torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([1.0, 2.0])
    >>> tree = single_linkage(*edges)
    >>> tree.left.tolist(), tree.right.tolist(), tree.size.tolist()
    ([0, 3], [1, 2], [2, 3])
    """
    chains = chains_of(source, target)
    return Linkage(chains.left, chains.right, weight, chains.sizes())


def cut(tree: Linkage, distance: float, min_cluster_size: int) -> Tensor:
    """Labels [N] of the components that merges below `distance` make; -1 in the small ones.

    >>> edges = torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([1.0, 2.0])
    >>> cut(single_linkage(*edges), 1.5, 2).tolist()
    [0, 0, -1]
    """
    N = tree.n_samples
    top = tree.above
    joined = torch.cat([top.new_zeros(N, dtype=torch.bool), tree.distance < distance])
    nodes = torch.arange(2 * N - 1, device=top.device)
    component = highest(torch.where(joined[top], top, nodes))[:N]
    _, inverse, counts = component.unique(return_inverse=True, return_counts=True)
    kept = counts >= min_cluster_size
    return torch.where(kept, kept.cumsum(0) - 1, -1)[inverse]
