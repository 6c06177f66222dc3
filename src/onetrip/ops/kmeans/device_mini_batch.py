# pyright: reportArgumentType=false, reportCallIssue=false
"""Steps of mini-batch k-means on a device: three launches each, and a report on its way.

A step writes its centres apart from those before it. So the next is launched before the host knows
of the one at hand, and where the host then wants other centres, it leaves no trace.
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from onetrip.ops.kmeans.batches import DeviceBatch, Step
from onetrip.ops.kmeans.kernel_batch_triton import (
    _kmeans_batch_add_kernel,
    _kmeans_batch_label_kernel,
    _kmeans_batch_move_kernel,
)
from onetrip.tile.launches import Launches, blocks, launches_for

# Rows of a program that labels, centres of a tile, features of a step.
_BLOCK_N = 32
_LABEL = {"BLOCK_N": _BLOCK_N, "BLOCK_K": 128, "BLOCK_D": 32, "num_warps": 8}
# Rows of a program that adds, centres of one that moves, features of either; its numbers at once.
_ADDED, _MOVED, _WIDE, _NUMBERS = 16, 4, 128, 1024
# A step, the one before that it starts from, and the one launched after it in vain.
_SLOTS = 3


class Labelled(NamedTuple):
    """Labels [N], int32, of samples; their inertia, and how many were decided by differences."""

    labels: Tensor
    inertia: float
    doubts: int


def label_on_device(x: Tensor, weight: Tensor | None, centers: Tensor) -> Labelled:
    """Nearest of `centers` [K, D] of samples [N, D], in one launch that reads nothing before.

    Products are of float64: for many centres `solve` takes less time.
    """
    steps = DeviceSteps(centers, centers[:, 0].double(), x.shape[0])
    return steps.label(DeviceBatch(x, None, weight), centers)


class _Slot:
    """What one step at a time has for itself.

    The device reads the numbers of rows from the host's memory and writes its report there: a copy
    of so little would take the host longer than the step takes the device.
    """

    def __init__(self, centers: Tensor, counts: Tensor) -> None:
        pinned = centers.is_cuda
        self.centers, self.counts = torch.empty_like(centers), torch.empty_like(counts)
        self.report = torch.empty(3, dtype=torch.float64, pin_memory=pinned)
        self.event = torch.cuda.Event() if pinned else None
        self.before: Tensor | None = None
        self._numbers = torch.empty(0, dtype=torch.int64)

    def numbers(self, given: Tensor) -> Tensor:
        """Numbers of rows, where the device may read them."""
        if self._numbers.shape != given.shape:
            pinned = self.event is not None
            self._numbers = torch.empty(given.shape, dtype=torch.int64, pin_memory=pinned)
        return self._numbers.copy_(given)

    def step(self) -> Step:
        """What the step came to, when it is done."""
        if self.event is not None:
            self.event.synchronize()
        return Step(self.centers, self.counts, *self.report.tolist())


class DeviceSteps:
    """Steps by batches of at most `most` rows, from `centers` [K, D] and `counts` [K].

    Centres of a step are overwritten by the third step after it.
    """

    def __init__(self, centers: Tensor, counts: Tensor, most: int) -> None:
        (K, D), device = centers.shape, centers.device
        self._sums = torch.empty(K, D, dtype=torch.float64, device=device)
        self._totals = torch.empty(K, dtype=torch.float64, device=device)
        self._labels = torch.empty(most, dtype=torch.int32, device=device)
        self._inertia = torch.empty(blocks(most, _BLOCK_N), dtype=torch.float64, device=device)
        self._largest = torch.zeros(3, dtype=torch.int64, device=device)
        self._slots = itertools.cycle([_Slot(centers, counts) for _ in range(_SLOTS)])
        # Of a score whose norms are 1, twice: D + 4 roundings of products and sums.
        self._unit = 2.02 * (D + 8) * 2.0**-53
        self._ahead: _Slot | None = None
        self._samples, self._size, self._launch = centers, -1, Launches()

    def label(self, batch: DeviceBatch, centers: Tensor) -> Labelled:
        """Label all samples of a batch, and move nothing."""
        (K, D), size = centers.shape, batch.size
        weights = self._totals if batch.weight is None else batch.weight
        with torch.cuda.device_of(centers):
            launches_for("label", size, K, D, batch.x, weights, centers)(
                _kmeans_batch_label_kernel, blocks(size, _BLOCK_N),
                batch.x, self._labels, weights, centers, self._labels, self._inertia,
                self._largest, self._sums, self._totals, self._unit, size, K, D,
                HAS_ROWS=False, HAS_WEIGHT=batch.weight is not None, **_LABEL,
            )  # fmt: skip
        # Together: every number that a device is asked for stops it.
        inertia, doubts = torch.stack((self._inertia.sum(), self._largest[2].double())).tolist()
        return Labelled(self._labels, inertia, int(doubts))

    def step(
        self, batch: DeviceBatch, following: DeviceBatch | None, centers: Tensor, counts: Tensor
    ) -> Step:
        """Move `centers` [K, D], of weights `counts` [K], by one batch, and launch the next step.

        Where these are other centres than the step before ended with, the one that was launched
        from there is forgotten.
        """
        slot = self._ahead
        if slot is None or slot.before is not centers:
            slot = self.launch(batch, centers, counts)
        self._ahead = None
        if following is not None:
            self._ahead = self.launch(following, slot.centers, slot.counts)
        return slot.step()

    def launch(self, batch: DeviceBatch, centers: Tensor, counts: Tensor) -> _Slot:
        """Launch a step by a batch of contiguous samples of any float dtype."""
        (K, D), size, samples = centers.shape, batch.size, batch.x
        slot = next(self._slots)
        slot.before = centers
        numbers = self._labels if batch.numbers is None else slot.numbers(batch.numbers)
        weights = self._totals if batch.weight is None else batch.weight
        if samples is not self._samples or size != self._size:
            self._samples, self._size = samples, size
            self._launch = launches_for("batch", size, K, D, samples, weights, centers, counts)
        launch, parts = self._launch, blocks(size, _BLOCK_N)
        given = {"HAS_ROWS": batch.numbers is not None, "HAS_WEIGHT": batch.weight is not None}
        with torch.cuda.device_of(centers):
            launch(
                _kmeans_batch_label_kernel, parts,
                samples, numbers, weights, centers, self._labels, self._inertia, self._largest,
                self._sums, self._totals, self._unit, size, K, D, **given, **_LABEL,
            )  # fmt: skip
            launch(
                _kmeans_batch_add_kernel, blocks(size, _ADDED),
                samples, numbers, weights, self._labels, self._largest, self._sums, self._totals,
                size, D,
                **given, BLOCK_N=_ADDED, BLOCK_D=_WIDE, enable_fp_fusion=False,
            )  # fmt: skip
            launch(
                _kmeans_batch_move_kernel, blocks(K, _MOVED),
                self._sums, self._totals, centers, counts, self._inertia, self._largest,
                slot.centers, slot.counts, slot.report, parts, K, D,
                BLOCK_K=_MOVED, BLOCK_D=_WIDE, BLOCK_P=_NUMBERS, enable_fp_fusion=False,
            )  # fmt: skip
            if slot.event is not None:
                slot.event.record()
        return slot
