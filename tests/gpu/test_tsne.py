"""t-SNE on a device: against the CPU, bit-equal runs, memory."""

import pytest
import torch

import onetrip
from onetrip.ops.tsne import torch_impl, triton_impl
from onetrip.ops.tsne.reference import make_inputs
from onetrip.testing.memory import peak_memory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]

CONFIG = {"BLOCK_I": 32, "BLOCK_J": 32, "num_warps": 1, "splits": 8}


def assert_forces_of_the_cpu(ours, x, y):
    """Hold the forces at y to those of float64; returns them."""
    truth = torch_impl.make_forces(x.double(), y.shape[1], 30.0, None, {"tile": 512})
    gradient, divergence = ours.forces(12.0)
    expected, true_divergence = truth(y.double(), 12.0, True)
    scale = float(expected.abs().max())
    torch.testing.assert_close(gradient.cpu().double(), expected, rtol=0, atol=1e-5 * scale)
    assert divergence == pytest.approx(true_divergence, rel=1e-5)
    return gradient


@pytest.mark.parametrize("budget", [0, None])
@pytest.mark.parametrize("components", [1, 2, 3])
def test_forces_are_those_of_the_cpu(components, budget):
    x = make_inputs({"N": 2011, "D": 50}, dtype=torch.float32)["x"]
    y = 10.0 * torch.randn(2011, components, generator=torch.Generator().manual_seed(0))
    ours = triton_impl.KernelWalk(x.cuda(), y.cuda(), 50.0, 30.0, budget, CONFIG)
    assert_forces_of_the_cpu(ours, x, y)


@pytest.mark.parametrize("components", [1, 2, 3])
def test_forces_by_tiles_are_those_of_the_cpu(components):
    """One cluster, where every pair counts."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4500, 50, generator=generator)
    y = 10.0 * torch.randn(4500, components, generator=generator)
    ours = triton_impl.KernelWalk(x.cuda(), y.cuda(), 50.0, 30.0, None, CONFIG)
    assert ours._affinities.tiles is not None
    gradient = assert_forces_of_the_cpu(ours, x, y)
    assert torch.equal(gradient, ours.forces(12.0)[0])


def test_tiles_take_half_of_all_pairs():
    x = torch.randn(20_000, 128, generator=torch.Generator().manual_seed(0)).cuda()
    with peak_memory("cuda") as memory:
        onetrip.tsne(x, max_iter=2)
    # 4 bytes a pair; with the columns' sums and a strip of distances below 1 GiB.
    assert memory.peak_bytes < 1 << 30


@pytest.mark.parametrize("budget", [0, None])
def test_two_runs_are_bit_equal(budget):
    x = make_inputs({"N": 3000, "D": 20}, dtype=torch.float32)["x"].cuda()
    first, second = (
        onetrip.tsne(x, max_iter=60, memory_budget=budget, impl="triton")[0] for _ in range(2)
    )
    assert torch.equal(first, second)


def test_clusters_are_apart():
    x = make_inputs({"N": 5000, "D": 30}, dtype=torch.float32)["x"].cuda()
    embedding, values = onetrip.tsne(x, max_iter=500)
    labels = torch.arange(5000, device="cuda") % 5
    nearest = torch.cdist(embedding, embedding).fill_diagonal_(torch.inf).argmin(1)
    assert (labels[nearest] == labels).float().mean() > 0.99
    assert values["kl_divergence"].isfinite()


def test_lists_take_what_their_pairs_take():
    x = make_inputs({"N": 20_000, "D": 10}, dtype=torch.float32)["x"].cuda()
    with peak_memory("cuda") as memory:
        onetrip.tsne(x, max_iter=2)
    # Five clusters of 4,000 that all count: 8 bytes a pair, where N² numbers take 1.6 GB.
    assert memory.peak_bytes < 8 * 20_000 * 4_200 + (128 << 20)


def test_memory_grows_with_the_samples():
    x = make_inputs({"N": 60_000, "D": 10}, dtype=torch.float32)["x"].cuda()
    with peak_memory("cuda") as memory:
        onetrip.tsne(x, max_iter=2, memory_budget=0)
    assert memory.peak_bytes < 128 << 20
