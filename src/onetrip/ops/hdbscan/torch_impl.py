"""The implementation in plain torch: lists of neighbours, then Borůvka's rounds over boxes."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.boruvka import spanning_edges
from onetrip.ops.hdbscan.box_tree import build_tree
from onetrip.ops.hdbscan.edges import Spanning, in_order
from onetrip.ops.hdbscan.neighbours import find_neighbours
from onetrip.ops.hdbscan.outside import Search
from onetrip.ops.hdbscan.products import MAX_DIFFERENCE_FEATURES, Products
from onetrip.ops.hdbscan.tied_pairs import tied_pairs
from onetrip.tile.side_by_side import on_one_thread

# Multiplications of all pairs, below which tiles are too few for threads: digits are 2e8, and take
# 1.5 s of CPU time on two threads of a busy machine, 0.2 s on one.
_SMALL = 1 << 31
# Up to so many doublings or halvings of 1, squares of widths are well within float32's range.
_NEAR_ONE = 32


def spanning_tree(
    x: Tensor, min_samples: int, alpha: float, config: Config, *, certified: bool
) -> Spanning:
    """The tree of x [N, D], N > 0: decided in float64, whatever the dtype."""
    N, D = x.shape
    multiplications = N * N * D
    small = D <= MAX_DIFFERENCE_FEATURES or multiplications < _SMALL
    small &= x.device.type == "cpu"
    with on_one_thread(where=small):
        return _spanning_tree(x, min_samples, alpha, config, certified)


def _spanning_tree(
    x: Tensor, min_samples: int, alpha: float, config: Config, certified: bool
) -> Spanning:
    N = x.shape[0]
    # Points without features all lie in one place.
    wide = x.double() if x.shape[1] else x.new_zeros(N, 1, dtype=torch.float64)
    unit = _unit(wide)
    if unit != 1.0:
        wide = wide / unit
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
    edges = in_order(edges, tree.order)
    tied, weight = tied_pairs(near.place, near.square, core, scale, edges.weight)
    edges = replace(edges, weight=edges.weight * unit * unit)
    of_points, weight = of_points * unit * unit, weight * unit * unit
    return Spanning(edges, of_points, tree.order[tied], weight, near.reevaluated / N)


def _unit(x: Tensor) -> float:
    """A power of two, 1 where it can be: float32 holds the squares of distances in such units."""
    width = float((x.amax(0) - x.amin(0)).amax())
    exponent = math.frexp(width)[1]
    return 1.0 if abs(exponent) <= _NEAR_ONE else 2.0 ** max(-1000, min(1000, exponent))
