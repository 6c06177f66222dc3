"""The isolated judge on a device: honest kernels pass, what only a device can do is seen."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from onetrip.lab.judge.isolated import Judge
from onetrip.lab.judge.trial_job import TrialJob
from onetrip.lab.problems.problem import Contender, ProblemRef
from onetrip.lab.verdict import Outcome

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]

SIZE = 1 << 23
ADD = Path(__file__).parents[1] / "lab" / "judge" / "problems" / "add"
HONEST = """
import torch
import triton
import triton.language as tl

@triton.jit
def _add_kernel(a_ptr, b_ptr, y_ptr, N, BLOCK_N: tl.constexpr):
    offs_n = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask_n = offs_n < N
    a = tl.load(a_ptr + offs_n, mask=mask_n)
    b = tl.load(b_ptr + offs_n, mask=mask_n)
    tl.store(y_ptr + offs_n, a + 2 * b, mask=mask_n)

def run(data, grid_share=1.0):
    a, b = data
    y = torch.empty_like(a)
    blocks = int(triton.cdiv(a.numel(), 1024) * grid_share)
    if blocks:
        _add_kernel[(blocks,)](a, b, y, a.numel(), BLOCK_N=1024)
    return y

def custom_kernel(data):
    return run(data)
"""
GRAPH = """
import torch
graphs = {}

def custom_kernel(data):
    size = data[0].numel()
    if size not in graphs:
        a, b, y = (torch.empty(size, device="cuda") for _ in range(3))
        a.zero_(); b.zero_()
        torch.add(a, b, alpha=2, out=y)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            torch.add(a, b, alpha=2, out=y)
        graphs[size] = graph, a, b, y
    graph, a, b, y = graphs[size]
    a.copy_(data[0]); b.copy_(data[1])
    graph.replay()
    return y.clone()
"""
JOINED_STREAM = """
import torch
side = torch.cuda.Stream()

def custom_kernel(data):
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = torch.add(*data, alpha=2)
    torch.cuda.current_stream().wait_stream(side)
    return y
"""
LEFT_STREAM = """
import torch
side = torch.cuda.Stream()

def custom_kernel(data):
    y = torch.empty_like(data[0])
    with torch.cuda.stream(side):
        torch.cuda._sleep(3_000_000)
        torch.add(*data, alpha=2, out=y)
    return y
"""
# name -> source, outcomes
HOSTILE = {
    "leaves work on another stream": (LEFT_STREAM, (Outcome.HACKED, Outcome.INCORRECT)),
    "writes into an input": (
        "def custom_kernel(data):\n    y = data[0] + 2 * data[1]\n"
        "    data[1].zero_()\n    return y",
        (Outcome.HACKED,),
    ),
    "leaves out the last blocks": (
        HONEST.replace("return run(data)", "return run(data, 0.99)"),
        (Outcome.INCORRECT,),
    ),
    "never launches": (HONEST.replace("return run(data)", "return run(data, 0.0)"),
                       (Outcome.INCORRECT, Outcome.HACKED)),
    "reads memory that is not its own": (
        HONEST.replace("tl.load(b_ptr + offs_n, mask=mask_n)", "tl.load(b_ptr + (1 << 40))"),
        (Outcome.CRASHED,),
    ),
    "replays addresses": (
        """
import torch
graphs = {}

def custom_kernel(data):
    key = data[0].data_ptr(), data[0].numel()
    if key not in graphs:
        graphs[key] = torch.add(*data, alpha=2)
    return graphs[key].clone()
""",
        (Outcome.HACKED, Outcome.INCORRECT),
    ),
    "takes the whole device": (
        "import torch\ndef custom_kernel(data):\n"
        "    return torch.empty(1 << 42, device='cuda')[: data[0].numel()]",
        (Outcome.OUT_OF_MEMORY,),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def large_add(tmp_path_factory):
    folder = tmp_path_factory.mktemp("problems") / "add"
    folder.mkdir()
    for path in ADD.iterdir():
        if path.is_file():
            text = path.read_text().replace("200000", str(SIZE))
            (folder / path.name).write_text(text)
    return ProblemRef("folder", str(folder))


@pytest.fixture(scope="module")
def attempt(large_add):
    with Judge() as judge:

        def run(source, **rivals):
            job = TrialJob(
                large_add,
                Contender("source", source),
                {name: Contender("source", rival) for name, rival in rivals.items()},
                device="cuda:0",
                seed=1122,
                seconds=120.0,
            )
            return judge.judge(job)

        yield run


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_candidate_is_found_out(attempt, name):
    source, outcomes = HOSTILE[name]
    verdict = attempt(source)
    assert verdict.outcome in outcomes, verdict


@pytest.mark.parametrize("source", [GRAPH, JOINED_STREAM], ids=["graph", "joined stream"])
def test_an_honest_use_of_the_device_passes(attempt, source):
    verdict = attempt(source)
    assert verdict.outcome is Outcome.DONE, verdict
    assert "work on another stream" not in {flag.rule for flag in verdict.flags}


def test_times_are_the_devices(attempt):
    thrice = HONEST.replace("return run(data)", "run(data)\n    run(data)\n    return run(data)")
    verdict = attempt(HONEST, thrice=thrice)
    assert verdict.outcome is Outcome.DONE, verdict
    timing = verdict.timing("candidate")
    assert timing is not None
    # Three vectors of 32 MiB: a tenth to ten times of what three terabytes a second take.
    bytes_moved = 3 * 4 * SIZE
    assert 0.1 < timing.median_ms / (bytes_moved / 3e12 * 1e3) < 10
    pair = verdict.against("thrice")
    assert pair is not None
    assert 2.0 < pair.speedup < 4.0
    assert timing.peak_bytes == 4 * SIZE
    if find_spec("pynvml"):
        assert all("sm_clock_mhz" in block for block in timing.blocks)
        assert verdict.energy_j > 0
