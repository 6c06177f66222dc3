import itertools
import random

import pytest
import torch

from onetrip.bench import timing
from onetrip.bench.timing import MIN_SAMPLES, interleaved, median_interval
from onetrip.core.errors import ArgumentError


class Clock:
    """Time that passes only when somebody works: no other load on the machine gets into it."""

    def __init__(self):
        self.now_ns = 0

    def perf_counter_ns(self):
        return self.now_ns

    def monotonic(self):
        return self.now_ns * 1e-9

    def work(self, milliseconds):
        self.now_ns += round(milliseconds * 1e6)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    return made


def test_known_durations_are_found(clock):
    report = interleaved(
        {"slow": lambda: clock.work(4), "fast": lambda: clock.work(1)}, samples=15, flush_bytes=0
    )
    assert report.timings["slow"].median_ms == pytest.approx(4)
    assert report.timings["fast"].median_ms == pytest.approx(1)
    speedup = report.speedup("fast", "slow")
    assert (speedup.low, speedup.median, speedup.high) == pytest.approx((4, 4, 4))
    assert speedup.decided
    assert speedup.pairs == 15


def test_a_drift_of_the_machine_does_not_get_into_the_ratio(clock):
    drift = itertools.count(1)
    slowed = {"factor": 1.0}

    def prepare():
        slowed["factor"] = 1 + next(drift) / 20

    candidates = {
        "slow": lambda: clock.work(3 * slowed["factor"]),
        "fast": lambda: clock.work(1 * slowed["factor"]),
    }
    report = interleaved(candidates, samples=30, prepare=prepare, flush_bytes=0)
    assert report.timings["fast"].high_ms > 1.2 * report.timings["fast"].low_ms
    speedup = report.speedup("fast", "slow")
    assert speedup.median == pytest.approx(3, rel=0.03)
    assert speedup.high - speedup.low < 0.2


def test_equal_candidates_are_undecided(clock):
    noise = random.Random(3)

    def noisy():
        clock.work(noise.uniform(1, 2))

    speedup = interleaved({"a": noisy, "b": noisy}, samples=40, flush_bytes=0).speedup("a", "b")
    assert speedup.low < 1 < speedup.high
    assert not speedup.decided


def test_samples_are_interleaved_in_random_order():
    ran = []
    names = ("a", "b", "c")
    report = interleaved(
        {name: lambda name=name: ran.append(name) for name in names},
        samples=20,
        warmup=1,
        flush_bytes=0,
        memory=False,
    )
    timed = ran[-60:]
    blocks = [tuple(timed[begin : begin + 3]) for begin in range(0, 60, 3)]
    assert all(sorted(block) == sorted(names) for block in blocks)
    assert len(set(blocks)) > 1
    assert all(len(report.timings[name].samples_ms) == 20 for name in names)


def test_prepare_runs_before_each_call_and_outside_the_clock(clock):
    events = []

    def prepare():
        events.append("prepare")
        clock.work(20)

    def call():
        events.append("call")
        clock.work(1)

    report = interleaved({"a": call}, samples=5, warmup=1, prepare=prepare, flush_bytes=0)
    assert events == ["prepare", "call"] * (len(events) // 2)
    assert report.timings["a"].samples_ms == pytest.approx([1] * 5)


def test_a_slow_candidate_leaves_blocks_out_and_stays_paired(clock):
    report = interleaved(
        {"slow": lambda: clock.work(10), "fast": lambda: clock.work(0.1)},
        samples=24,
        seconds_each=0.1,
        flush_bytes=0,
    )
    slow = report.timings["slow"]
    assert MIN_SAMPLES <= len(slow.samples_ms) == 6
    assert slow.blocks == (0, 4, 8, 12, 16, 20)
    assert len(report.timings["fast"].samples_ms) == 24
    assert report.speedup("fast", "slow").pairs == 6


def test_a_candidate_that_raises_is_out_and_the_others_go_on():
    calls = []

    def fails_late() -> None:
        calls.append(1)
        if len(calls) > 6:
            raise RuntimeError("CUDA out of memory. Tried to allocate 3.9 GiB")

    def fails_at_once() -> None:
        raise ValueError("no such shape")

    report = interleaved(
        {"late": fails_late, "at once": fails_at_once, "good": lambda: None},
        samples=9,
        flush_bytes=0,
    )
    assert report.failures["late"].outcome == "out_of_memory"
    assert report.failures["at once"].outcome == "crashed"
    assert "no such shape" in report.failures["at once"].reason
    assert list(report.timings) == ["good"]
    assert len(report.timings["good"].samples_ms) == 9


def test_interrupts_are_not_failures():
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interleaved({"a": interrupted}, samples=1)


def test_peak_memory_is_the_candidates_own():
    report = interleaved(
        {"small": lambda: torch.zeros(1 << 18), "large": lambda: torch.zeros(1 << 20)},
        samples=2,
        warmup=1,
        flush_bytes=0,
    )
    assert report.timings["small"].peak_bytes == 1 << 20
    assert report.timings["large"].peak_bytes == 1 << 22


def test_the_cache_is_written_over_before_each_sample(monkeypatch):
    written = []
    monkeypatch.setattr(timing, "_flusher", lambda device, size: lambda: written.append(size))
    interleaved({"a": lambda: None, "b": lambda: None}, samples=4, flush_bytes=123, memory=False)
    assert set(written) == {123}
    assert len(written) >= 2 * 4


def test_the_device_is_kept_busy_while_the_host_queues(monkeypatch, clock):
    """A clock that says what a device's would: the host needs 3 ms to queue, a flush takes 0.5."""
    flushed = []

    class DeviceClock(timing._CpuClock):
        host_ms = 3.0

        def once_ms(self, call):
            call()
            return 0.5

    monkeypatch.setattr(timing, "_CpuClock", DeviceClock)
    monkeypatch.setattr(timing, "_flusher", lambda device, size: lambda: flushed.append(1))
    runs = []
    interleaved({"a": lambda: runs.append(len(flushed))}, samples=1, warmup=1, memory=False)
    assert runs[-1] - runs[-2] == 9


def test_median_interval_narrows_with_agreement():
    wide = median_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    tight = median_interval([2.9, 3.0, 3.0, 3.0, 3.1])
    assert wide[0] == tight[0] == 3.0
    assert wide[2] - wide[1] > tight[2] - tight[1]
    assert wide[1] <= wide[0] <= wide[2]


@pytest.mark.parametrize(("samples", "warmup", "name"), [(0, 1, "samples"), (1, 0, "warmup")])
def test_counts_below_one_are_refused(samples, warmup, name):
    with pytest.raises(ArgumentError, match=f"`{name}` must be an integer >= 1, got 0"):
        interleaved({}, samples=samples, warmup=warmup)
