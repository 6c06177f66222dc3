"""The timing protocol and the ceilings on a device, against durations that are known."""

import pytest
import torch

from onetrip.bench.probe_triton import doubles_on
from onetrip.bench.roofline import measure_ceilings
from onetrip.bench.timing import interleaved
from onetrip.testing.memory import peak_memory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]


def test_twice_the_work_takes_twice_the_time():
    a = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)

    def products(count):
        def call():
            for _ in range(count):
                torch.mm(a, a)

        return call

    report = interleaved({"four": products(4), "eight": products(8)}, device="cuda", samples=30)
    speedup = report.speedup("four", "eight")
    assert speedup.low > 1.7
    assert speedup.high < 2.3


def test_a_host_that_waits_is_in_the_time_and_a_queue_is_not():
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    report = interleaved({"product": lambda: torch.mm(a, a)}, device="cuda", samples=20)
    rate = 2 * 8192**3 / report.timings["product"].median_ms * 1e-9
    assert 100 < rate < 3000


def test_peak_memory_is_the_allocators():
    kept = torch.ones(1 << 20, device="cuda")
    with peak_memory("cuda") as memory:
        first = torch.ones(1 << 20, device="cuda")
        second = first + kept
        del first, second
        torch.ones(1 << 18, device="cuda")
    assert memory.peak_bytes == 2 * 4 * (1 << 20)


def test_out_of_memory_takes_out_one_candidate_only():
    free_bytes, _ = torch.cuda.mem_get_info()
    report = interleaved(
        {
            "too large": lambda: torch.empty(2 * free_bytes, dtype=torch.uint8, device="cuda"),
            "fits": lambda: torch.empty(1 << 20, device="cuda"),
        },
        device="cuda",
        samples=5,
    )
    assert report.failures["too large"].outcome == "out_of_memory"
    assert "fits" in report.timings


def test_ceilings_are_those_of_a_gpu():
    found = measure_ceilings("cuda", dtypes=("bfloat16",), seconds_each=0.5)
    assert found.bandwidth_gbps > 200
    assert found.tflops["bfloat16"] > 20


def test_the_probe_runs():
    assert doubles_on("cuda")
