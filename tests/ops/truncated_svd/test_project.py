"""Projections by the kernel, interpreted, and orthonormal directions from products alone."""

import pytest
import torch

from onetrip.ops.truncated_svd.kernel_project_triton import project_in_one_trip
from onetrip.ops.truncated_svd.project import project, project_and_look
from onetrip.ops.truncated_svd.randomized import _by_cholesky, normal_draw
from onetrip.tile.problem import is_interpreting

interpreted = pytest.mark.skipif(not is_interpreting(), reason="Triton is not interpreted")


def samples_and_components(N, D, K, offset=0.0):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=generator) + offset
    return x, x.double().mean(0).float(), torch.randn(K, D, generator=generator)


@interpreted
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("shape", [(130, 33, 5), (64, 40, 70), (1, 1, 1)])
def test_kernel_is_as_right_as_plain_torch(shape, offset):
    x, mean, components = samples_and_components(*shape, offset)
    gold = (x.double() - mean.double()) @ components.double().T
    found, largest = project_in_one_trip(x, mean, components)
    torch.testing.assert_close(found.double(), gold, rtol=1e-6, atol=2e-6 * shape[1] ** 0.5)
    assert largest.item() == x.abs().max().item()


@interpreted
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_kernel_takes_halves_and_any_strides(dtype):
    x, _, components = samples_and_components(70, 36, 3)
    spread = torch.empty(36, 140, dtype=dtype).T[::2]
    spread.copy_(x)
    found, _ = project_in_one_trip(spread, None, components)
    torch.testing.assert_close(found, spread.float() @ components.T, rtol=1e-6, atol=2e-5)


@interpreted
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("bad", ["nan", "-inf"])
def test_kernel_sees_what_is_not_finite(bad):
    x, mean, components = samples_and_components(70, 36, 3)
    x[66, 35] = float(bad)
    assert not project_in_one_trip(x, mean, components)[1].isfinite()


@interpreted
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (4, 0)])
def test_kernel_answers_of_nothing(rows, columns):
    found, _ = project_in_one_trip(torch.ones(rows, 5), None, torch.ones(columns, 5))
    assert found.shape == (rows, columns)


def test_nobody_looks_without_a_kernel():
    x, mean, components = samples_and_components(9, 4, 2)
    found, largest = project_and_look(x, mean, components)
    assert largest is None
    assert torch.equal(found, project(x, mean, components))


@pytest.mark.parametrize("decades", [0.0, 5.0])
def test_directions_from_products_are_orthonormal(decades):
    columns = normal_draw(300, 20, 0) * torch.logspace(0, -decades, 20, dtype=torch.float64)
    mixed = columns @ normal_draw(20, 20, 1)
    basis, lengths = _by_cholesky(mixed)
    identity = torch.eye(20, dtype=torch.float64)
    torch.testing.assert_close(basis.T @ basis, identity, rtol=0, atol=1e-9)
    torch.testing.assert_close(basis @ lengths, mixed, rtol=0, atol=1e-13)
    assert torch.equal(lengths, lengths.triu())


def test_directions_that_are_missing_are_zero():
    columns = normal_draw(30, 4, 0)
    columns[:, 2] = 0.0
    basis, _ = _by_cholesky(columns)
    assert basis.norm(dim=0).tolist() == pytest.approx([1.0, 1.0, 0.0, 1.0])
