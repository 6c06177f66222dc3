"""The nearest point outside its component, for the components that neighbour lists cannot settle.

Pairs of boxes are descended level by level. A pair is dropped when both boxes lie in one
component, or when they are farther apart than a way out that the component is known to have;
the boxes themselves bound that way from above. What is left at the leaves are tiles of distances.
"""

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan.box_tree import BoxTree, regrouped
from onetrip.ops.hdbscan.edges import Edges, join, make_edges
from onetrip.ops.hdbscan.products import Products

# Pairs of boxes that are held at once; the rest wait on a stack.
_PAIRS = 1 << 17
# Batches of tiles at most, until pairs are held against the limits again.
_BATCHES = 16


class Search:
    """What a search needs that does not change between rounds.

    Parameters
    ----------
    products, tree : the points, in the tree's order.
    core : Tensor [N], squared core distances of places, float64.
    scale : float
        Squared distances are divided by it (alpha squared).
    config : ``tile``: elements of the tiles that are evaluated at once.
    """

    def __init__(
        self, products: Products, tree: BoxTree, core: Tensor, scale: float, config: Config
    ) -> None:
        self._products, self._whole, self._scale = products, tree, scale
        self._core_of_places = core
        self._core = torch.cat([core, core.new_tensor([torch.inf])])
        L = tree.leaves.shape[1]
        self._batch = max(1, config["tile"] // (L * L))
        error = products.error(slice(None))
        self._slack = torch.cat([error, error[:1]])
        self._group(tree)

    def _group(self, tree: BoxTree) -> None:
        self._tree = tree
        self._tiles = self._products.stacked(tree.leaves)
        self._core_low = tree.over_nodes(self._core_of_places, "amin", torch.inf)
        self._core_high = tree.over_nodes(self._core_of_places, "amax", -torch.inf)

    def lightest_outside(self, component: Tensor, active: Tensor, limit: Tensor) -> Edges:
        """Edges out of components, among which is the first in order of every searched one.

        Parameters
        ----------
        component : Tensor [N], int64, of places.
        active : Tensor [N], bool, the places to search from.
        limit : Tensor [components], float64, an upper bound of the weight sought (squared);
            lowered as ways out are found.

        Returns
        -------
        Edges
            None heavier than the limit was when it was met; those at the limit included.
        """
        self._component = torch.cat([component, component.new_tensor([-1])])
        self._active = torch.cat([active, active.new_tensor([False])])
        self._limit = limit
        if not self._products.by_difference:
            x, components = self._products.x, limit.shape[0]
            self._group(regrouped(x, self._whole, component, components))
        tree = self._tree
        self._first = tree.over_nodes(component, "amin", component.shape[0])
        self._last = tree.over_nodes(component, "amax", -1)
        root = torch.zeros(1, dtype=torch.int64, device=component.device)
        stack, found = [(0, root, root)], []
        while stack:
            level, rows, columns = stack.pop()
            rows, columns, bound = self._prune(level, rows, columns)
            if rows.numel() == 0:
                continue
            if level == tree.depth:
                found += self._visit(rows, columns, bound)
                continue
            for begin in range(0, rows.numel(), _PAIRS):
                part = slice(begin, begin + _PAIRS)
                stack.append((level + 1, *_children(rows[part], columns[part])))
        nothing = root[:0]
        empty = make_edges(nothing, nothing, limit[:0], tree.order)
        return join([empty, *found])

    def _thresholds(self, level: int) -> Tensor:
        """How far it is worth to look from every node of a level."""
        wanted = torch.where(self._active[:-1], self._limit[self._component[:-1]], -torch.inf)
        values = self._tree.over_leaves(wanted, "amax", -torch.inf)
        return values.view(1 << level, -1).amax(1)

    def _prune(self, level: int, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Drop pairs that hold nothing; lower the limits by what the others must hold."""
        core_low, core_high = self._core_low[level], self._core_high[level]
        first, last = self._first[level], self._last[level]
        own = first[rows]
        alone = own == last[rows]
        one = alone & (own == first[columns]) & (own == last[columns])
        rows, columns, own, alone = rows[~one], columns[~one], own[~one], alone[~one]
        bound = self._tree.nearest(level, rows, columns).div_(self._scale)
        bound = torch.maximum(bound, torch.maximum(core_low[rows], core_low[columns]))
        keep = (bound <= self._thresholds(level)[rows]) & (bound < torch.inf)
        sure = keep & alone
        reach = self._tree.farthest(level, rows[sure], columns[sure]).div_(self._scale)
        cores = torch.maximum(core_high[rows[sure]], core_high[columns[sure]])
        self._limit.scatter_reduce_(0, own[sure], torch.maximum(reach, cores), "amin")
        keep &= bound <= self._thresholds(level)[rows]
        return rows[keep], columns[keep], bound[keep]

    def _visit(self, rows: Tensor, columns: Tensor, bound: Tensor) -> list[Edges]:
        """Evaluate pairs of leaves, the nearest first, while the limits let them."""
        nearest_first = bound.argsort(stable=True)
        rows, columns, bound = rows[nearest_first], columns[nearest_first], bound[nearest_first]
        found: list[Edges] = []
        batches = 1
        while rows.numel():
            done = min(batches * self._batch, rows.numel())
            for begin in range(0, done, self._batch):
                batch = slice(begin, min(begin + self._batch, done))
                found += self._evaluate(rows[batch], columns[batch])
            rows, columns, bound = rows[done:], columns[done:], bound[done:]
            keep = bound <= self._thresholds(self._tree.depth)[rows]
            rows, columns, bound = rows[keep], columns[keep], bound[keep]
            batches = min(2 * batches, _BATCHES)
        return found

    def _evaluate(self, leaf_rows: Tensor, leaf_columns: Tensor) -> list[Edges]:
        """Distances of pairs of leaves; what may be the lightest edge of its component."""
        rows, columns = self._tree.leaves[leaf_rows], self._tree.leaves[leaf_columns]  # [P, L]
        own = self._component[rows]  # [P, L]
        square = self._tiles.squares(leaf_rows, leaf_columns)  # [P, L, L]
        self._hide_own(square, leaf_rows, leaf_columns, own, columns)
        slack = self._slack[rows]  # [P, L]
        least = (square.amin(2) - slack).div_(self._scale)
        near = torch.maximum(least, self._core[rows]) <= self._limit[own]
        pair, row = (near & self._active[rows]).nonzero(as_tuple=True)
        if pair.numel() == 0:
            return []
        source, slack = rows[pair, row], slack[pair, row]  # [E]
        weight = torch.maximum(square[pair, row].double(), self._core[columns[pair]] * self._scale)
        upper = (weight.amin(1) + slack).div_(self._scale)
        upper = torch.maximum(upper, self._core[source])
        self._limit.scatter_reduce_(0, self._component[source], upper, "amin")
        allowed = self._limit[self._component[source]] * self._scale + slack
        at, column = (weight <= allowed[:, None] * (1 + 1e-12)).nonzero(as_tuple=True)
        source, target = source[at], columns[pair[at], column]
        exact = self._products.pairs(source, target).div(self._scale)
        exact = torch.maximum(exact, torch.maximum(self._core[source], self._core[target]))
        self._limit.scatter_reduce_(0, self._component[source], exact, "amin")
        light = exact <= self._limit[self._component[source]]
        return [make_edges(source[light], target[light], exact[light], self._tree.order)]

    def _hide_own(
        self, square: Tensor, leaf_rows: Tensor, leaf_columns: Tensor, own: Tensor, columns: Tensor
    ) -> None:
        """Put pairs of one component infinitely far apart."""
        first, last = self._first[-1], self._last[-1]
        overlap = (first[leaf_rows] <= last[leaf_columns]) & (
            first[leaf_columns] <= last[leaf_rows]
        )
        mixed = overlap.nonzero().squeeze(1)
        if mixed.numel():
            same = own[mixed][:, :, None] == self._component[columns[mixed]][:, None, :]
            square[mixed] = square[mixed].masked_fill_(same, torch.inf)


def _children(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of the children of pairs of nodes."""
    left = torch.arange(2, device=rows.device)
    shape = (rows.shape[0], 2, 2)
    below_rows = (2 * rows[:, None, None] + left[:, None]).expand(shape)
    below_columns = (2 * columns[:, None, None] + left).expand(shape)
    return below_rows.reshape(-1), below_columns.reshape(-1)
