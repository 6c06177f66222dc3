"""Peak memory of a call, over what was there before it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._C._autograd import _disable_profiler_legacy, _enable_profiler_legacy
from torch._C._profiler import ProfilerConfig, ProfilerState, _ExperimentalConfig


class PeakMemory:
    """Filled when the `with` block of `peak_memory` ends."""

    peak_bytes: int = 0


@contextmanager
def peak_memory(device: str | torch.device = "cpu") -> Iterator[PeakMemory]:
    """Measure the most memory that a block holds at once, in bytes, over its start.

    On a CUDA or ROCm device this is the caching allocator's peak. On a CPU every allocation of
    torch's allocator is counted, those inside torch's own operators too; what other libraries
    allocate (NumPy, and with it Triton's interpreter) is not.

    Parameters
    ----------
    device : where the block works.

    Yields
    ------
    PeakMemory
        `peak_bytes` is known when the block has ended.

    Examples
    --------
    >>> with peak_memory() as memory:
    ...     x = torch.zeros(1024)
    ...     y = (x + 1).sum()
    >>> memory.peak_bytes >= 2 * 1024 * 4
    True
    """
    device = torch.device(device)
    memory = PeakMemory()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield memory
        torch.cuda.synchronize(device)
        memory.peak_bytes = torch.cuda.max_memory_allocated(device) - before
        return
    # The old profiler: the new one writes lines of its own on stderr and takes two seconds to
    # start; a dispatch mode does not see what torch's operators allocate for themselves.
    _enable_profiler_legacy(_allocations_only())
    try:
        yield memory
    finally:
        records = _disable_profiler_legacy()
    for thread in records:
        held_bytes = 0
        for record in thread:
            if record.kind() == "memory_alloc":
                held_bytes += record.cpu_memory_usage()
                memory.peak_bytes = max(memory.peak_bytes, held_bytes)


def _allocations_only() -> ProfilerConfig:
    shapes = stack = flops = modules = False
    # By position: not every release names these arguments.
    return ProfilerConfig(
        ProfilerState.CPU, shapes, True, stack, flops, modules, _ExperimentalConfig()
    )
