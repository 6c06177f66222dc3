"""k-means++ on a device: the rows that the CPU chooses, and the same ones again."""

import pytest
import torch

from onetrip.cluster import KMeans
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.seeding import kmeans_plus_plus

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]


def chosen(x, weight, clusters, device):
    generator = torch.Generator().manual_seed(0)
    points = prepare(x.to(device), None if weight is None else weight.to(device), "euclidean")
    return kmeans_plus_plus(
        points, clusters, 3, lambda count: torch.rand(count, generator=generator).double()
    ).cpu()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("N", "D", "K"), [(20_011, 9, 50), (30_000, 128, 100), (5_000, 300, 9)])
def test_the_device_chooses_the_rows_of_the_cpu(weighted, N, D, K):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=generator)
    weight = torch.rand(N, generator=generator) if weighted else None
    assert torch.equal(chosen(x, weight, K, "cuda"), chosen(x, weight, K, "cpu"))


def test_the_last_rows_of_many_can_be_chosen():
    """Distances of all candidates take more places than 32 bits number."""
    x = torch.zeros(2**28, 1, device="cuda")
    x[-7:, 0] = torch.arange(1.0, 8.0, device="cuda")
    points = prepare(x, None, "euclidean")
    rows = kmeans_plus_plus(points, 8, 0, lambda count: torch.rand(count).double())
    assert sorted(x[rows, 0].tolist()) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def test_a_fit_draws_the_same_start_again():
    x = torch.randn(50_000, 32, device="cuda")
    first, again = (KMeans(100, random_state=0, max_iter=2).fit(x) for _ in range(2))
    assert torch.equal(first.cluster_centers_, again.cluster_centers_)
