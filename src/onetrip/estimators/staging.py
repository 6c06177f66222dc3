"""Batches of rows on the device that computes, from samples that stay where they are.

Samples in the host's memory, or in a file that is mapped into it, need not fit on a device: each
batch is gathered into pinned memory and copied while the device works on the batch before.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


def staged(samples: Tensor, device: torch.device, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield ``samples[rows]`` on `device` for each `rows` of `batches`, one batch ahead.

    `batches` is asked for the next rows before a batch is yielded, on a CPU too, so that what is
    drawn on the way does not depend on the device.

    >>> rows = [torch.tensor([2, 0]), torch.tensor([1])]
    >>> [batch.tolist() for batch in staged(torch.arange(3.0), torch.device("cpu"), rows)]
    [[2.0, 0.0], [1.0]]
    """
    overlap = device.type == "cuda" and samples.device.type == "cpu"
    stream = torch.cuda.Stream(device) if overlap else None
    ahead: tuple[Tensor, Tensor] | None = None
    for rows in batches:
        coming = _fetch(samples, device, rows, stream)
        if ahead is not None:
            yield _arrived(ahead, stream)
        ahead = coming
    if ahead is not None:
        yield _arrived(ahead, stream)


def one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items; the next is asked for before one is yielded, as `staged` does.

    >>> list(one_ahead([1, 2, 3]))
    [1, 2, 3]
    """
    coming = iter(items)
    for ahead in coming:
        for item in coming:
            yield ahead
            ahead = item
        yield ahead


def _fetch(
    samples: Tensor, device: torch.device, rows: Tensor, stream: torch.cuda.Stream | None
) -> tuple[Tensor, Tensor]:
    batch = samples.index_select(0, rows.to(samples.device))
    if stream is None:
        return batch.to(device), batch
    pinned = batch.pin_memory()
    with torch.cuda.stream(stream):
        return pinned.to(device, non_blocking=True), pinned


def _arrived(ahead: tuple[Tensor, Tensor], stream: torch.cuda.Stream | None) -> Tensor:
    batch, _pinned_until_here = ahead
    if stream is not None:
        current = torch.cuda.current_stream(batch.device)
        current.wait_stream(stream)
        batch.record_stream(current)
    return batch
