"""Borůvka's rounds: every component takes the lightest edge that leaves it, until one is left."""

import torch
from torch import Tensor

from onetrip.ops.hdbscan.edges import Edges, join, lightest, lowest, make_edges, merge
from onetrip.ops.hdbscan.neighbours import Neighbours
from onetrip.ops.hdbscan.outside import Search

# While so large a share of the components is settled by the lists alone, none is searched for.
_SETTLED_SHARE = 0.25


def spanning_edges(
    near: Neighbours, core: Tensor, scale: float, order: Tensor, search: Search
) -> Edges:
    """The N - 1 edges of the minimum spanning tree, between places, in no order.

    Parameters
    ----------
    near : lists of near places.
    core : Tensor [N], squared core distances, float64.
    scale : float
        Squared distances are divided by it.
    order : Tensor [N], the point at each place.
    search : finds what is not listed.
    """
    N = core.shape[0]
    # In the order of points, so that the first of equal weights is the first in order.
    by_point = order[near.place].argsort(dim=1)
    column = near.place.gather(1, by_point)
    weight = torch.maximum(near.square.gather(1, by_point).div_(scale), core[column])
    weight = torch.maximum(weight, core[:, None])
    unlisted = torch.maximum(near.unlisted / scale, core)
    component, components = torch.arange(N, device=core.device), N
    live = component
    found: list[Edges] = []
    while components > 1:
        away = component[column] != component[live][:, None]
        least, at = weight.masked_fill(~away, torch.inf).min(1)
        some = least < torch.inf
        if int(some.sum()) < 0.8 * live.numel():
            live, column, weight = live[some], column[some], weight[some]
            least, at = least[some], at[some]
            some = torch.ones_like(live, dtype=torch.bool)
        rows = live[some]
        ends = column[some].gather(1, at[some][:, None]).squeeze(1)
        edges = lightest(make_edges(rows, ends, least[some], order), component, components)
        limit = lowest(edges.weight, component[edges.row], components)
        settled = limit < lowest(unlisted, component, components)
        if int(settled.sum()) < max(1.0, _SETTLED_SHARE * components):
            size = torch.bincount(component, minlength=components)
            wanted = ~settled
            wanted[size.argmax()] = False
            both_ends = lowest(edges.weight, component[edges.column], components)
            limit = torch.minimum(limit, both_ends)
            active = wanted[component] & (unlisted <= limit[component])
            edges = join([edges, search.lightest_outside(component, active, limit)])
            edges = lightest(edges, component, components)
            unlisted = torch.where(
                wanted[component], torch.maximum(unlisted, limit[component]), unlisted
            )
            settled |= wanted
        edges = edges[settled[component[edges.row]]]
        kept, component, components = merge(edges, component, components)
        found.append(kept)
    nothing = component[:0]
    return join([make_edges(nothing, nothing, core[:0], order), *found])
