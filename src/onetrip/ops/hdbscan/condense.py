"""The condensed tree: clusters that live, points that fall out of them, at which density."""

from dataclasses import dataclass

import numpy as np
import torch

from onetrip.ops.hdbscan.linkage import Linkage
from onetrip.ops.hdbscan.pointers import highest


@dataclass(frozen=True, slots=True)
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

    @property
    def n_samples(self) -> int:
        """N, which is also the root cluster's number."""
        return int(self.parent.min())

    @property
    def n_clusters(self) -> int:
        """Clusters of the tree, the root among them."""
        return self.child.shape[0] - self.n_samples + 1


def condense(tree: Linkage, min_cluster_size: int) -> Condensed:
    """Keep the merges of two parts of at least `min_cluster_size` points; all else falls out.

    >>> from onetrip.ops.hdbscan.linkage import single_linkage
    >>> edges = torch.tensor([0, 2, 1]), torch.tensor([1, 3, 2]), torch.tensor([1.0, 1.0, 4.0])
    >>> rows = condense(single_linkage(*edges), 2)
    >>> rows.parent.tolist(), rows.child.tolist()
    ([6, 6, 5, 5, 4, 4], [0, 1, 2, 3, 5, 6])
    """
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
    # What is copied at once is waited for once.
    found = torch.stack(
        [
            torch.cat([number[head[holder]], number[head[above[born]]]]),
            torch.cat([nodes[:N], number[born]]),
            torch.cat([torch.ones_like(holder), size[born]]),
        ]
    )
    parent, child, child_size = found.cpu().numpy()
    lambda_val = torch.cat([density[holder], density[above[born]]]).cpu().numpy()
    return Condensed(parent, child, lambda_val, child_size)


def births(tree: Condensed) -> np.ndarray:
    """Density at which every cluster appears [n_clusters]; the root's is 0."""
    return np.concatenate([[0.0], tree.lambda_val[tree.n_samples :]])


def deaths(tree: Condensed) -> np.ndarray:
    """Greatest density at which something leaves each cluster itself [n_clusters]."""
    found = np.zeros(tree.n_clusters)
    np.maximum.at(found, tree.parent - tree.n_samples, tree.lambda_val)
    return found


def stabilities(tree: Condensed) -> np.ndarray:
    """Excess of mass of every cluster [n_clusters]: points times how much density they outlive.

    NaN where a cluster of coincident points begins and ends at an infinite density.
    """
    index = tree.parent - tree.n_samples
    with np.errstate(invalid="ignore"):
        lived = (tree.lambda_val - births(tree)[index]) * tree.child_size
        return np.bincount(index, weights=lived, minlength=tree.n_clusters)


def outlier_scores(tree: Condensed) -> np.ndarray:
    """GLOSH [N]: how much earlier a point falls out than the densest of its cluster and below."""
    N = tree.n_samples
    densest = deaths(tree)
    for parent, child in zip(tree.parent[:N:-1], tree.child[:N:-1], strict=True):
        densest[parent - N] = max(densest[parent - N], densest[child - N])
    if tree.n_clusters > 1:
        parent, child = tree.parent[N] - N, tree.child[N] - N
        densest[parent] = max(densest[parent], densest[child])
    own, top = tree.lambda_val[:N], densest[tree.parent[:N] - N]
    with np.errstate(invalid="ignore", divide="ignore"):
        score = (top - own) / top
    return np.where((top == 0) | ~np.isfinite(own), 0.0, np.where(np.isinf(top), 1.0, score))
