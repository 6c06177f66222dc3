"""The lightest edge that leaves each component, in one order that has no ties.

Edges are ordered by weight, then by the smaller, then by the larger of the two points' numbers:
with it the minimum spanning tree is unique, whatever found its edges.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_NONE = torch.iinfo(torch.int64).max


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges between places: `row` and `column` [E], `weight` [E] (squared), `key` [E].

    `key` numbers the pair of points, smaller number first: it decides between equal weights.
    """

    row: Tensor
    column: Tensor
    weight: Tensor
    key: Tensor

    def __getitem__(self, chosen: Tensor) -> "Edges":
        return Edges(self.row[chosen], self.column[chosen], self.weight[chosen], self.key[chosen])


@dataclass(frozen=True, slots=True)
class Spanning:
    """A minimum spanning tree of N points.

    `edges` [N - 1] between points, smaller number first, in order; `core` [N], squared core
    distances; `tied` [2, T], pairs of points that may take the place of an edge, being as heavy as
    two or more of them, `tied_weight` [T]; `reevaluated`, the share of points that the certificate
    of their neighbours left open.
    """

    edges: Edges
    core: Tensor
    tied: Tensor
    tied_weight: Tensor
    reevaluated: float


def root(squares: Tensor) -> Tensor:
    """Square roots of float64, correctly rounded: the same on every device.

    Those of torch on a CPU are off by a unit in the last place now and then.

    >>> root(torch.tensor([4.0], dtype=torch.float64))
    tensor([2.], dtype=torch.float64)
    """
    if squares.is_cuda:
        return squares.sqrt()
    return torch.from_numpy(np.sqrt(squares.numpy()))


def in_order(edges: Edges, order: Tensor) -> Edges:
    """Edges between places as edges between points: smaller number first, lightest first."""
    first, second = order[edges.row], order[edges.column]
    first, second = torch.minimum(first, second), torch.maximum(first, second)
    edges = Edges(first, second, edges.weight, edges.key)
    edges = edges[edges.key.argsort()]
    return edges[edges.weight.argsort(stable=True)]


def make_edges(row: Tensor, column: Tensor, weight: Tensor, order: Tensor) -> Edges:
    """Edges with their keys; `order` [N] is the point at each place."""
    first, second = order[row], order[column]
    key = torch.minimum(first, second) * order.shape[0] + torch.maximum(first, second)
    return Edges(row, column, weight, key)


def join(parts: list[Edges]) -> Edges:
    """All edges of several."""
    return Edges(
        torch.cat([edges.row for edges in parts]),
        torch.cat([edges.column for edges in parts]),
        torch.cat([edges.weight for edges in parts]),
        torch.cat([edges.key for edges in parts]),
    )


def lightest(edges: Edges, component: Tensor, components: int) -> Edges:
    """Of the edges that leave from each component (the one of `row`), the first in order."""
    leaves = component[edges.row]
    least = lowest(edges.weight, leaves, components)
    edges = edges[edges.weight == least[leaves]]
    leaves = component[edges.row]
    first = edges.key.new_full((components,), _NONE)
    first.scatter_reduce_(0, leaves, edges.key, "amin")
    edges = edges[edges.key == first[leaves]]
    # An edge may have been found twice.
    once = torch.full_like(first, _NONE)
    places = torch.arange(edges.key.shape[0], device=first.device)
    once.scatter_reduce_(0, component[edges.row], places, "amin")
    return edges[once[once < _NONE]]


def lowest(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Least value of every group, infinity where a group has none."""
    return values.new_full((groups,), torch.inf).scatter_reduce_(0, group, values, "amin")


def merge(edges: Edges, component: Tensor, components: int) -> tuple[Edges, Tensor, int]:
    """Join components along the edge that each chose, at most one for each component.

    Returns the edges, without those that both ends chose twice, and the new components [N].
    """
    source, target = component[edges.row], component[edges.column]
    parent = torch.arange(components, device=component.device)
    parent[source] = target
    mutual = (parent[target] == source) & (source < target)
    parent[source[mutual]] = source[mutual]
    while True:
        above = parent[parent]
        if torch.equal(above, parent):
            break
        parent = above
    roots, renamed = parent.unique(return_inverse=True)
    return edges[~mutual], renamed[component], roots.numel()
