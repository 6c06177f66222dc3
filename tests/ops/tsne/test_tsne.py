"""What is special about tsne; the contract suite checks the rest."""

import math

import pytest
import torch

import onetrip
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from onetrip.core.selection import Problem
from onetrip.ops.tsne import plan, select, torch_impl
from onetrip.ops.tsne.affinities import Affinities
from onetrip.ops.tsne.reference import joint_probabilities, make_inputs
from onetrip.testing.memory import peak_memory


def clusters(N=60, D=5, dtype=torch.float64):
    return make_inputs({"N": N, "D": D}, dtype=dtype)["x"]


def all_tiles(affinities, N, tile):
    p = torch.zeros(N, N, dtype=torch.float64)
    for begin, end, first, last in plan.tiles(N, tile):
        part = affinities.tile(begin, end, first, last, torch.float64)
        p[begin:end, first:last] = part
        p[first:last, begin:end] = part.T
    return p


@pytest.mark.parametrize(("perplexity", "scale"), [(2.0, 1e-4), (10.0, 1.0), (55.0, 1e4)])
def test_affinities_have_the_perplexity(perplexity, scale):
    x = clusters() * scale
    affinities = Affinities(x, perplexity)
    d = torch.cdist(x, x).square()
    others = ~torch.eye(60, dtype=torch.bool)
    widths = affinities.widths
    conditional = torch.exp(-widths.beta[:, None] * d - widths.log_sum[:, None])[others]
    conditional = conditional.view(60, 59)
    torch.testing.assert_close(conditional.sum(1), torch.ones(60).double(), rtol=1e-8, atol=0)
    entropy = torch.special.entr(conditional).sum(1)
    torch.testing.assert_close(entropy, torch.full_like(entropy, math.log(perplexity)))


@pytest.mark.parametrize("tile", [7, 32, 60, 100])
def test_tiles_make_up_the_joint_probabilities(tile):
    x = clusters()
    found = all_tiles(Affinities(x, 8.0), 60, tile)
    torch.testing.assert_close(found, joint_probabilities(x, 8.0), rtol=1e-7, atol=1e-14)
    assert math.isclose(float(found.sum()), 1.0, rel_tol=1e-9)


@pytest.mark.parametrize("components", [1, 2, 3, 4])
@pytest.mark.parametrize("tile", [16, 64])
def test_forces_are_the_formula(components, tile):
    x = clusters()
    forces = torch_impl.make_forces(x, components, 8.0, None, {"tile": tile})
    y = torch.randn(60, components, generator=torch.Generator().manual_seed(0)).double()
    freedom = max(components - 1, 1)
    t = (1 + torch.cdist(y, y).square() / freedom) ** (-(freedom + 1) / 2)
    t.fill_diagonal_(0.0)
    q, p = t / t.sum(), 3.0 * joint_probabilities(x, 8.0)
    weight = (p - q) * t
    expected = (weight.sum(1, keepdim=True) * y - weight @ y) * 2 * (freedom + 1) / freedom
    found, divergence = forces(y, 3.0, True)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-10)
    truth = torch.xlogy(p, p / q.fill_diagonal_(1.0)).sum()
    assert math.isclose(divergence, float(truth), rel_tol=1e-7)


def test_in_a_plane_the_force_is_the_gradient_of_the_divergence():
    x = clusters(24)
    y = torch.randn(24, 2, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    off = ~torch.eye(24, dtype=torch.bool)
    t = 1 / (1 + (y[:, None] - y[None]).square().sum(2)[off])
    p = joint_probabilities(x, 5.0)[off]
    (p * (p.log() + t.sum().log() - t.log())).sum().backward()
    found, _ = torch_impl.make_forces(x, 2, 5.0, None, {"tile": 10})(y.detach(), 1.0, False)
    torch.testing.assert_close(found, y.grad, rtol=1e-6, atol=1e-10)


def test_duplicates_beyond_the_perplexity():
    x = torch.zeros(20, 3)
    x[10:] = 1.0
    embedding, values = onetrip.tsne(x, perplexity=3.0, max_iter=60)
    assert embedding.isfinite().all()
    assert values["kl_divergence"].isfinite()


def test_all_samples_alike():
    embedding, _ = onetrip.tsne(torch.ones(9, 2), perplexity=3.0, max_iter=20)
    assert embedding.isfinite().all()


@pytest.mark.parametrize("budget", [0, None])
def test_memory_is_what_is_declared(budget):
    N = 700
    x = clusters(N, 4, torch.float32)
    with peak_memory() as memory:
        onetrip.tsne(x, max_iter=1, memory_budget=budget, impl="torch")
    problem = Problem({"N": N, "D": 4}, "float32", options={"memory_budget": budget})
    assert memory.peak_bytes <= select.workspace_bytes("torch", problem, {"tile": 512})


def test_memory_grows_with_the_samples_beyond_the_budget():
    small, large = (
        plan.workspace_bytes({"N": N, "D": 50}, "float32", 512, 2, False) for N in (10**5, 10**6)
    )
    assert large < 11 * small
    assert large < 2 * 2**30
    assert not plan.keeps_affinities(10**5, 512, 4, None, "cpu")


def test_progress_is_told_every_fifty_iterations():
    told = []
    onetrip.tsne(
        clusters(30),
        perplexity=5.0,
        max_iter=120,
        exploration_iter=60,
        progress=lambda *values: told.append(values),
    )
    assert [iteration for iteration, _, _ in told] == [50, 100]
    assert all(math.isfinite(value) for values in told for value in values)


def test_no_progress_stops():
    """A divergence that has not fallen for longer than asked ends the second phase."""
    options = {"perplexity": 5.0, "max_iter": 400, "exploration_iter": 50}
    _, values = onetrip.tsne(clusters(30), n_iter_without_progress=-1, **options)
    assert 99 <= int(values["n_iter"]) < 399


@pytest.mark.errors
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": torch.ones(3)}, ShapeError, "`x` must be a matrix"),
        ({"x": torch.ones(9, 3, dtype=torch.int64)}, DtypeError, "`x` must be float32"),
        ({"perplexity": 9.0}, UnsupportedError, "must be less than n_samples"),
        ({"perplexity": 0.0}, ArgumentError, "perplexity"),
        ({"init": torch.ones(9, 3)}, ShapeError, "`init` must be"),
        ({"max_iter": 0}, ArgumentError, "max_iter"),
        ({"learning_rate": -1.0}, ArgumentError, "learning_rate"),
        ({"impl": "abacus"}, UnsupportedError, "no implementation 'abacus'"),
        ({"impl": "triton", "n_components": 4}, UnsupportedError, "one, two or three"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        onetrip.tsne(**{"x": torch.ones(9, 3), "perplexity": 3.0, **arguments})
