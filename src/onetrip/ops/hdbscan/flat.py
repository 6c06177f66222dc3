"""Flat clusters of a condensed tree: which are selected, whose the points are, how firmly."""

from dataclasses import dataclass

import numpy as np

from onetrip.ops.hdbscan.condense import Condensed


@dataclass(frozen=True, slots=True)
class Selection:
    """How clusters are selected; `cluster_selection_method` is "eom" or "leaf"."""

    cluster_selection_method: str = "eom"
    cluster_selection_epsilon: float = 0.0
    allow_single_cluster: bool = False
    max_cluster_size: int | None = None


def select_clusters(tree: Condensed, how: Selection) -> np.ndarray:
    """Numbers of the selected clusters, ascending, counted from the root's 0."""
    parent, child = _edges(tree)
    if how.cluster_selection_method == "eom":
        chosen = _by_excess_of_mass(tree, how)
    else:
        chosen = np.setdiff1d(child, parent)
    only_root = chosen.shape[0] == 1 and chosen[0] == 0
    if how.cluster_selection_epsilon > 0 and child.shape[0] and not only_root:
        chosen = _merged_below(tree, chosen, how)
    return chosen


def labels_of(tree: Condensed, chosen: np.ndarray, how: Selection) -> np.ndarray:
    """Label of every point [N]: the place of its cluster in `chosen`, or -1."""
    N = tree.n_samples
    parent, child = _edges(tree)
    label = np.full(tree.n_clusters, -1)
    label[chosen] = np.arange(chosen.shape[0])
    # Parents come before their children.
    for above, below in zip(parent.tolist(), child.tolist(), strict=True):
        if label[below] < 0 and above != 0:
            label[below] = label[above]
    own = tree.parent[:N] - N
    found = label[own]
    if chosen.shape[0] == 1 and chosen[0] == 0:
        found = np.where(_dense_in_root(tree, how), 0, -1)
    return found


def probabilities_of(tree: Condensed, chosen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How long every point stays [N], as a share of the longest stay in its cluster."""
    own = tree.lambda_val[: tree.n_samples]
    top = np.append(tree.deaths[chosen], np.inf)[labels]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.minimum(own / top, 1.0)
    odd = np.isnan(share)
    if odd.any():
        # Coincident points, which stay for ever, or a cluster whose densities are all 0.
        share[odd] = labels[odd] >= 0
    return share


def persistence_of(tree: Condensed, chosen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Stability of every selected cluster, as a share of the greatest that its size allows."""
    densest = tree.deaths.max()
    counts = np.bincount(labels + 1, minlength=chosen.shape[0] + 1)[1:]
    found = tree.stabilities[chosen]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isinf(densest) | (counts == 0), 1.0, found / (counts * densest))


def _edges(tree: Condensed) -> tuple[np.ndarray, np.ndarray]:
    """Parent and child clusters [n_clusters - 1], counted from the root's 0."""
    N = tree.n_samples
    return tree.parent[N:] - N, tree.child[N:] - N


def _by_excess_of_mass(tree: Condensed, how: Selection) -> np.ndarray:
    parent, child = (ends.tolist() for ends in _edges(tree))
    stability = tree.stabilities.tolist()
    size = [sum(tree.child_size[tree.n_samples :][tree.parent[tree.n_samples :] == tree.n_samples])]
    size += tree.child_size[tree.n_samples :].tolist()
    largest = how.max_cluster_size or tree.n_samples + 1
    below = [0.0] * tree.n_clusters
    kept = [True] * tree.n_clusters
    above = dict(zip(child, parent, strict=True))
    for cluster in range(tree.n_clusters - 1, -1, -1):
        if cluster == 0 and not how.allow_single_cluster:
            kept[0] = False
        elif below[cluster] > stability[cluster] or size[cluster] > largest:
            kept[cluster] = False
            stability[cluster] = below[cluster]
        if cluster:
            below[above[cluster]] += stability[cluster]
    # A selected cluster hides what is below it.
    hidden = [False] * tree.n_clusters
    for above_it, cluster in zip(parent, child, strict=True):
        hidden[cluster] = hidden[above_it] or kept[above_it]
    return np.array([c for c in range(tree.n_clusters) if kept[c] and not hidden[c]], dtype=int)


def _merged_below(tree: Condensed, chosen: np.ndarray, how: Selection) -> np.ndarray:
    """Go up from clusters born nearer than epsilon to the first that is born farther."""
    parent, child = (ends.tolist() for ends in _edges(tree))
    above = dict(zip(child, parent, strict=True))
    with np.errstate(divide="ignore"):
        distance = (1.0 / tree.births).tolist()
    found: set[int] = set()
    for cluster in chosen.tolist():
        while distance[cluster] < how.cluster_selection_epsilon:
            if above[cluster] == 0:
                cluster = 0 if how.allow_single_cluster else cluster
                break
            cluster = above[cluster]
        found.add(cluster)
    # What went up may now lie above what stayed.
    return np.array(sorted(c for c in found if not _any_above(c, above, found)), dtype=int)


def _any_above(cluster: int, above: dict[int, int], found: set[int]) -> bool:
    while cluster:
        cluster = above[cluster]
        if cluster in found:
            return True
    return False


def _dense_in_root(tree: Condensed, how: Selection) -> np.ndarray:
    """Points of the only cluster, when that is the root: as dense as its last or as epsilon."""
    N = tree.n_samples
    own = tree.lambda_val[:N]
    threshold = tree.lambda_val[tree.parent == N].max()
    if how.cluster_selection_epsilon > 0:
        threshold = 1.0 / how.cluster_selection_epsilon
    return own >= threshold
