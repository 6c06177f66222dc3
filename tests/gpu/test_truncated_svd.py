"""Truncated SVD on a device: both implementations, large sizes, steep spectra."""

import pytest
import torch

import onetrip
from onetrip.core.errors import UnsupportedError
from onetrip.decomposition import PCA, TruncatedSVD
from onetrip.ops.truncated_svd.project import project
from onetrip.testing.memory import peak_memory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]


def decompose(x, impl, **options):
    """The answer, or a skip with the reason where `impl` has no kernel for this device."""
    try:
        return onetrip.truncated_svd(x, impl=impl, **options)
    except UnsupportedError as error:
        pytest.skip(str(error))


def falling(N, D):
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(N, D, generator=generator, device="cuda")
    return x / (1 + torch.arange(D, device="cuda") / 8)


@pytest.mark.parametrize("impl", ["torch", "triton"])
@pytest.mark.parametrize("shape", [(50_001, 130), (130, 50_001), (4099, 257)])
@pytest.mark.parametrize("center", [False, True])
def test_values_and_vectors_are_right(impl, shape, center):
    x = falling(*shape) + 50.0 * center
    values, extra = decompose(x, impl, n_components=12, center=center)
    wide = x.double() - (x.double().mean(0) if center else 0.0)
    _, truth, vectors = torch.linalg.svd(wide, full_matrices=False)
    torch.testing.assert_close(values.double(), truth[:12], rtol=3e-7, atol=0)
    alike = (extra["components"].double() * vectors[:12]).sum(1).abs()
    torch.testing.assert_close(alike, torch.ones_like(alike), rtol=1e-4, atol=0)


@pytest.mark.parametrize("impl", ["torch", "triton"])
def test_six_decades(impl):
    generator = torch.Generator("cuda").manual_seed(0)
    left = torch.randn(20_000, 64, generator=generator, device="cuda", dtype=torch.float64)
    right = torch.randn(64, 64, generator=generator, device="cuda", dtype=torch.float64)
    spectrum = torch.logspace(0, -6, 64, device="cuda", dtype=torch.float64)
    x = ((torch.linalg.qr(left)[0] * spectrum) @ torch.linalg.qr(right)[0]).float()
    values, _ = decompose(x, impl)
    truth = torch.linalg.svdvals(x.double())
    torch.testing.assert_close(values.double(), truth, rtol=1e-6, atol=0)


def test_two_runs_are_bit_equal():
    x = falling(100_000, 96)
    first, second = (decompose(x, "triton", n_components=8) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1]["components"], second[1]["components"])


def test_more_than_two_to_the_31_elements():
    N, D = 2**25 + 3, 65
    if torch.cuda.get_device_properties(0).total_memory < 24 << 30:
        pytest.skip("the samples take 9 GB")
    x = torch.zeros(N, D, device="cuda")
    x[-1, -1], x[0, 0] = 3.0, 2.0
    with peak_memory("cuda") as memory:
        values, extra = decompose(x, "triton", n_components=2)
    assert values.tolist() == [3.0, 2.0]
    assert extra["components"][0, -1] == 1.0
    assert memory.peak_bytes < 256 << 20


@pytest.mark.parametrize("decades", [0.2, 2.0])
def test_rotated_spectra(decades):
    """Where halves are exact enough, and where the trip is taken again in float64."""
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(50_000, 200, generator=generator, device="cuda", dtype=torch.float64)
    turn = torch.randn(200, 200, generator=generator, device="cuda", dtype=torch.float64)
    spectrum = torch.logspace(0, -decades, 200, device="cuda", dtype=torch.float64)
    x = (x * spectrum @ torch.linalg.qr(turn)[0]).float()
    values, _ = decompose(x, "triton", n_components=150)
    truth = torch.linalg.svdvals(x.double())[:150]
    torch.testing.assert_close(values.double(), truth, rtol=5e-7, atol=0)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("shape", [(100_003, 130, 32), (4099, 257, 100), (70_000, 1024, 64)])
def test_coordinates_are_as_right_as_plain_torch(shape, offset):
    N, D, K = shape
    x = falling(N, D) + offset
    mean = x.double().mean(0).float()
    components = torch.linalg.qr(torch.randn(D, K, device="cuda"))[0].T.contiguous()
    gold = (x.double() - mean.double()) @ components.double().T
    eager = (x - mean) @ components.T
    error = (project(x, mean, components) - gold).abs().max()
    assert error <= 4 * (eager - gold).abs().max() + 1e-6 * gold.abs().max()


@pytest.mark.parametrize("whiten", [False, True])
def test_transforms_are_those_of_the_host(whiten):
    x = falling(20_000, 60) + 1000.0
    model = PCA(n_components=5, whiten=whiten).fit(x)
    coordinates = model.transform(x)
    components, mean = model.components_.double(), model.mean_.double()
    truth = (x.double() - mean) @ components.T
    if whiten:
        truth /= model.explained_variance_.double().sqrt()
    torch.testing.assert_close(coordinates.double(), truth, rtol=0, atol=1e-5)
    back = model.inverse_transform(coordinates)
    kept = (x.double() - mean) @ components.T @ components + mean
    torch.testing.assert_close(back.double(), kept, rtol=2e-7, atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), 2.0**60])
def test_samples_that_do_not_fit_are_refused(bad):
    x = falling(5000, 40)
    model = TruncatedSVD(n_components=3).fit(x)
    x[4999, 39] = bad
    with pytest.raises(ValueError, match="X"):
        model.transform(x)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("shape", [(60_000, 300), (300, 60_000), (5000, 40)])
def test_random_directions_find_falling_spectra(shape, center):
    x = falling(*shape) + 50.0 * center
    options = {"n_components": 6, "center": center}
    values, extra = onetrip.truncated_svd(x, solver="randomized", n_iter=12, **options)
    truth, exact = onetrip.truncated_svd(x, solver="full", **options)
    torch.testing.assert_close(values, truth, rtol=1e-5, atol=0)
    identity = torch.eye(6, device="cuda")
    torch.testing.assert_close(extra["components"] @ extra["components"].T, identity)
    torch.testing.assert_close(extra["residual"], exact["residual"], rtol=1e-4, atol=0)


def test_random_directions_of_few_ranks():
    x = falling(4000, 3) @ torch.randn(3, 200, device="cuda")
    values, extra = onetrip.truncated_svd(x, n_components=5, solver="randomized")
    truth = torch.linalg.svdvals(x.double())[:3]
    torch.testing.assert_close(values[:3].double(), truth, rtol=1e-5, atol=0)
    assert (values[3:] < 1e-5 * values[0]).all()
    identity = torch.eye(5, device="cuda")
    torch.testing.assert_close(extra["components"] @ extra["components"].T, identity)


@pytest.mark.parametrize("algorithm", ["randomized", "arpack"])
def test_variances_are_those_of_coordinates(algorithm):
    x = falling(200_000, 50) + 100.0
    model = TruncatedSVD(n_components=4, algorithm=algorithm).fit(x)
    truth = (x.double() @ model.components_.double().T).var(0, correction=0)
    torch.testing.assert_close(model.explained_variance_.double(), truth, rtol=1e-4, atol=0)


def test_random_directions_of_few_features_are_the_gram_matrix():
    x = falling(30_000, 90)
    values = TruncatedSVD(n_components=4, n_iter=0, random_state=0).fit(x).singular_values_
    truth = torch.linalg.svdvals(x.double())[:4]
    torch.testing.assert_close(values.double(), truth, rtol=3e-7, atol=0)
