"""The condensed tree: clusters that live, points that fall out of them, at which density."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from onetrip.ops.hdbscan.linkage import Linkage
from onetrip.ops.hdbscan.pointers import highest


@dataclass(frozen=True)
class Condensed:
    """A row for every point and every cluster but the root: what leaves which cluster, and when.

    `child` leaves `parent` at density `lambda_val`, the inverse of a distance, with `child_size`
    points. Clusters are numbered from N, the root, upwards; a parent has a smaller number than
    its children. Rows of points come first, in order.
    """

    parent: np.ndarray
    child: np.ndarray
    lambda_val: np.ndarray
    child_size: np.ndarray

    @cached_property
    def n_samples(self) -> int:
        """N, which is also the root cluster's number."""
        return int(self.parent.min())

    @property
    def n_clusters(self) -> int:
        """Clusters of the tree, the root among them."""
        return self.child.shape[0] - self.n_samples + 1

    @cached_property
    def births(self) -> np.ndarray:
        """Density at which every cluster appears [n_clusters]; the root's is 0."""
        return np.concatenate([[0.0], self.lambda_val[self.n_samples :]])

    @cached_property
    def deaths(self) -> np.ndarray:
        """Greatest density at which something leaves each cluster itself [n_clusters]."""
        found = np.zeros(self.n_clusters)
        np.maximum.at(found, self.parent - self.n_samples, self.lambda_val)
        return found

    @cached_property
    def stabilities(self) -> np.ndarray:
        """Excess of mass of every cluster [n_clusters]: points times how much density they outlive.

        NaN where a cluster of coincident points begins and ends at an infinite density.
        """
        N, index = self.n_samples, self.parent - self.n_samples
        with np.errstate(invalid="ignore"):
            lived = self.lambda_val - self.births[index]
            lived[N:] *= self.child_size[N:]
            return np.bincount(index, weights=lived, minlength=self.n_clusters)


def condense(tree: Linkage, min_cluster_size: int) -> Condensed:
    """Keep the merges of two parts of at least `min_cluster_size` points; all else falls out.

    >>> from onetrip.ops.hdbscan.linkage import single_linkage
    >>> edges = torch.tensor([0, 2, 1]), torch.tensor([1, 3, 2]), torch.tensor([1.0, 1.0, 4.0])
    >>> rows = condense(single_linkage(*edges), 2)
    >>> rows.parent.tolist(), rows.child.tolist()
    ([6, 6, 5, 5, 4, 4], [0, 1, 2, 3, 5, 6])
    """
    if tree.left.is_cuda:
        from onetrip.ops.hdbscan.kernel_condense import condensed_rows

        columns = (tree.left, tree.right, tree.distance, tree.size)
        parent, lambda_val, child_size = condensed_rows(*columns, min_cluster_size)
        # A row for every point, then clusters in the order of their numbers.
        child = np.arange(parent.shape[0])
        child[tree.n_samples :] += 1
        return Condensed(parent, child, lambda_val, child_size)
    N = tree.n_samples
    root = 2 * N - 2
    above, size = tree.above, tree.sizes
    big = size >= min_cluster_size
    big[root] = True
    nodes = torch.arange(2 * N - 1, device=above.device)
    sibling = nodes.clone()
    sibling[tree.left], sibling[tree.right] = tree.right, tree.left
    starts = big & big[sibling]  # the root too
    # The cluster of a big node is the one that started last above it.
    head = highest(torch.where(starts | ~big, nodes, above))
    holder = highest(torch.where(big, nodes, above))[:N]
    density = torch.cat([tree.distance.new_full((N,), torch.inf), 1.0 / tree.distance])
    heads = starts.nonzero().squeeze(1).flip(0)  # from the root downwards
    number = torch.empty_like(nodes)
    number[heads] = N + torch.arange(heads.shape[0], device=nodes.device)
    born = heads[1:]
    columns = (
        torch.cat([number[head[holder]], number[head[above[born]]]]),
        torch.cat([nodes[:N], number[born]]),
        torch.cat([density[holder], density[above[born]]]),
        torch.cat([torch.ones_like(holder), size[born]]),
    )
    return Condensed(*(column.numpy() for column in columns))


def outlier_scores(tree: Condensed) -> np.ndarray:
    """GLOSH [N]: how much earlier a point falls out than the densest of its cluster and below."""
    N = tree.n_samples
    densest = tree.deaths.copy()
    for parent, child in zip(tree.parent[:N:-1], tree.child[:N:-1], strict=True):
        densest[parent - N] = max(densest[parent - N], densest[child - N])
    if tree.n_clusters > 1:
        parent, child = tree.parent[N] - N, tree.child[N] - N
        densest[parent] = max(densest[parent], densest[child])
    own, top = tree.lambda_val[:N], densest[tree.parent[:N] - N]
    with np.errstate(invalid="ignore", divide="ignore"):
        score = (top - own) / top
    odd = np.isnan(score)
    if odd.any():
        # Far outside of coincident points, or one of them, or all densities are 0.
        score[odd] = np.isinf(top[odd]) & np.isfinite(own[odd])
    return score
