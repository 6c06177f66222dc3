"""The implementation in plain torch: lists of neighbours, then Borůvka's rounds over boxes."""

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.boruvka import spanning_edges
from onetrip.ops.hdbscan.box_tree import build_tree
from onetrip.ops.hdbscan.edges import Edges
from onetrip.ops.hdbscan.neighbours import find_neighbours
from onetrip.ops.hdbscan.outside import Search
from onetrip.ops.hdbscan.products import Products


def spanning_tree(
    x: Tensor, min_samples: int, alpha: float, config: Config, *, certified: bool
) -> tuple[Edges, Tensor, float]:
    """Edges between points, in order; core distances (squared); the share re-evaluated.

    Everything is decided in float64, whatever the dtype of x [N, D], N > 0.
    """
    N = x.shape[0]
    wide = x.double()
    tree = build_tree(wide, max(2, config["leaf"]))
    products = Products(wide[tree.order], certified=certified)
    del wide
    near = find_neighbours(products, tree, min_samples, min_samples + config["extra"])
    core = near.square[:, min(min_samples, N) - 1].contiguous()
    scale = alpha * alpha
    search = Search(products, tree, core, scale, config)
    edges = spanning_edges(near, core, scale, tree.order, search)
    first, second = tree.order[edges.row], tree.order[edges.column]
    edges = Edges(
        torch.minimum(first, second), torch.maximum(first, second), edges.weight, edges.key
    )
    edges = edges[edges.key.argsort()]
    edges = edges[edges.weight.argsort(stable=True)]
    of_points = torch.empty_like(core)
    of_points[tree.order] = core
    return edges, of_points, near.reevaluated / N
