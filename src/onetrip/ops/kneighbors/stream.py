"""A corpus that comes in chunks: larger than memory, or on another device than the queries."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

# Bytes of a chunk of a corpus that is moved to another device: long enough to copy at full speed.
_CHUNK_BYTES = 256 * 2**20


def chunks_of(corpus: Tensor, device: torch.device) -> Iterator[Tensor]:
    """Rows of `corpus` on `device`, a chunk at a time, in order.

    To a GPU they go through two pinned buffers on a stream of their own, so that one chunk is
    copied while the one before it is searched.
    """
    rows = max(1, _CHUNK_BYTES // max(1, corpus.shape[1] * corpus.element_size()))
    parts = corpus.split(rows)
    if device.type != "cuda" or corpus.device.type != "cpu":
        for part in parts:
            yield part.to(device)
        return
    yield from _through_pinned_memory(parts, device)


def _through_pinned_memory(parts: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    parts = list(parts)
    copies = torch.cuda.Stream(device)
    staging = [torch.empty_like(parts[0], pin_memory=True) for _ in range(min(2, len(parts)))]
    copied: list[torch.cuda.Event | None] = [None] * len(staging)

    def start(number: int) -> tuple[Tensor, torch.cuda.Event]:
        part, slot = parts[number], number % len(staging)
        before = copied[slot]
        if before is not None:
            before.synchronize()  # The copy out of this buffer must have ended.
        pinned = staging[slot][: part.shape[0]]
        pinned.copy_(part)
        with torch.cuda.stream(copies):
            chunk = pinned.to(device, non_blocking=True)
            event = torch.cuda.Event()
            event.record(copies)
        copied[slot] = event
        return chunk, event

    coming = start(0)
    for number in range(len(parts)):
        chunk, event = coming
        if number + 1 < len(parts):
            coming = start(number + 1)
        compute = torch.cuda.current_stream(device)
        compute.wait_event(event)
        chunk.record_stream(compute)
        yield chunk
