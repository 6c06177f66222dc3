import time

import pytest
import torch

from onetrip.bench import timing
from onetrip.bench.timing import MIN_SAMPLES, interleaved, median_interval
from onetrip.core.errors import ArgumentError


def busy(milliseconds: float):
    def call() -> None:
        end = time.perf_counter() + milliseconds * 1e-3
        while time.perf_counter() < end:
            pass

    return call


def test_known_durations_are_found():
    report = interleaved({"slow": busy(4), "fast": busy(1)}, samples=15, flush_bytes=0)
    assert report.timings["slow"].median_ms == pytest.approx(4, rel=0.3)
    assert report.timings["fast"].median_ms == pytest.approx(1, rel=0.5)
    speedup = report.speedup("fast", "slow")
    assert speedup.low <= speedup.median <= speedup.high
    assert speedup.median == pytest.approx(4, rel=0.4)
    assert speedup.decided
    assert speedup.pairs == 15


def test_equal_candidates_are_undecided():
    x = torch.randn(256, 256)
    report = interleaved({"a": lambda: x @ x, "b": lambda: x @ x}, samples=31, flush_bytes=0)
    speedup = report.speedup("a", "b")
    assert speedup.low < 1.1
    assert speedup.high > 0.9


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


def test_prepare_runs_before_each_call_and_outside_the_clock():
    events = []

    def prepare() -> None:
        events.append("prepare")
        time.sleep(0.02)

    report = interleaved(
        {"a": lambda: events.append("call")}, samples=5, warmup=1, prepare=prepare, flush_bytes=0
    )
    assert events == ["prepare", "call"] * (len(events) // 2)
    assert report.timings["a"].median_ms < 5


def test_a_slow_candidate_leaves_blocks_out_and_stays_paired():
    report = interleaved(
        {"slow": busy(10), "fast": busy(0.1)},
        samples=24,
        warmup=1,
        seconds_each=0.1,
        flush_bytes=0,
        memory=False,
    )
    assert MIN_SAMPLES <= len(report.timings["slow"].samples_ms) < 24
    assert len(report.timings["fast"].samples_ms) == 24
    assert report.speedup("fast", "slow").pairs == len(report.timings["slow"].samples_ms)


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
    assert written == [123] * 8


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
