"""What is special about truncated_svd; the contract suite checks the rest."""

import math
from dataclasses import replace

import pytest
import torch

import onetrip
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from onetrip.core.selection import Problem
from onetrip.ops.truncated_svd import plan, select, torch_impl
from onetrip.ops.truncated_svd.moments import SPLIT_UNIT
from onetrip.testing.memory import peak_memory

EXACT = ["full", "covariance_eigh", "auto"]


def prescribed(rows, columns, values, seed=0, dtype=torch.float64):
    """A matrix with these singular values."""
    generator = torch.Generator().manual_seed(seed)
    count = len(values)
    left = torch.randn(rows, count, generator=generator, dtype=torch.float64)
    right = torch.randn(columns, count, generator=generator, dtype=torch.float64)
    left, right = torch.linalg.qr(left)[0], torch.linalg.qr(right)[0]
    return ((left * values) @ right.T).to(dtype)


@pytest.mark.parametrize("shape", [(300, 10), (10, 300), (12, 12)])
@pytest.mark.parametrize("solver", EXACT)
def test_six_decades_of_singular_values(shape, solver):
    values = torch.logspace(0, -6, 10, dtype=torch.float64)
    x = prescribed(*shape, values, dtype=torch.float32)
    truth = torch.linalg.svdvals(x.double())[:10]
    found, extra = onetrip.truncated_svd(x, n_components=10, solver=solver)
    torch.testing.assert_close(found.double(), truth, rtol=2e-7, atol=0)
    components = extra["components"].double()
    torch.testing.assert_close(components @ components.T, torch.eye(10).double(), rtol=0, atol=1e-6)
    # Each direction, not only their span: its length in x is its singular value.
    lengths = torch.linalg.vector_norm(x.double() @ components.T, dim=0)
    torch.testing.assert_close(lengths[:7], truth[:7], rtol=1e-3, atol=0)


def test_the_gram_matrix_alone_would_not_do():
    values = torch.logspace(0, -6, 10, dtype=torch.float64)
    x = prescribed(300, 10, values, dtype=torch.float32)
    truth = torch.linalg.svdvals(x.double())
    fast, _ = onetrip.truncated_svd(x, precision="fast")
    assert abs(float(fast[-1] / truth[-1]) - 1) > 1e-6


def test_full_solver_is_right_to_float64():
    values = torch.logspace(0, -4, 8, dtype=torch.float64)
    x = prescribed(200, 8, values)
    found, _ = onetrip.truncated_svd(x, solver="full")
    torch.testing.assert_close(found, torch.linalg.svdvals(x), rtol=1e-11, atol=0)


@pytest.mark.parametrize("solver", [*EXACT, "randomized"])
@pytest.mark.parametrize("shape", [(80, 9), (9, 80)])
def test_rank_deficient_and_zero(shape, solver):
    for values in (torch.tensor([3.0, 1.0]), torch.tensor([0.0])):
        x = prescribed(*shape, values.double())
        found, extra = onetrip.truncated_svd(x, n_components=4, solver=solver)
        expected = torch.zeros(4, dtype=torch.float64)
        expected[: len(values)] = values
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-7)
        unit = torch.eye(4, dtype=torch.float64)
        components = extra["components"]
        torch.testing.assert_close(components @ components.T, unit, rtol=0, atol=1e-12)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("off", [1.0, 2.0])
