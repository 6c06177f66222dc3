"""The implementation in plain torch: lists of neighbours, then Borůvka's rounds over boxes."""

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.boruvka import spanning_edges
from onetrip.ops.hdbscan.box_tree import build_tree
from onetrip.ops.hdbscan.edges import Spanning, in_order
from onetrip.ops.hdbscan.neighbours import Neighbours, find_neighbours
from onetrip.ops.hdbscan.outside import Search
from onetrip.ops.hdbscan.products import Products


def spanning_tree(
    x: Tensor, min_samples: int, alpha: float, config: Config, *, certified: bool
) -> Spanning:
    """The tree of x [N, D], N > 0: decided in float64, whatever the dtype."""
    N = x.shape[0]
    # Points without features all lie in one place.
    wide = x.double() if x.shape[1] else x.new_zeros(N, 1, dtype=torch.float64)
    tree = build_tree(wide, max(2, config["leaf"]))
    products = Products(wide[tree.order], certified=certified)
    del wide
    near = find_neighbours(products, tree, min_samples, min_samples + config["extra"])
    core = near.square[:, min(min_samples, N) - 1].contiguous()
    scale = alpha * alpha
    search = Search(products, tree, core, scale, config)
    edges = spanning_edges(near, core, scale, tree.order, search)
    of_points = torch.empty_like(core)
    of_points[tree.order] = core
    return Spanning(
        in_order(edges, tree.order),
        of_points,
        tree.order[_tied(near, core, scale)],
        near.reevaluated / N,
    )


def _tied(near: Neighbours, core: Tensor, scale: float) -> Tensor:
    """Places [2, T] whose mutual reachability is the core distance of the first."""
    within = (near.square / scale <= core[:, None]) & (core[near.place] <= core[:, None])
    within &= near.place != torch.arange(core.shape[0], device=core.device)[:, None]
    place, at = within.nonzero(as_tuple=True)
    return torch.stack([place, near.place[place, at]])
