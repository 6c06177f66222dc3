"""The spanning tree with Triton kernels: by products and lists, or by differences alone."""

from dataclasses import replace

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.box_tree import build_tree
from onetrip.ops.hdbscan.device_points import arranged, in_blocks
from onetrip.ops.hdbscan.device_rounds import Rounds
from onetrip.ops.hdbscan.edges import (
    Edges,
    Spanning,
    in_order,
    join,
    lightest,
    lowest,
    make_edges,
    merge,
)
from onetrip.ops.hdbscan.kernel_near import Near
from onetrip.ops.hdbscan.kernel_replacing import replacing_pairs
from onetrip.ops.hdbscan.kernel_triton import core_distances, nearest_outside
from onetrip.ops.hdbscan.select import EXTRA_SAMPLES, sums_of_differences
from onetrip.ops.hdbscan.tied_pairs import tied_pairs


def spanning_tree(
    x: Tensor, min_samples: int, alpha: float, config: Config, *, certified: bool
) -> Spanning:
    """The tree of x [N, D], N > 0, decided in float32, float64 where x is.

    What products propose is decided by differences: `certified` changes nothing.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    if x.shape[1] == 0:
        wide = wide.new_zeros(x.shape[0], 1)
    if "BLOCK_N" in config:
        return _by_products(wide, min_samples, alpha, config)
    return _by_differences(wide, min_samples, alpha, config)


def _by_products(x: Tensor, min_samples: int, alpha: float, config: Config) -> Spanning:
    """Lists of near points settle most edges; pairs for the others come from tiles of products."""
    points = arranged(x.contiguous(), config["BLOCK_M"])
    differences = sums_of_differences(double=x.dtype == torch.float64)
    near = Near(points, min_samples, EXTRA_SAMPLES, config)
    core = near.core
    if near.unsure:
        low, high = _boxes(points.exact, differences["BLOCK"])
        core = core_distances(
            points.exact.T.contiguous(), low, high, min(min_samples, len(x)), differences
        )
    core_of_rounds = core * (alpha * alpha)
    edges = Rounds(points, near, core_of_rounds, config, differences).edges()
    tied, heavy = _replacing(near, core_of_rounds, edges.weight)
    # A power of two: its square may be beyond float32, where the weights are not.
    unit = points.scale.double().square()
    of_points = torch.empty(len(x), dtype=torch.float64, device=x.device)
    of_points[points.order] = core.double() / unit
    weight, heavy = (value.double() / (unit * alpha * alpha) for value in (edges.weight, heavy))
    edges = replace(edges, weight=weight)
    return Spanning(edges, of_points, points.order[tied], heavy, 0.0)


def _replacing(near: Near, core: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Listed pairs [2, T] that may take the place of an edge of the tree, and their weights."""
    found = replacing_pairs(near.place, near.square, core, near.reach, chosen)
    if found is not None:
        return found
    # Here as in the kernel, nothing is taken from a list that is too short.
    near.square.masked_fill_(torch.isneginf(near.reach)[:, None], torch.inf)
    return tied_pairs(near.place, near.square, core, 1.0, chosen)


def _by_differences(wide: Tensor, min_samples: int, alpha: float, config: Config) -> Spanning:
    """Every distance is a sum of differences, in the precision of the points."""
    N = wide.shape[0]
    order = build_tree(wide, config["BLOCK"]).order
    wide = wide[order]
    low, high = _boxes(wide, config["BLOCK"])
    points = wide.T.contiguous()  # [D, N]
    del wide
    core = core_distances(points, low, high, min(min_samples, N), config)
    scale = alpha * alpha
    # In the unit of squared distances, so that a kernel has nothing to divide.
    edges = _rounds(points, low, high, core * scale, order, config)
    of_points = torch.empty_like(core)
    of_points[order] = core
    no_pairs = order.new_empty(2, 0)
    edges = in_order(edges, order)
    edges = replace(edges, weight=edges.weight / scale)
    return Spanning(edges, of_points, no_pairs, core[:0], 0.0)


def _rounds(
    points: Tensor,
    low: Tensor,
    high: Tensor,
    core: Tensor,
    order: Tensor,
    config: Config,
) -> Edges:
    """Edges between places. What a point has found stays its nearest until it is swallowed."""
    N = order.shape[0]
    place = torch.empty_like(order)
    place[order] = torch.arange(N, device=order.device)
    number = order.int()
    component, components = torch.arange(N, device=order.device), N
    weight = torch.full_like(core, torch.inf)
    nearest = torch.zeros_like(order)
    # No way out of its component lighter than this.
    known = torch.full_like(core, -torch.inf)
    found: list[Edges] = []
    while components > 1:
        outside = torch.isfinite(weight) & (component[nearest] != component)
        limit = lowest(weight[outside], component[outside], components)[component]
        stale = ~outside & (known <= limit)
        padded = in_blocks(component.int(), config["BLOCK"])
        lighter, other = nearest_outside(
            points,
            low,
            high,
            core,
            component.int(),
            padded.amin(1),
            padded.amax(1),
            number,
            torch.where(stale, limit, -torch.inf),
            config,
        )
        within = stale & (lighter <= limit) & torch.isfinite(lighter)
        weight = torch.where(within, lighter, weight)
        nearest[within] = place[other[within].long()]
        known = torch.where(stale, torch.minimum(lighter, limit), known)
        rows = (outside | within).nonzero().squeeze(1)
        edges = lightest(
            make_edges(rows, nearest[rows], weight[rows], order), component, components
        )
        edges, component, components = merge(edges, component, components)
        found.append(edges)
    nothing = order[:0]
    return join([make_edges(nothing, nothing, core[:0], order), *found])


def _boxes(x: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Boxes around blocks of consecutive rows, feature by feature [D, blocks]."""
    padded = in_blocks(x, block)  # [blocks, block, D]
    return padded.amin(1).T.contiguous(), padded.amax(1).T.contiguous()
