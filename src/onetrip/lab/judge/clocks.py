"""The clocks of a contender's process, with all that they use taken before its source is read."""

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.bench.timing import cache_bytes

# Device cycles, about a millisecond: time for the host to queue a call behind.
_LEAD_CYCLES = 1_500_000
# A stream that waits for nobody: less than this after the call's own stream is the host's delay.
_SYNC_DELAY_NS = 100_000


@dataclass(frozen=True, slots=True)
class Measured:
    """One call: what it returned, what a look at its outputs saw at once, and its times."""

    returned: object
    glance: Tensor | None
    elapsed_ns: int
    host_ns: int
    trailing_ns: int = 0


class CpuClock:
    """`perf_counter_ns` around a call."""

    def __init__(self) -> None:
        self._now = time.perf_counter_ns
        self._others = others_clock()
        size = 2 * cache_bytes("cpu")
        self._spare = (ctypes.c_char * size)()
        self._fill = ctypes.memset
        self._size = size

    def flush(self) -> None:
        """Write over the last-level cache, in this thread alone."""
        self._fill(self._spare, 1, self._size)

    def others_ns(self) -> int:
        """Processor time of all other threads so far."""
        return self._others()

    def time(
        self,
        call: Callable[[], object],
        glance: Callable[[object], Tensor | None],
        *,
        cold: bool,
    ) -> Measured:
        """Run `call` once; `glance` looks at what it returned as soon as the clock has stopped."""
        begin = self._now()
        returned = call()
        elapsed_ns = self._now() - begin
        return Measured(returned, glance(returned), elapsed_ns, elapsed_ns)

    def finish(self) -> None:
        """Nothing is queued on a CPU."""


class CudaClock:
    """Events on the call's stream, behind a lead that hides launches; then the whole device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._now = time.perf_counter_ns
        self._others = others_clock()
        self._spare = torch.empty(2 * cache_bytes(device), dtype=torch.uint8, device=device)
        self._event = torch.cuda.Event
        self._synchronize = torch.cuda.synchronize
        self._sleep = torch.cuda._sleep
        self._reset = _reset_persisting_cache()

    def flush(self) -> None:
        """Nothing: the cache is written over in front of the call, in stream order."""

    def others_ns(self) -> int:
        """Processor time of all other threads so far."""
        return self._others()

    def time(
        self,
        call: Callable[[], object],
        glance: Callable[[object], Tensor | None],
        *,
        cold: bool,
    ) -> Measured:
        """Run `call` once; `glance` is queued right behind it, before anything is waited for."""
        begin, end = self._event(enable_timing=True), self._event(enable_timing=True)
        self._synchronize(self._device)
        started = self._now()
        if cold:
            self._reset()
            self._spare.zero_()
        self._sleep(_LEAD_CYCLES)
        begin.record()
        returned = call()
        end.record()
        seen = glance(returned)
        looked = self._event()
        looked.record()
        looked.synchronize()
        own_done = self._now()
        self._synchronize(self._device)
        all_done = self._now()
        elapsed_ns = int(begin.elapsed_time(end) * 1e6)
        # Work on other streams that the call did not wait for is part of the call.
        trailing_ns = max(0, all_done - own_done - _SYNC_DELAY_NS)
        return Measured(returned, seen, elapsed_ns + trailing_ns, all_done - started, trailing_ns)

    def finish(self) -> None:
        """Wait for the device; an error of an earlier launch is raised here."""
        self._synchronize(self._device)


def clock_for(device: str) -> CpuClock | CudaClock:
    """The clock of a device."""
    return CpuClock() if device == "cpu" else CudaClock(torch.device(device))


def others_clock() -> Callable[[], int]:
    """Processor time of this process without the thread that asks, in nanoseconds.

    >>> others_clock()() >= 0
    True
    """
    process, thread = time.process_time_ns, time.thread_time_ns
    return lambda: max(0, process() - thread())


def count_threads() -> int:
    """Threads of this process; 0 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0


def _reset_persisting_cache() -> Callable[[], object]:
    """Undo a part of the cache set aside for data that is to stay: a flush would not reach it."""
    try:
        return ctypes.CDLL("libcuda.so.1").cuCtxResetPersistingL2Cache
    except (OSError, AttributeError):
        return lambda: None
