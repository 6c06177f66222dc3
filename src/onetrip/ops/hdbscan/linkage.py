"""The single linkage tree: which components a spanning tree joins, in order of weight."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from onetrip.ops.hdbscan.chains import chains_of


@dataclass(frozen=True, slots=True)
class Linkage:
    """The N - 1 merges of N points, nearest first.

    Merge m joins the nodes `left` [m] and `right` [m] into node N + m, of `size` [m] points, at
    `distance` [m]. Nodes below N are points.
    """

    left: np.ndarray
    right: np.ndarray
    distance: np.ndarray
    size: np.ndarray

    @property
    def n_samples(self) -> int:
        """N."""
        return self.left.shape[0] + 1

    @property
    def above(self) -> np.ndarray:
        """Node that every node is merged into [2N - 1]; the root's is the root."""
        N = self.n_samples
        above = np.arange(2 * N - 1)
        above[self.left] = above[self.right] = np.arange(N, 2 * N - 1)
        return above

    @property
    def sizes(self) -> np.ndarray:
        """Points under every node [2N - 1]."""
        return np.concatenate([np.ones(self.n_samples, dtype=np.int64), self.size])


def single_linkage(source: Tensor, target: Tensor, weight: Tensor) -> Linkage:
    """Merge the ends of edges [N - 1] that stand in order of weight, N > 1.

    >>> edges = torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([1.0, 2.0])
    >>> tree = single_linkage(*edges)
    >>> tree.left.tolist(), tree.right.tolist(), tree.size.tolist()
    ([0, 3], [1, 2], [2, 3])
    """
    chains = chains_of(source, target)
    found = chains.left, chains.right, weight.double(), chains.size
    return Linkage(*(values.cpu().numpy() for values in found))


def cut(tree: Linkage, distance: float, min_cluster_size: int) -> np.ndarray:
    """Labels [N] of the components that merges below `distance` make; -1 in the small ones.

    >>> edges = torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([1.0, 2.0])
    >>> cut(single_linkage(*edges), 1.5, 2).tolist()
    [0, 0, -1]
    """
    N = tree.n_samples
    top = tree.above
    joined = np.concatenate([np.zeros(N, dtype=bool), tree.distance < distance])
    nodes = np.arange(2 * N - 1)
    component = climb(np.where(joined[top], top, nodes))[:N]
    _, inverse, counts = np.unique(component, return_inverse=True, return_counts=True)
    kept = counts >= min_cluster_size
    label = np.where(kept, np.cumsum(kept) - 1, -1)
    return label[inverse].astype(np.int64)


def climb(above: np.ndarray) -> np.ndarray:
    """Where every node arrives that goes up until it stays."""
    while True:
        higher = above[above]
        if np.array_equal(higher, above):
            return above
        above = higher
