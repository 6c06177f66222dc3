"""Few eigenvectors: those that all of them begin with, and none where that is not proved."""

import functools

import pytest
import torch

from onetrip.ops.truncated_svd import solve, torch_impl
from onetrip.ops.truncated_svd.krylov import _apart_from, are_leading, few_eigenvectors
from onetrip.tile.side_by_side import on_one_thread

S = 320


@pytest.fixture(autouse=True)
def one_thread():
    """As callers have it: threads would wait for each other at every thin product."""
    with on_one_thread():
        yield


@functools.cache
def _directions():
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(S, S, generator=generator, dtype=torch.float64)).Q


def _of_spectrum(values):
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    vectors = _directions()
    return (vectors * values) @ vectors.T, vectors


def _falling():
    return 1.0 / (1.0 + torch.arange(S, dtype=torch.float64))


@pytest.mark.parametrize("kept", [1, 4, 6])
def test_they_are_the_first_of_all(kept):
    matrix, true = _of_spectrum(_falling())
    found = few_eigenvectors(matrix, kept)
    assert found is not None
    values, vectors = found
    torch.testing.assert_close(values, _falling()[:kept], rtol=1e-13, atol=0)
    alike = (vectors * true[:, :kept]).sum(0).abs()
    torch.testing.assert_close(alike, torch.ones_like(alike), rtol=0, atol=1e-12)


def test_a_space_of_few_directions_is_found_whole():
    values = torch.where(torch.arange(S) < 11, _falling(), 0.0)
    found = few_eigenvectors(_of_spectrum(values)[0], 10)
    assert found is not None
    torch.testing.assert_close(found[0], values[:10], rtol=1e-12, atol=0)


def test_a_larger_value_that_was_missed_is_noticed():
    matrix, vectors = _of_spectrum(_falling())
    values = _falling()
    assert are_leading(matrix, values[:6], vectors[:, :6])
    for missed in range(5):
        others = [place for place in range(6) if place != missed]
        assert not are_leading(matrix, values[others], vectors[:, others])


def test_what_is_no_eigenvector_is_noticed():
    matrix, vectors = _of_spectrum(_falling())
    turned = vectors[:, :6].clone()
    turned[:, 5] += 1e-9 * vectors[:, 6]
    assert not are_leading(matrix, _falling()[:6], turned)


def test_for_float32_fewer_products_do_and_the_proof_stays():
    matrix, true = _of_spectrum(_falling())
    unit = 2.0**-32
    found = few_eigenvectors(matrix, 6, unit)
    assert found is not None
    torch.testing.assert_close(found[0], _falling()[:6], rtol=1e-12, atol=0)
    alike = found[1] * (found[1] * true[:, :6]).sum(0).sign()
    torch.testing.assert_close(alike, true[:, :6], rtol=0, atol=2.0**-26)
    assert not are_leading(matrix, _falling()[[0, 1, 2, 3, 5]], true[:, [0, 1, 2, 3, 5]], unit)
    for angle, enough in ((1e-9, True), (1e-6, False)):
        turned = true[:, :6].clone()
        turned[:, 5] += angle * true[:, 6]
        assert are_leading(matrix, _falling()[:6], turned, unit) == enough


def test_directions_stay_apart_where_products_bring_little():
    """Else copies of what has been found are found again."""
    values = torch.where(torch.arange(S) < 3, 1.0, 1e-9 * _falling())
    basis = torch.linalg.qr(_of_spectrum(values)[1][:, :40]).Q.T
    block = torch.randn(8, S, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    block = torch.linalg.qr((block @ basis.T @ basis + 1e-9 * block).T).Q.T
    apart, _ = _apart_from(basis, block, torch.eye(8, dtype=torch.float64))
    assert float((apart @ basis.T).abs().max()) < 1e-14


@pytest.mark.parametrize("copies", [2, 11, 40])
def test_no_copy_of_an_equal_value_is_lost(copies):
    """Products of a thin block see no more copies of a value than the block has directions."""
    values = torch.where(torch.arange(S) < copies, 2.0, _falling())
    matrix, _ = _of_spectrum(values)
    found = few_eigenvectors(matrix, 15)
    if found is not None:
        torch.testing.assert_close(found[0], values[:15], rtol=1e-12, atol=0)


def test_of_noise_and_of_steep_spectra_all_are_left_to_be_found():
    noise = torch.randn(4 * S, S, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert few_eigenvectors(noise.T @ noise, 15) is None
    steep = 10.0 ** -torch.arange(S, dtype=torch.float64).clamp(max=30.0)
    assert few_eigenvectors(_of_spectrum(steep)[0], 10) is None
    assert few_eigenvectors(torch.full((S, S), torch.nan, dtype=torch.float64), 3) is None


def test_more_columns_take_the_few_and_fewer_all(monkeypatch):
    taken = []
    monkeypatch.setattr(solve, "few_eigenvectors", lambda *given: taken.append(len(given[0])))
    for columns in (512, 520):
        solve.leading_eigenvectors(torch.eye(columns, dtype=torch.float64), 2)
    assert taken == [520]


def test_the_same_bits_twice():
    matrix, _ = _of_spectrum(_falling())
    first, second = (few_eigenvectors(matrix, 5) for _ in range(2))
    assert first is not None
    assert second is not None
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_a_mean_near_zero_is_taken_out_of_sums_within_the_certificate():
    """What the mean cancels is rounding too: small singular values get their second trip."""
    generator = torch.Generator().manual_seed(0)
    spread = 10.0 ** -torch.linspace(0, 5.0, 12, dtype=torch.float64)
    x = torch.randn(4000, 12, generator=generator, dtype=torch.float64) * spread
    x[:, 0] += 8.0
    moments = torch_impl.gram_moments(x, True, {"tile_elements": 1 << 14})
    assert moments.cancelled is not None
    assert float(moments.cancelled) > 50.0 * float(moments.total)
    smallest = moments.total.sqrt() * 10.0**-4.2
    values = torch.stack([moments.total.sqrt(), smallest])
    assert solve._is_uncertain(values, moments, "float32")
    spared = torch_impl.Moments(moments.gram, moments.mean, moments.total)
    assert not solve._is_uncertain(values, spared, "float32")
    found, _, _ = solve.decompose(x, moments, 12, True, "float32", {"tile_elements": 1 << 14})
    truth = torch.linalg.svdvals(x - x.mean(0))
    torch.testing.assert_close(found, truth, rtol=2.0**-22, atol=0)
