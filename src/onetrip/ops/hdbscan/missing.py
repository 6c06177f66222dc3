"""Put samples that could not be clustered back into the trees of the others."""

import numpy as np
import torch

from onetrip.ops.hdbscan.condense import Condensed
from onetrip.ops.hdbscan.linkage import Linkage


def put_back(
    linkage: Linkage, condensed: Condensed, where: np.ndarray, n_samples: int
) -> tuple[Linkage, Condensed]:
    """Renumber the trees of some samples as trees of all.

    Parameters
    ----------
    linkage, condensed : trees of the samples that have a place.
    where : row of each of these among all.
    n_samples : of all. The others merge last, at an infinite distance, and leave the root at
        density 0.
    """
    N = where.shape[0]
    gone = n_samples - N
    if gone == 0:
        return linkage, condensed
    node = torch.cat([torch.from_numpy(where), torch.arange(n_samples, n_samples + N - 1)])
    others = torch.from_numpy(np.setdiff1d(np.arange(n_samples), where))
    tops = torch.arange(n_samples + N - 2, n_samples + N - 2 + gone)
    joined = Linkage(
        torch.cat([node[linkage.left], others]),
        torch.cat([node[linkage.right], tops]),
        torch.cat([linkage.distance, linkage.distance.new_full((gone,), torch.inf)]),
        torch.cat([linkage.size, torch.arange(N + 1, n_samples + 1)]),
    )
    parent = np.full(n_samples, n_samples)
    density = np.zeros(n_samples)
    parent[where], density[where] = condensed.parent[:N] + gone, condensed.lambda_val[:N]
    whole = Condensed(
        np.concatenate([parent, condensed.parent[N:] + gone]),
        np.concatenate([np.arange(n_samples), condensed.child[N:] + gone]),
        np.concatenate([density, condensed.lambda_val[N:]]),
        np.concatenate([np.ones(n_samples, dtype=np.int64), condensed.child_size[N:]]),
    )
    return joined, whole
