"""Borůvka's rounds with Triton kernels: distances are recomputed, a few numbers are kept."""

from dataclasses import replace

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.box_tree import build_tree
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
from onetrip.ops.hdbscan.kernel_triton import core_distances, nearest_outside


def spanning_tree(
    x: Tensor, min_samples: int, alpha: float, config: Config, *, certified: bool
) -> Spanning:
    """The tree of x [N, D], N > 0, decided in float32, float64 where x is.

    Sums of differences need no certificate: `certified` changes nothing.
    """
    N = x.shape[0]
    wide = x if x.dtype == torch.float64 else x.float()
    if x.shape[1] == 0:
        wide = wide.new_zeros(N, 1)
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
    N, blocks = order.shape[0], low.shape[1]
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
        padded = _padded(component.int(), config["BLOCK"], blocks)
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
    blocks = -(-x.shape[0] // block)
    padded = _padded(x, block, blocks)  # [blocks, block, D]
    return padded.amin(1).T.contiguous(), padded.amax(1).T.contiguous()


def _padded(values: Tensor, block: int, blocks: int) -> Tensor:
    """Rows in blocks, the last filled up with its last row again."""
    rows = torch.arange(blocks * block, device=values.device).clamp_max_(values.shape[0] - 1)
    return values[rows].view(blocks, block, *values.shape[1:])
