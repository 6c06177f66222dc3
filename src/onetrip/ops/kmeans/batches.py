"""Batches of mini-batch k-means, on a CPU or a device, and what a step makes of them."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from onetrip.ops.kmeans.points import Placed, Rows


class Batch(NamedTuple):
    """`size` samples on a CPU, some of which `rows` gathers and places when a thread asks."""

    size: int
    rows: Callable[[Rows], Placed]


class DeviceBatch(NamedTuple):
    """Samples `x` [N, D] on a device, all of them or those by `numbers` [R], which the host has.

    `weight` [R], float64, there too, or None where all are 1.
    """

    x: Tensor
    numbers: Tensor | None = None
    weight: Tensor | None = None

    @property
    def size(self) -> int:
        """How many samples there are."""
        return (self.x if self.numbers is None else self.numbers).shape[0]

    def rows(self, rows: Tensor) -> "DeviceBatch":
        """Some of the samples, by number [M] in the batch, without their weights."""
        numbers = rows if self.numbers is None else self.numbers[rows.cpu()]
        return DeviceBatch(self.x.index_select(0, numbers.to(self.x.device)))


class Step(NamedTuple):
    """Centres [K, D] and their weights so far [K], float64, after a batch.

    `inertia` is that of the batch before, 0 where nobody asked for it; `least` and `largest` of the
    weights are told where they were found on the way.
    """

    centers: Tensor
    counts: Tensor
    inertia: float
    least: float | None = None
    largest: float | None = None