def test_residual_of_a_wide_matrix_does_not_know_what_its_gram_matrix_lost(
    monkeypatch, center, off
):
    """Its entries are sums of halves on a device, 2^-23 of them off; the residual is float64's."""
    exact = torch_impl.gram_moments

    def inexact(*arguments):
        moments = exact(*arguments)
        return replace(moments, gram=moments.gram * (1.0 - off * SPLIT_UNIT))

    x = torch.randn(18, 70, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    arguments = {"n_components": 5, "center": center, "impl": "torch"}
    _, truth = onetrip.truncated_svd(x, **arguments)
    monkeypatch.setattr(torch_impl, "gram_moments", inexact)
    _, found = onetrip.truncated_svd(x, **arguments)
    torch.testing.assert_close(found["residual"], truth["residual"], rtol=1e-12, atol=0)


def test_randomized_on_a_steep_spectrum():
    values = 10.0 ** -torch.linspace(0, 6, 40, dtype=torch.float64)
    x = prescribed(500, 120, values, dtype=torch.float32)
    truth = torch.linalg.svdvals(x.double())[:12]
    found, _ = onetrip.truncated_svd(x, n_components=12, solver="randomized")
    torch.testing.assert_close(found.double(), truth, rtol=1e-4, atol=0)


def test_randomized_is_reproducible_and_follows_its_seed():
    x = prescribed(90, 60, torch.linspace(2, 1, 60, dtype=torch.float64))
    first, second, other = (
        onetrip.truncated_svd(x, n_components=3, solver="randomized", n_iter=1, seed=seed)[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_mean_of_sorted_rows_cancels_nothing():
    """The first tile's mean is far from the mean of all."""
    x = torch.linspace(0, 1000, 600)[:, None] + torch.eye(600, 5)
    found, extra = onetrip.truncated_svd(x, center=True)
    wide = x.double()
    torch.testing.assert_close(extra["mean"].double(), wide.mean(0), rtol=1e-6, atol=0)
    truth = torch.linalg.svdvals(wide - wide.mean(0))
    torch.testing.assert_close(found.double()[:4], truth[:4], rtol=1e-6, atol=0)


def test_residual_is_what_components_leave():
    x = torch.randn(70, 8, generator=torch.Generator().manual_seed(0))
    for center in (False, True):
        _, extra = onetrip.truncated_svd(x, n_components=3, center=center)
        y = x - x.mean(0) if center else x
        left = y - y @ extra["components"].T @ extra["components"]
        torch.testing.assert_close(extra["residual"], left.square().sum() / 70)


@pytest.mark.parametrize("shape", [(200_000, 16), (16, 200_000)])
def test_memory_does_not_hold_a_copy(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with peak_memory() as memory:
        onetrip.truncated_svd(x[:, :], n_components=2, center=True, impl="torch")
    wide = shape[1] if shape[0] < shape[1] else 0
    # Vectors of the wide side have two columns here, in float64, a few times.
    assert memory.peak_bytes < 16 * 2**20 + 8 * 24 * wide


def test_tiles_are_added_up_whatever_their_size():
    x = torch.randn(1000, 300, generator=torch.Generator().manual_seed(0))
    small, large = (
        torch_impl.gram_moments(x, True, {"tile_elements": size}) for size in (4096, 1 << 20)
    )
    wide = x.double() - x.double().mean(0)
    for moments in (small, large):
        torch.testing.assert_close(moments.gram, wide.T @ wide, rtol=1e-12, atol=1e-10)
        assert math.isclose(float(moments.total), float(wide.square().sum()), rel_tol=1e-12)


def test_auto_takes_random_trips_for_two_long_sides():
    assert plan.chosen_solver("auto", 100_000, 256, 32, 7, 10) == "covariance_eigh"
    assert plan.chosen_solver("auto", 30_000, 30_000, 5, 4, 10) == "randomized"
    assert plan.chosen_solver("full", 30_000, 30_000, 5, 4, 10) == "full"


def test_a_device_takes_the_gram_matrix_of_more_features():
    sizes = 1_000_000, 3000, 200, 5, 10
    assert plan.chosen_solver("auto", *sizes) == "randomized"
    assert plan.chosen_solver("auto", *sizes, in_halves=True) == "covariance_eigh"
    assert plan.chosen_solver("auto", 10**6, 3000, 5, 5, 10, in_halves=True) == "randomized"


@pytest.mark.parametrize(
    ("arch", "dtype", "impl"),
    [(90, "float32", "triton"), (90, "float16", "triton"), (90, "float64", "torch")],
)
def test_kernel_is_chosen_where_it_compiles(arch, dtype, impl):
    problem = Problem({"N": 10_000, "D": 64, "K": 4}, dtype, "cuda", arch, False, "a device")
    assert select.choose(problem).impl == impl
    assert "floor only" in select.choose(problem).why


@pytest.mark.errors
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": torch.ones(3)}, ShapeError, "`x` must be a matrix"),
        ({"x": torch.ones(0, 3)}, ShapeError, "at least one row"),
        ({"x": torch.ones(3, 3, dtype=torch.int64)}, DtypeError, "`x` must be float32"),
        ({"n_components": 0}, ArgumentError, "n_components"),
        ({"solver": "abacus"}, ArgumentError, "solver"),
        ({"precision": "exact"}, ArgumentError, "precision"),
        ({"n_oversamples": 0}, ArgumentError, "n_oversamples"),
        ({"impl": "abacus"}, UnsupportedError, "no implementation 'abacus'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        onetrip.truncated_svd(**{"x": torch.ones(4, 3), **arguments})
