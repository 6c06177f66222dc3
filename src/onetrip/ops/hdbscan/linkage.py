"""The single linkage tree: which components a spanning tree joins, in order of weight."""

from dataclasses import dataclass

import numpy as np


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


def single_linkage(source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> Linkage:
    """Merge the ends of edges [N - 1] that stand in order of weight.

    >>> tree = single_linkage(np.array([0, 1]), np.array([1, 2]), np.array([1.0, 2.0]))
    >>> tree.left.tolist(), tree.right.tolist(), tree.size.tolist()
    ([0, 3], [1, 2], [2, 3])
    """
    N = source.shape[0] + 1
    # Lists: elements of arrays take three times as long to read one by one.
    node = list(range(2 * N - 1))
    size = [1] * N
    left, right = [], []
    for merged, (a, b) in enumerate(zip(source.tolist(), target.tolist(), strict=True), N):
        while node[a] != a:
            node[a] = node[node[a]]
            a = node[a]
        while node[b] != b:
            node[b] = node[node[b]]
            b = node[b]
        node[a] = node[b] = merged
        left.append(a)
        right.append(b)
        size.append(size[a] + size[b])
    return Linkage(
        np.array(left, dtype=np.int64),
        np.array(right, dtype=np.int64),
        np.asarray(weight, dtype=np.float64),
        np.array(size[N:], dtype=np.int64),
    )


def cut(tree: Linkage, distance: float, min_cluster_size: int) -> np.ndarray:
    """Labels [N] of the components that merges below `distance` make; -1 in the small ones.

    >>> tree = single_linkage(np.array([0, 1]), np.array([1, 2]), np.array([1.0, 2.0]))
    >>> cut(tree, 1.5, 2).tolist()
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
