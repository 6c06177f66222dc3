"""Which samples a batch holds, and how they are read: all at once, or by the threads that work."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from onetrip.estimators.arrays import Given
from onetrip.ops.kmeans.batches import Batch
from onetrip.ops.kmeans.points import Placed, Points, Rows, place, rows_of
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.wide_products import has_wide_products

# Products of float64 up to which a device labels samples in one launch: of 1M x 128 with 100
# centres it takes 3.7 ms of an H100, and a search in halves 2 (2026-11-23).
_MOST_PRODUCTS = 1 << 30


def drawer(rows: int, weight: Tensor | None) -> Callable[[np.ndarray], Tensor]:
    """From numbers in [0, 1) to rows, as `RandomState.choice`, with its sums taken once."""
    if weight is None:
        return lambda drawn: torch.from_numpy((drawn * rows).astype(np.int64))
    cumulative = weight.cpu().numpy().cumsum()
    cumulative /= cumulative[-1]
    return lambda drawn: torch.from_numpy(cumulative.searchsorted(drawn, side="right"))


def all_rows(samples: Tensor, weight: Tensor | None, offset: Tensor) -> Batch:
    """All samples, placed piece by piece."""

    def rows(part: Rows) -> Placed:
        return place(
            rows_of(samples, part), None if weight is None else rows_of(weight, part), offset
        )

    return Batch(samples.shape[0], rows)


def rows_drawn(samples: Tensor, numbers: Tensor, offset: Tensor) -> Batch:
    """Samples by number [R], gathered and placed piece by piece."""
    return Batch(
        numbers.shape[0],
        lambda part: place(samples.index_select(0, rows_of(numbers, part)), None, offset),
    )


def made_ready(samples: Tensor) -> Tensor:
    """Samples in the dtype in which they are clustered."""
    return samples if samples.dtype == torch.float64 else samples.float()


def is_read_there(samples: Tensor, device: torch.device) -> bool:
    """Whether kernels of a device read samples where and as they are."""
    wide = has_wide_products(samples) and samples.device == device
    # Triton 3.6 does not compile the products of halves that are widened twice.
    return wide and samples.dtype in (torch.float32, torch.float64) and samples.is_contiguous()


def is_labelled_there(samples: Tensor, centers: Tensor) -> bool:
    """Whether kernels read samples where they are, and label them at once in float64."""
    products = samples.numel() * centers.shape[0]
    return is_read_there(samples, centers.device) and products <= _MOST_PRODUCTS


def points_of(
    given: Given, weight: Tensor | None, rows: Tensor | None, target: torch.device
) -> Points:
    """Samples by number [R], or all of them, made ready on the device that computes."""
    samples = given.samples
    if rows is not None:
        rows = rows.to(samples.device)
        samples = samples.index_select(0, rows)
        weight = None if weight is None else weight.index_select(0, rows)
    mine = None if weight is None else weight.to(target)
    return prepare(samples.to(target), mine, "euclidean")
