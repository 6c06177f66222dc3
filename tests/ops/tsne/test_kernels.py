"""The kernels of tsne in the interpreter: widths, lists, forces, on few samples."""

import math

import pytest
import torch

from onetrip.ops.tsne import kernel_triton, plan, torch_impl
from onetrip.ops.tsne.reference import joint_probabilities, make_inputs
from onetrip.ops.tsne.triton_affinities import KernelAffinities
from onetrip.ops.tsne.triton_impl import KernelWalk
from onetrip.tile.problem import is_interpreting

pytestmark = pytest.mark.skipif(not is_interpreting(), reason="Triton is not interpreted")

CONFIG = {"BLOCK_I": 16, "BLOCK_J": 32, "num_warps": 1, "splits": 2}


def clusters(N, D=5):
    return make_inputs({"N": N, "D": D}, dtype=torch.float32)["x"]


def dense(affinities):
    """The lists as a matrix [N, N] in float64."""
    lists, N = affinities.lists, affinities.N
    p = torch.zeros(N, N, dtype=torch.float64)
    for i in range(N):
        part = slice(int(lists.start[i]), int(lists.start[i + 1]))
        p[i].index_add_(0, lists.index[part].long(), lists.p[part].double())
    return p


@pytest.mark.parametrize(
    ("together", "block", "perplexity", "scale"),
    [(16, 32, 2.0, 1e-4), (16, 16, 12.0, 1.0), (1, 32, 12.0, 1e4)],
    ids=["whole rows", "blocks of rows", "single rows"],
)
def test_lists_hold_the_joint_probabilities(together, block, perplexity, scale, monkeypatch):
    monkeypatch.setattr(plan, "rows_together", lambda N: together)
    monkeypatch.setattr(plan, "row_block", lambda N: block)
    x = clusters(29) * scale
    found = KernelAffinities(x, perplexity, None)
    truth = joint_probabilities(x.double(), perplexity)
    # Exponents are differences of numbers of some hundred, in float32.
    torch.testing.assert_close(dense(found), truth, rtol=5e-5, atol=plan.LEAST_SHARE / 29**2)
    assert math.isclose(found.mass + found.dropped, 1.0, rel_tol=1e-6)
    neg_entropy = float(torch.xlogy(truth, truth).sum())
    assert math.isclose(found.neg_entropy, neg_entropy, rel_tol=1e-5)


def test_what_counts_too_little_is_dropped_and_summed():
    x = torch.cat([clusters(20, 3), clusters(20, 3) + 1e3])
    found = KernelAffinities(x, 4.0, None)
    truth = joint_probabilities(x.double(), 4.0)
    kept = truth > plan.LEAST_SHARE / (2 * 40**2)
    assert 0 < int(kept.sum()) < 40 * 39
    listed = dense(found) > 0
    assert not listed[:20, 20:].any()
    assert torch.equal(listed, kept)
    assert found.dropped <= plan.LEAST_SHARE
    assert math.isclose(found.dropped, float(truth[~kept].sum()), rel_tol=1e-3, abs_tol=1e-15)


@pytest.fixture
def in_tiles(monkeypatch):
    """Tiles for few samples too."""
    monkeypatch.setattr(plan, "kept", lambda *_: "tiles")
    monkeypatch.setattr(plan, "row_block", lambda N: 128)


@pytest.mark.parametrize("together", [1, 16])
def test_tiles_hold_the_joint_probabilities(together, in_tiles, monkeypatch):
    monkeypatch.setattr(plan, "rows_together", lambda N: together)
    N, side = 150, plan.SIDE
    x = torch.cat([clusters(100), clusters(50) + 1e2])
    found = KernelAffinities(x, 12.0, None)
    assert found.lists is None
    assert found.tiles is not None
    p, tile = torch.zeros(3 * side, 3 * side, dtype=torch.float64), 0
    for i in range(3):
        for j in range(i, 3):
            p[i * side :, j * side :][:side, :side] = found.tiles[tile].double()
            p[j * side :, i * side :][:side, :side] = found.tiles[tile].double().T
            tile += 1
    assert tile == found.tiles.shape[0]
    assert not p[N:].any()
    assert not p[:100, 100:].any()
    truth = joint_probabilities(x.double(), 12.0)
    torch.testing.assert_close(p[:N, :N], truth, rtol=5e-5, atol=plan.LEAST_SHARE / N**2)
    assert torch.equal(p, p.T)


@pytest.mark.parametrize("components", [1, 2, 3])
@pytest.mark.parametrize("N", [50, 300, 330])  # strips: one, an odd number, an even number
def test_forces_by_tiles_are_those_of_float64(N, components, in_tiles):
    x = clusters(N)
    y = 3.0 * torch.randn(N, components, generator=torch.Generator().manual_seed(0))
    y[7] = 1e4
    walk = KernelWalk(x, y, 50.0, 20.0, None, CONFIG)
    assert walk._affinities.tiles is not None
    found, divergence = walk.forces(3.0)
    truth = torch_impl.make_forces(x.double(), components, 20.0, None, {"tile": 64})
    expected, true_divergence = truth(y.double(), 3.0, True)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-6 * scale)
    assert math.isclose(divergence, true_divergence, rel_tol=1e-6)


def test_lists_are_in_the_order_of_the_samples_and_end_on_blocks():
    lists = KernelAffinities(clusters(29), 5.0, None).lists
    assert lists is not None
    assert (lists.start % plan.LIST_BLOCK == 0).all()
    for i in range(29):
        part = slice(int(lists.start[i]), int(lists.start[i + 1]))
        index = lists.index[part][lists.p[part] > 0]
        assert (index.diff() > 0).all()
        assert i not in index.tolist()


@pytest.mark.parametrize("budget", [0, None])
@pytest.mark.parametrize("components", [1, 2, 3])
def test_forces_are_those_of_float64(components, budget, monkeypatch):
    monkeypatch.setattr(plan, "row_block", lambda N: 32)  # A row is several blocks.
    x = clusters(43)
    y = 3.0 * torch.randn(43, components, generator=torch.Generator().manual_seed(0))
    y[7] = 1e4  # far from all others: its t is small, and so are its shares of the sums
    found, divergence = KernelWalk(x, y, 50.0, 8.0, budget, CONFIG).forces(3.0)
    truth = torch_impl.make_forces(x.double(), components, 8.0, None, {"tile": 64})
    expected, true_divergence = truth(y.double(), 3.0, True)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-6 * scale)
    assert math.isclose(divergence, true_divergence, rel_tol=1e-6)


def test_many_programs_share_the_columns():
    """More than one share, a last one that is ragged, and the diagonal in one of a row's."""
    N, stride = 700, plan.padded(700)
    columns, splits = plan.push_columns(N, 2, 128)
    assert splits == 2
    assert N % columns
    y = torch.full((2, stride), 1e18)
    y[:, :N] = 3.0 * torch.randn(2, N, generator=torch.Generator().manual_seed(0))
    push, shares = torch.empty(splits, 2, stride), torch.empty(splits, 11)
    kernel_triton._tsne_push_kernel[(11, splits)](
        y, push, shares, N, stride, columns, M=2, BLOCK_I=64, BLOCK_J=128
    )
    d = (y[:, :N, None] - y[:, None, :N]).double()
    t = 1.0 / (1.0 + d.square().sum(0)).fill_diagonal_(torch.inf)
    expected = (t.square() * d).sum(2)
    found = push.sum(0)[:, :N].double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))
    assert math.isclose(float(shares.double().sum()), float(t.sum()), rel_tol=1e-6)
