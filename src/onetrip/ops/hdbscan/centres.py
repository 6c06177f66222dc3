"""Centres of clusters: weighted means, and members that are nearest to all others."""

import torch
from torch import Tensor

# Distances that are held at once.
_TILE = 1 << 20


def centroids(x: Tensor, labels: Tensor, strength: Tensor, clusters: int) -> Tensor:
    """Mean of each cluster's points, weighted [clusters, D], in float64.

    Parameters
    ----------
    x : Tensor [N, D]
    labels : Tensor [N], int64, -1 and less for points of none
    strength : Tensor [N], float64, weights
    clusters : how many there are.
    """
    found = torch.empty(clusters, x.shape[1], dtype=torch.float64, device=x.device)
    for cluster in range(clusters):
        members = labels == cluster
        weight = strength[members]
        found[cluster] = (weight[:, None] * x[members].double()).sum(0) / weight.sum()
    return found


def medoids(x: Tensor, labels: Tensor, strength: Tensor, clusters: int) -> Tensor:
    """Point of each cluster with the least weighted sum of distances [clusters], as its number.

    Distances are recomputed tile by tile; of equal sums the smallest number wins.
    """
    found = torch.empty(clusters, dtype=torch.int64, device=x.device)
    for cluster in range(clusters):
        members = (labels == cluster).nonzero().squeeze(1)
        points, weight = x[members].double(), strength[members]
        rows = max(1, _TILE // max(1, points.shape[0]))
        sums = [
            torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist") @ weight
            for part in points.split(rows)
        ]
        found[cluster] = members[torch.cat(sums).argmin()]
    return found
