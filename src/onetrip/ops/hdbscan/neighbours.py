"""The nearest neighbours of every point: core distances, and most edges of the spanning tree."""

import importlib.util
from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.core.errors import require
from onetrip.ops.hdbscan.box_tree import BoxTree
from onetrip.ops.hdbscan.products import Products

# Columns of one tile of products: with 128 rows, 2 MiB of float32.
_COLUMNS = 4096
# Rows whose listed distances are evaluated at once.
_ROWS = 1 << 16
# Nearest candidates are sought in blocks of columns that hold one of them each.
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Lists of near places, of every place.

    `place` [N, K] with `square` [N, K], squared distances in float64, ascending; the place itself
    is among them. No place that is not listed is nearer than `unlisted` [N] (squared).
    `reevaluated` counts the rows that the certificate did not cover.
    """

    place: Tensor
    square: Tensor
    unlisted: Tensor
    reevaluated: int


def find_neighbours(products: Products, tree: BoxTree, needed: int, listed: int) -> Neighbours:
    """List at least the `needed` nearest places of every place, and `listed` where there are.

    `products` hold the points in the tree's order.
    """
    N = products.N
    K = min(listed, N)
    if products.by_difference and _has_scipy(products.x):
        place, unlisted = _lists_of_scipy(products.x, K)
    else:
        place = torch.empty(N, K, dtype=torch.int64, device=products.x.device)
        unlisted = torch.full((N,), torch.inf, dtype=torch.float64, device=products.x.device)
        for leaf in range(tree.leaves.shape[0]):
            run = tree.leaves[leaf]
            first = int(run[0])
            rows = slice(first, first + int((run < N).sum()))
            place[rows], unlisted[rows] = _lists_of(products, tree, leaf, rows, K)
    square = torch.empty(N, K, dtype=torch.float64, device=place.device)
    for begin in range(0, N, _ROWS):
        part = slice(begin, begin + _ROWS)
        itself = torch.arange(N, device=place.device)[part, None].expand(-1, K)
        square[part], nearest_first = products.pairs(itself, place[part]).sort(dim=1, stable=True)
        place[part] = place[part].gather(1, nearest_first)
    uncertain = (square[:, min(needed, K) - 1] > unlisted).nonzero().squeeze(1)
    for row in uncertain.tolist():
        everywhere = torch.arange(N, device=place.device)
        every = products.pairs(torch.full_like(everywhere, row), everywhere)
        nearest = every.topk(min(K + 1, N), largest=False)
        square[row], place[row] = nearest.values[:K], nearest.indices[:K]
        unlisted[row] = nearest.values[-1] if K < N else torch.inf
    return Neighbours(place, square, unlisted, uncertain.numel())


def _has_scipy(x: Tensor) -> bool:
    return x.device.type == "cpu" and importlib.util.find_spec("scipy") is not None


def _lists_of_scipy(x: Tensor, K: int) -> tuple[Tensor, Tensor]:
    """What `_lists_of` finds, of all rows at once.

    With few features most of the time goes into calls for small tiles; SciPy, which every user of
    the estimator has, walks a tree in C++ in a third of it.
    """
    spatial = require("scipy.spatial", extra="sklearn", purpose="A search for neighbours")
    points = x.numpy()
    found = spatial.cKDTree(points).query(points, K, workers=torch.get_num_threads())
    distance, place = (torch.from_numpy(values).view(-1, K) for values in found)
    if K == x.shape[0]:
        return place.long(), torch.full_like(distance[:, -1], torch.inf)
    # Its distances are rounded roots: a few units in the last place of room.
    return place.long(), distance[:, -1].square().mul_(1 - 1e-12)


def _lists_of(
    products: Products, tree: BoxTree, leaf: int, rows: slice, K: int
) -> tuple[Tensor, Tensor]:
    """The K nearest places of a leaf's rows, and a lower bound of what is not among them."""
    N = products.N
    # Places beside a leaf are near in space: the K-th of them bounds how far to look.
    window = slice(max(0, rows.start - K), min(N, rows.stop + K))
    near = products.squares(rows, window)  # [L, window]
    farthest = near.kthvalue(K, dim=1).values if near.shape[1] >= K else near.amax(1)
    within = float((farthest + products.error(rows)).max()) if near.shape[1] >= K else torch.inf
    every = torch.arange(tree.leaves.shape[0], device=near.device)
    bound = tree.nearest(tree.depth, every.new_tensor([leaf]), every)
    candidates = (bound <= within).nonzero().squeeze(1)
    columns = tree.leaves[candidates].reshape(-1)
    best = torch.empty(near.shape[0], 0, dtype=near.dtype, device=near.device)
    place = torch.empty_like(best, dtype=torch.int64)
    for begin in range(0, columns.numel(), _COLUMNS):
        part = columns[begin : begin + _COLUMNS]
        values, at = _smallest(products.squares(rows, part), K)
        best, place = torch.cat([best, values], 1), torch.cat([place, part[at]], 1)
        best, at = best.topk(min(K, best.shape[1]), dim=1, largest=False)
        place = place.gather(1, at)
    unlisted = best[:, K - 1].double() - products.error(rows)
    return place, unlisted if K < N else torch.full_like(unlisted, torch.inf)


def _smallest(squares: Tensor, K: int) -> tuple[Tensor, Tensor]:
    """The K smallest of every row [L, M], or all M, with their columns.

    The K blocks with the smallest minima hold them: sorting what these hold is less work.
    """
    L, M = squares.shape
    if M < 4 * K * _BLOCK:
        values, at = squares.topk(min(K, M), dim=1, largest=False)
        return values, at
    blocks = M // _BLOCK
    grouped = squares[:, : blocks * _BLOCK].view(L, _BLOCK, blocks)
    chosen = grouped.amin(1).topk(K, dim=1, largest=False).indices  # [L, K]
    column = chosen[:, None, :] + blocks * torch.arange(_BLOCK, device=squares.device)[:, None]
    column = column.reshape(L, -1)  # [L, BLOCK * K]
    rest = torch.arange(blocks * _BLOCK, M, device=squares.device).expand(L, -1)
    column = torch.cat([column, rest], 1)
    values, at = squares.gather(1, column).topk(K, dim=1, largest=False)
    return values, column.gather(1, at)
