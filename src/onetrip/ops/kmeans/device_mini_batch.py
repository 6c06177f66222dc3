# pyright: reportArgumentType=false, reportCallIssue=false
"""Steps of mini-batch k-means on a device: three launches each, and a report on its way.

A step writes its centres apart from those before it. So the next is launched before the host knows
of the one at hand, and where the host then wants other centres, it leaves no trace.
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from onetrip.ops.kmeans.kernel_batch_triton import (
    _kmeans_batch_add_kernel,
    _kmeans_batch_label_kernel,
    _kmeans_batch_move_kernel,
)
from onetrip.ops.kmeans.mini_batch import DeviceBatch, Step
from onetrip.ops.kmeans.triton_impl import Reading
from onetrip.tile.launches import blocks, launches_for

# Rows of a program that labels, centres of a tile, features of a step.
_BLOCK_N, _BLOCK_K, _BLOCK_D = 32, 128, 32
_LABEL_WARPS = 8
# Rows of a program that adds, centres of one that moves, features of either; its numbers at once.
_ADDED, _MOVED, _WIDE, _NUMBERS = 16, 4, 128, 1024
# Steps whose reports may be on their way.
_AHEAD = 2


class Launched(NamedTuple):
    """A step that is launched from centres `before`: centres [K, D] and weights [K] after it."""

    before: Tensor
    centers: Tensor
    counts: Tensor
    reading: Reading


class DeviceSteps:
    """Steps by batches of at most `most` rows, from `centers` [K, D] or others like them."""

    def __init__(self, centers: Tensor, most: int) -> None:
        (K, D), device = centers.shape, centers.device
        self._sums = torch.empty(K, D, dtype=torch.float64, device=device)
        self._totals = torch.empty(K, dtype=torch.float64, device=device)
        self._labels = torch.empty(most, dtype=torch.int32, device=device)
        self._inertia = torch.empty(blocks(most, _BLOCK_N), dtype=torch.float64, device=device)
        self._largest = torch.zeros(2, dtype=torch.int64, device=device)
        self._numbers = torch.empty(3, dtype=torch.float64, device=device)
        self._readings = itertools.cycle([Reading(self._numbers) for _ in range(_AHEAD)])
        # Of a score whose norms are 1, twice: D + 4 roundings of products and sums.
        self._unit = 2.02 * (D + 8) * 2.0**-53
        self._ahead: Launched | None = None

    def step(
        self, batch: DeviceBatch, following: DeviceBatch | None, centers: Tensor, counts: Tensor
    ) -> Step:
        """Move `centers` [K, D], of weights `counts` [K], by one batch, and launch the next step.

        Where these are other centres than the step before ended with, the one that was launched
        from there is forgotten.
        """
        step = self._ahead
        if step is None or step.before is not centers:
            step = self.launch(batch, centers, counts)
        self._ahead = None
        if following is not None:
            self._ahead = self.launch(following, step.centers, step.counts)
        return Step(step.centers, step.counts, *step.reading.values())

    def launch(self, batch: DeviceBatch, centers: Tensor, counts: Tensor) -> Launched:
        """Launch a step by a batch of contiguous samples of any float dtype."""
        (K, D), size, samples = centers.shape, batch.size, batch.x
        after, counts_after = torch.empty_like(centers), torch.empty_like(counts)
        numbers = self._labels if batch.numbers is None else batch.numbers
        weights = self._totals if batch.weight is None else batch.weight
        parts = blocks(size, _BLOCK_N)
        given = {"HAS_ROWS": batch.numbers is not None, "HAS_WEIGHT": batch.weight is not None}
        with torch.cuda.device_of(centers):
            launch = launches_for("batch", size, K, D, samples, numbers, weights, centers, counts)
            launch(
                _kmeans_batch_label_kernel, parts,
                samples, numbers, weights, centers, self._labels, self._inertia, self._largest,
                self._sums, self._totals, self._unit, size, K, D,
                **given, BLOCK_N=_BLOCK_N, BLOCK_K=_BLOCK_K, BLOCK_D=_BLOCK_D,
                num_warps=_LABEL_WARPS,
            )  # fmt: skip
            launch(
                _kmeans_batch_add_kernel, blocks(size, _ADDED),
                samples, numbers, weights, self._labels, self._largest, self._sums, self._totals,
                size, D,
                **given, BLOCK_N=_ADDED, BLOCK_D=_WIDE, enable_fp_fusion=False,
            )  # fmt: skip
            launch(
                _kmeans_batch_move_kernel, blocks(K, _MOVED),
                self._sums, self._totals, centers, counts, self._inertia, self._largest, after,
                counts_after, self._numbers, parts, K, D,
                BLOCK_K=_MOVED, BLOCK_D=_WIDE, BLOCK_P=_NUMBERS, enable_fp_fusion=False,
            )  # fmt: skip
            return Launched(centers, after, counts_after, next(self._readings).begin())
