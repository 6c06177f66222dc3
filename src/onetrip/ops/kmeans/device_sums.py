# pyright: reportArgumentType=false, reportCallIssue=false
"""Sums of clusters on a device: all rows, or those that changed, in the order of clusters."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from onetrip.ops.kmeans.kernel_sums_triton import (
    _kmeans_changed_kernel,
    _kmeans_gather_kernel,
    _kmeans_order_kernel,
)
from onetrip.ops.kmeans.points import Points
from onetrip.tile.launches import Launches, blocks, next_power

_WIDEST = 128
# Labels of a program that compares them, and the programs that share the rows to be added.
_LABELS = 1024
_GATHERERS = 2112
# Elements of a block of rows that are added in order.
_GATHERED = 1024
_GATHER_WARPS = 2
# Counters in all, so that few rows wait for each other at one.
_COUNTERS = 1 << 13


class Sums:
    """Weighted sum and weight of each cluster, kept while rows change their labels."""

    def __init__(
        self, points: Points, K: int, moved: Tensor, block_r: int, launch: Launches
    ) -> None:
        device = points.x.device
        self._launch = launch
        self.points, self.moved, self.block_r = points, moved, block_r
        self._terms = torch.zeros(K, points.x.shape[1], dtype=torch.float64, device=device)
        self._totals = torch.zeros(K, dtype=torch.float64, device=device)
        # Rows in the order of their clusters, or those that changed, twice.
        self._order = torch.empty(2 * points.x.shape[0], dtype=torch.int32, device=device)
        self._shares = next_power(blocks(_COUNTERS, K))
        counters = torch.zeros(2, K * self._shares, dtype=torch.int32, device=device)
        self._count, self._end = counters.unbind()
        self.anew = True
        # Filled there: a copy of it would stop the device.
        self._magic = torch.full((1,), points.magics[0], dtype=torch.float64, device=device)

    def expect(self, moved: float) -> None:
        """Choose how to follow labels to come, when so many rows `moved` just now.

        Where all did, these were the first labels; fewer than half move two iterations later.
        """
        N = self.points.x.shape[0]
        self.anew = moved < N < 2.0 * moved

    def follow(self, before: Tensor, after: Tensor) -> None:
        """Take rows from the clusters `before` [N] (-1 is none) and add them to `after` [N]."""
        x = self.points.x
        N, D = x.shape
        programs = blocks(N, _LABELS)
        order = {"ANEW": self.anew, "SHARES": self._shares, "BLOCK_N": _LABELS}
        self._launch(
            _kmeans_changed_kernel, programs, before, after, self.moved, self._count, N, **order
        )
        torch.cumsum(self._count, 0, dtype=torch.int32, out=self._end)
        self._launch(
            _kmeans_order_kernel, programs, before, after, self._end, self._order, self._terms,
            self._totals, N, *self._terms.shape, **order,
        )  # fmt: skip
        tile = self._tile()
        block_n = self.block_r // 16 * _GATHERED // tile["BLOCK_D"]
        self._launch(
            _kmeans_gather_kernel, min(_GATHERERS, blocks(N, block_n)),
            x, *self._weights(), self._order, before, after, self._magic, self._terms,
            self._totals, self.moved, self._count, N, D, self._count.shape[0],
            ANEW=self.anew, BLOCK_N=block_n, **tile,
        )  # fmt: skip
        if self.points.group is not None:
            dist.all_reduce(self.moved, group=self.points.group)

    def _weights(self) -> tuple[Tensor]:
        weight = self.points.weight
        return (self._magic if weight is None else weight,)

    def _tile(self) -> dict[str, Any]:
        width = min(_WIDEST, next_power(self.points.x.shape[1]))
        return {
            "HAS_WEIGHT": self.points.weight is not None,
            "BLOCK_D": max(16, width),
            "num_warps": _GATHER_WARPS,
            "enable_fp_fusion": False,
        }

    def over_processes(self) -> tuple[Tensor, Tensor]:
        """Sums [K, D] and weights [K] of all processes."""
        if self.points.group is None:
            return self._terms, self._totals
        terms, totals = self._terms.clone(), self._totals.clone()
        dist.all_reduce(terms, group=self.points.group)
        dist.all_reduce(totals, group=self.points.group)
        return terms, totals
