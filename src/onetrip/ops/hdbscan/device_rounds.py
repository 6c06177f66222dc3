"""Borůvka's rounds on a device: what lists settle, and searches for the rest."""

from typing import Any

import torch
from torch import Tensor

from onetrip.core.selection import Config
from onetrip.ops.hdbscan import kernel_merge as merge
from onetrip.ops.hdbscan.device_points import Points, in_blocks
from onetrip.ops.hdbscan.edges import Edges
from onetrip.ops.hdbscan.kernel_near import Near
from onetrip.ops.hdbscan.kernel_outside import pairs_outside, weigh
from onetrip.ops.hdbscan.kernel_triton import nearest_outside
from onetrip.tile.launches import blocks, launch

# While so large a share of the components is settled by the lists alone, none is searched for.
_SETTLED_SHARE = 0.25


class Rounds:
    """The components of places, joined round by round; `kernel_merge.py` says what is kept.

    Parameters
    ----------
    points, near : what lists hold.
    core : Tensor [N], squared core distances, in the unit and of the dtype of squared distances.
    config : of the searches; `differences` of the search that needs no room.
    """

    def __init__(
        self, points: Points, near: Near, core: Tensor, config: Config, differences: Config
    ) -> None:
        self._points, self._near, self._core = points, near, core
        self._config, self._differences = config, differences
        N, device = core.shape[0], core.device
        self._N = N
        self._component = torch.arange(N, dtype=torch.int32, device=device)
        self._parent = self._component.clone()
        self._size = torch.ones_like(self._component)
        self._number = points.order.int()
        self._place = torch.empty_like(self._component)
        self._place[points.order] = torch.arange(N, dtype=torch.int32, device=device)
        # Everything that is not listed for a row is heavier, as the bits of a float.
        self._bits, self._no_weight = merge.BITS[core.dtype], merge.NO_WEIGHT[core.dtype]
        self._reach = near.reach.to(core.dtype, copy=True).view(self._bits)
        self._best = torch.empty(N, dtype=self._bits, device=device)
        self._beyond = torch.empty_like(self._best)
        self._key = torch.empty(N, dtype=torch.int64, device=device)
        self._counts = torch.zeros(2, dtype=torch.int32, device=device)  # edges, settled
        self._out_key = torch.empty_like(self._key)
        self._out_weight = torch.empty_like(core)

    def edges(self) -> Edges:
        """The N - 1 edges between points, smaller number first, lightest first."""
        N, near = self._N, self._near
        places, lists = (blocks(N, merge.BLOCK),), (blocks(N, merge.ROWS),)
        size: dict[str, Any] = {"BLOCK": merge.BLOCK}
        block: dict[str, Any] = {"NO_WEIGHT": self._no_weight, "BLOCK": merge.BLOCK}
        slots: dict[str, Any] = {"SLOTS": near.place.shape[1], "ROWS": merge.ROWS}
        known = (self._best, self._beyond)
        listed = (near.place, near.square, self._core, self._component)
        while True:
            launch(merge._hdbscan_reset_kernel, places, *known, self._key, self._counts, N, **block)
            launch(merge._hdbscan_lightest_kernel, lists, *listed, self._reach, *known, N, **slots)
            launch(
                merge._hdbscan_settled_kernel, places, self._component, *known, self._counts, N,
                **block,
            )  # fmt: skip
            edges, settled = self._counts.tolist()
            if edges == N - 1:
                break
            pairs = weight = None
            if settled < max(1.0, _SETTLED_SHARE * (N - edges)):
                pairs = self._searched()
                weight = weigh(self._points.exact, pairs, self._core, self._component, self._best)
            launch(
                merge._hdbscan_key_kernel, lists, *listed, self._best, self._number, self._key, N,
                **slots,
            )  # fmt: skip
            if pairs is not None and pairs.shape[0]:
                launch(
                    merge._hdbscan_pair_key_kernel, (blocks(pairs.shape[0], merge.BLOCK),),
                    pairs, weight, self._component, self._best, self._number, self._key,
                    pairs.shape[0], N, **size,
                )  # fmt: skip
            launch(
                merge._hdbscan_join_kernel, places, self._component, *known, self._key, self._place,
                self._parent, self._counts, self._out_key, self._out_weight, N, **block,
            )  # fmt: skip
            launch(
                merge._hdbscan_root_kernel, places, self._component, self._parent, self._size, N,
                **size,
            )  # fmt: skip
            launch(
                merge._hdbscan_rename_kernel, places, self._component, *known, self._parent,
                self._reach, N, **block,
            )  # fmt: skip
        return self._in_order()

    def _searched(self) -> Tensor:
        """Pairs [P, 2] that hold the lightest edges of all components but the largest.

        What lists settle is not searched for. All searched components count as settled then.
        """
        component, best = self._component, self._best
        settled = (best <= self._beyond) & (best < self._no_weight)
        # The largest root: of what was joined to it, everything is smaller.
        wanted = ~settled.index_fill_(0, self._size.argmax().view(1), True)
        looks = wanted[component] & (self._reach < best[component])
        rows = looks.nonzero().squeeze(1)
        rows = rows[component[rows].argsort(stable=True)].int()
        self._beyond.masked_fill_(wanted, self._no_weight)
        columns = in_blocks(component, self._config["BLOCK_M"])
        pairs = pairs_outside(
            self._points,
            (columns.amin(1), columns.amax(1)),
            rows,
            component,
            self._core,
            best.view(self._core.dtype),
            room=2 * self._N + 4096,
            config=self._config,
        )
        return self._by_differences(rows) if pairs is None else pairs

    def _by_differences(self, rows: Tensor) -> Tensor:
        """The same pairs from one nearest outside of each row, where too many are as near."""
        points, block = self._points, self._differences["BLOCK"]
        tile, group = in_blocks(points.exact, block), in_blocks(self._component, block)
        limit = torch.full_like(self._core, -torch.inf)
        limit[rows] = self._best.view(self._core.dtype)[self._component[rows]]
        weight, number = nearest_outside(
            points.exact.T.contiguous(),
            tile.amin(1).T.contiguous(),
            tile.amax(1).T.contiguous(),
            self._core,
            self._component,
            group.amin(1),
            group.amax(1),
            self._number,
            limit,
            self._differences,
        )
        weight = weight[rows]
        rows = rows[(weight <= limit[rows]) & torch.isfinite(weight)]
        return torch.stack([rows, self._place[number[rows]]], 1)

    def _in_order(self) -> Edges:
        key = self._out_key[: self._N - 1]
        by_key = key.argsort()
        key, weight = key[by_key], self._out_weight[: self._N - 1][by_key]
        weight, by_weight = weight.sort(stable=True)
        key = key[by_weight]
        return Edges(key // self._N, key % self._N, weight, key)
