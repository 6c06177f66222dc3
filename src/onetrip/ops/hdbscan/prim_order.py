"""Order edges of a spanning tree as Prim's algorithm meets them, from the first point.

In mutual reachability equal weights are the rule: a point whose core distance is large is as far
from every component within it, and joins them all at once. Which two are merged first decides
which cluster the point falls out of. Both scikit-learn and the hdbscan library let Prim's
algorithm decide, then an unstable sort: the same order here, and the same sort, give their labels.

The algorithm takes the edge that leads to the smallest number among equally light ones. In a tree
that is turned away from the first point every edge is met in one direction only. So all edges
have their place in one order, by weight, then by the point that they lead to; and the algorithm,
which finishes a component before it leaves it by a heavier edge, visits points in the order of the
leaves of the tree of merges, of which the component with the nearer end comes first.
"""

import numpy as np
import torch
from torch import Tensor

from onetrip.ops.hdbscan.chains import chains_of
from onetrip.ops.hdbscan.rooted import rooted
from onetrip.ops.hdbscan.tied import as_met


def in_prim_order(
    source: Tensor, target: Tensor, weight: Tensor, tied: Tensor, tied_weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Edges [N - 1] by weight, equal ones as Prim's algorithm and NumPy's default sort leave them.

    Parameters
    ----------
    source, target : Tensor [N - 1], int64
        Points of every edge of a minimum spanning tree, N > 1.
    weight : Tensor [N - 1], float64, of every edge, ascending.
    tied : Tensor [2, T], points of further edges, each of which may replace one as heavy.
    tied_weight : Tensor [T], of these.

    Returns
    -------
    source, target, weight
        `source` is the end that the algorithm reached first.

    Examples
    --------
    >>> edges = torch.tensor([1, 0]), torch.tensor([2, 2]), torch.tensor([1.0, 3.0])
    >>> none = torch.empty((2, 0), dtype=torch.int64), torch.empty(0)
    >>> source, target, _ = in_prim_order(*edges, *none)
    >>> source.tolist(), target.tolist()
    ([2, 0], [1, 2])
    """
    source, target = rooted(source, target)
    if tied.shape[1]:
        source, target, weight = as_met(source, target, weight, tied, tied_weight)
    E = weight.shape[0]
    rank = torch.zeros_like(target)  # of the weight, among those that differ
    torch.cumsum(weight[1:] != weight[:-1], 0, out=rank[1:])
    # One edge leads to every point but the first, which has place 0.
    key, order = (rank * (E + 1) + target).sort()
    source, target = source[order], key - rank * (E + 1)
    if int(rank[-1]) == E - 1:
        return source, target, weight
    met = torch.empty_like(order)
    met[chains_of(source, target).places()[target] - 1] = torch.arange(E, device=met.device)
    by_weight = np.argsort(weight[met].cpu().numpy())
    met = met[torch.from_numpy(by_weight).to(met.device)]
    return source[met], target[met], weight[met]
