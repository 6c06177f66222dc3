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
    stream = _copying(samples, device)
    ahead: tuple[Tensor, Tensor] | None = None
    for rows in batches:
        coming = _fetch(samples, device, rows, stream)
        if ahead is not None:
            yield _arrived(ahead, stream)
        ahead = coming
    if ahead is not None:
        yield _arrived(ahead, stream)


def with_next(items: Iterable[Item]) -> Iterator[tuple[Item, Item | None]]:
    """Each item with the next, which is asked for before the item is yielded.

    >>> list(with_next([1, 2, 3]))
    [(1, 2), (2, 3), (3, None)]
    """
    coming = iter(items)
    for ahead in coming:
        for item in coming:
            yield ahead, item
            ahead = item
        yield ahead, None


def sent(samples: Tensor, device: torch.device, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield ``samples[rows]`` on `device` for each `rows` of `batches`, when it is asked for.

    What is launched after a batch was yielded waits for its copy; what was launched before does
    not.
    """
    stream = _copying(samples, device)
    for rows in batches:
        yield _arrived(_fetch(samples, device, rows, stream), stream)


def _copying(samples: Tensor, device: torch.device) -> torch.cuda.Stream | None:
    overlap = device.type == "cuda" and samples.device.type == "cpu"
    return torch.cuda.Stream(device) if overlap else None


def _fetch(
    samples: Tensor, device: torch.device, rows: Tensor, stream: torch.cuda.Stream | None
) -> tuple[Tensor, Tensor]:
    if stream is None:
        batch = samples.index_select(0, rows.to(samples.device))
        return batch.to(device), batch
    pinned = torch.empty(rows.shape[0], *samples.shape[1:], dtype=samples.dtype, pin_memory=True)
    torch.index_select(samples, 0, rows, out=pinned)
    with torch.cuda.stream(stream):
        return pinned.to(device, non_blocking=True), pinned


def _arrived(ahead: tuple[Tensor, Tensor], stream: torch.cuda.Stream | None) -> Tensor:
    batch, _pinned_until_here = ahead
    if stream is not None:
        current = torch.cuda.current_stream(batch.device)
        current.wait_stream(stream)
        batch.record_stream(current)
    return batch
