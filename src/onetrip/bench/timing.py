"""The timing protocol: interleaved, cold cache, paired, with intervals and peak memory.

Every sample of every candidate is taken in one process. The samples come in blocks: a block runs
each candidate once, in random order, so that a drift of clocks meets all of them alike. Before
each sample the last-level cache is written over; on a device that is repeated until the host has
had the time to queue the whole call, so that launches are hidden as they are in a training step,
whoever ran before. Ratios are paired: within one block.
"""

import gc
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from onetrip.bench.outcome import Failure, catching
from onetrip.core.errors import ArgumentError, complaint
from onetrip.testing.memory import peak_memory

_RESAMPLES = 2000
_CONFIDENCE = 0.95
_MIB = 1 << 20
# A candidate too slow for its time still gets this many samples.
MIN_SAMPLES = 5
# The host's time to queue a call is measured once, so the device is kept busy somewhat longer; a
# call that waits for the device would keep it busy for nothing.
_LEAD = 1.5
_LONGEST_LEAD_MS = 10.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Samples of one candidate, with the block of each; the interval holds the median (95 %)."""

    name: str
    samples_ms: tuple[float, ...]
    blocks: tuple[int, ...]
    median_ms: float
    low_ms: float
    high_ms: float
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class Speedup:
    """How many times faster `candidate` is than `baseline`; above 1 it is faster.

    Median and interval (95 %) of the ratios baseline / candidate within blocks.
    """

    candidate: str
    baseline: str
    median: float
    low: float
    high: float
    pairs: int

    @property
    def decided(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low > 1 or self.high < 1


@dataclass(frozen=True, slots=True)
class TimingReport:
    """Timings of the candidates that ran, failures of those that did not."""

    timings: dict[str, Timing] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)

    def speedup(self, candidate: str, baseline: str) -> Speedup:
        """Compare two candidates over the blocks in which both ran."""
        fast, slow = self.timings[candidate], self.timings[baseline]
        slow_ms = dict(zip(slow.blocks, slow.samples_ms, strict=True))
        ratios = [
            slow_ms[block] / sample_ms
            for block, sample_ms in zip(fast.blocks, fast.samples_ms, strict=True)
            if block in slow_ms
        ]
        return Speedup(candidate, baseline, *median_interval(ratios), pairs=len(ratios))


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    *,
    device: str | torch.device = "cpu",
    samples: int = 30,
    warmup: int = 3,
    seconds_each: float = 10.0,
    prepare: Callable[[], object] | None = None,
    flush_bytes: int | None = None,
    memory: bool = True,
    seed: int = 0,
) -> TimingReport:
    """Time `candidates` side by side.

    Parameters
    ----------
    candidates : name -> a call without arguments, whose result is dropped. It must not wait for
        the device.
    device : where the candidates work. CUDA events on a device, `perf_counter_ns` on a CPU.
    samples : blocks, hence samples of each candidate.
    warmup : untimed calls of each candidate; its memory is measured at the last.
    seconds_each : time after which a slow candidate leaves out every second block, or three of
        four, and so on, so that its samples fit; it keeps at least `MIN_SAMPLES`.
    prepare : called before every sample, outside the clock (new values for the inputs, say).
    flush_bytes : how much to write over before each sample; None takes twice the device's
        last-level cache, 0 writes nothing and leaves launches in the time.
    memory : measure peak memory, in one more call on a CPU.
    seed : of the order within blocks.

    Returns
    -------
    TimingReport
        A candidate that raises is in `failures` with its reason, and the others go on.

    Raises
    ------
    ArgumentError
        `samples` or `warmup` is below 1.

    Examples
    --------
    >>> x = torch.ones(1000)
    >>> report = interleaved({"one": lambda: x + 1, "two": lambda: (x + 1) * 2}, samples=5)
    >>> sorted(report.timings), report.speedup("one", "two").pairs
    (['one', 'two'], 5)
    """
    for name, count in (("samples", samples), ("warmup", warmup)):
        if count < 1:
            raise ArgumentError(complaint(name, expected="an integer >= 1", got=count))
    device = torch.device(device)
    clock = _CudaClock(device) if device.type == "cuda" else _CpuClock()
    flush = _flusher(device, flush_bytes)
    prepare = prepare or (lambda: None)
    failures: dict[str, Failure] = {}
    peaks: dict[str, int | None] = {}
    strides: dict[str, int] = {}
    flushes: dict[str, int] = {}
    clock.once_ms(flush)
    flush_ms = clock.once_ms(flush)
    for name, call in candidates.items():
        with catching(failures, name):
            warm_ms, peaks[name] = _warm(call, prepare, clock, warmup, seconds_each, device, memory)
            strides[name] = _stride(warm_ms, samples, seconds_each)
            lead_ms = 0.0 if flush_bytes == 0 else min(_LEAD * clock.host_ms, _LONGEST_LEAD_MS)
            flushes[name] = math.ceil(lead_ms / flush_ms) if lead_ms > flush_ms else 1
        if name in failures:
            release_memory(device)
    order = random.Random(seed)
    for block in range(samples):
        due = [name for name in strides if name not in failures and block % strides[name] == 0]
        order.shuffle(due)
        for name in due:
            prepare()
            for _ in range(flushes[name]):
                flush()
            with catching(failures, name):
                clock.time(name, block, candidates[name])
        clock.finish_block()
    timings = {
        name: _timing(name, clock.taken[name], peaks[name])
        for name in strides
        if name not in failures
    }
    return TimingReport(timings, failures)


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """Median of `values` and its 95 % bootstrap interval.

    >>> median_interval([2.0, 2.0, 2.0])
    (2.0, 2.0, 2.0)
    """
    sample = torch.tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(len(values))
    picks = torch.randint(len(values), (_RESAMPLES, len(values)), generator=generator)
    medians = sample[picks].quantile(0.5, dim=1)
    tail = (1 - _CONFIDENCE) / 2
    low, high = medians.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return float(sample.quantile(0.5)), low, high


class _CpuClock:
    # Nothing is queued on a CPU.
    host_ms = 0.0

    def __init__(self) -> None:
        self.taken: dict[str, list[tuple[int, float]]] = {}

    def time(self, name: str, block: int, call: Callable[[], object]) -> None:
        begin = time.perf_counter_ns()
        result = call()
        elapsed_ms = (time.perf_counter_ns() - begin) * 1e-6
        del result
        self.taken.setdefault(name, []).append((block, elapsed_ms))

    def once_ms(self, call: Callable[[], object]) -> float:
        begin = time.perf_counter_ns()
        call()
        return (time.perf_counter_ns() - begin) * 1e-6

    def finish_block(self) -> None:
        pass


class _CudaClock:
    def __init__(self, device: torch.device) -> None:
        self.taken: dict[str, list[tuple[int, float]]] = {}
        self.host_ms = 0.0
        self._device = device
        self._open: list[tuple[str, int, torch.cuda.Event, torch.cuda.Event]] = []

    def time(self, name: str, block: int, call: Callable[[], object]) -> None:
        begin, end = self._events()
        begin.record()
        result = call()
        end.record()
        del result
        self._open.append((name, block, begin, end))

    def once_ms(self, call: Callable[[], object]) -> float:
        begin, end = self._events()
        begin.record()
        queued_ns = time.perf_counter_ns()
        call()
        self.host_ms = (time.perf_counter_ns() - queued_ns) * 1e-6
        end.record()
        torch.cuda.synchronize(self._device)
        return begin.elapsed_time(end)

    def finish_block(self) -> None:
        torch.cuda.synchronize(self._device)
        for name, block, begin, end in self._open:
            self.taken.setdefault(name, []).append((block, begin.elapsed_time(end)))
        self._open.clear()

    @staticmethod
    def _events() -> tuple[torch.cuda.Event, torch.cuda.Event]:
        return torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)


def _warm(
    call: Callable[[], object],
    prepare: Callable[[], object],
    clock: _CpuClock | _CudaClock,
    warmup: int,
    seconds_each: float,
    device: torch.device,
    memory: bool,
) -> tuple[float, int | None]:
    """Time of the last warm-up call, and peak memory of one call after compiling is over."""
    begin = time.monotonic()
    prepare()
    elapsed_ms = clock.once_ms(call)
    # The first call may compile, so it says nothing about the time of the second.
    for done in range(1, max(warmup, 2)):
        if done >= 2 and time.monotonic() - begin > seconds_each / 2:
            break
        prepare()
        elapsed_ms = clock.once_ms(call)
    if not memory:
        return elapsed_ms, None
    prepare()
    with peak_memory(device) as measured:
        call()
    return elapsed_ms, measured.peak_bytes


def _stride(call_ms: float, samples: int, seconds_each: float) -> int:
    """Power of two: the block numbers of a slow candidate are among those of a faster one."""
    stride = 1
    while (
        samples // (2 * stride) >= MIN_SAMPLES and samples // stride * call_ms > seconds_each * 1e3
    ):
        stride *= 2
    return stride


def _timing(name: str, taken: list[tuple[int, float]], peak_bytes: int | None) -> Timing:
    blocks, samples_ms = zip(*taken, strict=True)
    median_ms, low_ms, high_ms = median_interval(list(samples_ms))
    return Timing(name, samples_ms, blocks, median_ms, low_ms, high_ms, peak_bytes)


def _flusher(device: torch.device, flush_bytes: int | None) -> Callable[[], object]:
    if flush_bytes is None:
        flush_bytes = 2 * cache_bytes(device)
    if flush_bytes == 0:
        return lambda: None
    return torch.empty(flush_bytes, dtype=torch.int8, device=device).zero_


def release_memory(device: torch.device) -> None:
    """Give back what a failed call left: its tensors hang on frames of the traceback.

    >>> release_memory(torch.device("cpu"))
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def cache_bytes(device: str | torch.device) -> int:
    """Size of the last-level cache that a sample must not find warm; at most 32 MiB on a CPU.

    A server's shared cache of hundreds of megabytes is not one process's: writing over all of it
    would take longer than what is timed.

    >>> cache_bytes("cpu") >= 1024
    True
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).L2_cache_size
    sizes = [_kibibytes(path) for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("*/size")]
    return min(max(sizes, default=32 * _MIB), 32 * _MIB)


def _kibibytes(path: Path) -> int:
    text = path.read_text(encoding="ascii").strip()
    return int(text.removesuffix("K")) * 1024 if text.endswith("K") else int(text)
