"""What k-means++ draws by: squared distances without the noise of rounding, and their sums."""

import pytest
import torch

from onetrip.ops.kmeans import seeding
from onetrip.ops.kmeans.points import Points
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.workers import ALONE, rows_workers


def truth(points: Points, rows: torch.Tensor) -> torch.Tensor:
    wide = points.centred.double()
    return (wide.index_select(0, rows)[:, None] - wide).square().sum(2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_rows_are_at_zero_and_others_where_float64_says(dtype, weighted):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1500, 9, generator=generator).to(dtype).repeat(2, 1)
    weight = torch.rand(3000, generator=generator) if weighted else None
    points, rows = prepare(x, weight, "euclidean"), torch.tensor([3, 1499, 1503])
    found, sums = seeding._Distances(points, ALONE)(rows, None)
    expected = truth(points, rows)
    assert torch.equal(found == 0.0, expected == 0.0)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    chances = torch.ones(3000).double() if weight is None else points.weight
    torch.testing.assert_close(sums, expected @ chances, rtol=1e-5, atol=0.0)


def test_a_far_candidate_takes_no_distance_of_the_others():
    """The noise of its distances is larger than what lies between two near rows."""
    x = torch.randn(2000, 4, generator=torch.Generator().manual_seed(1))
    x[1] = x[0] + 0.01
    x[2:4] = torch.tensor([[3e5], [-3e5]])
    points = prepare(x, None, "euclidean")
    found, _ = seeding._Distances(points, ALONE)(torch.tensor([0, 2]), None)
    assert found[0, 1].item() == pytest.approx(4e-4, rel=0.05)
    assert found[1, 2].item() == 0.0


def test_threads_leave_no_trace(monkeypatch):
    monkeypatch.setattr("onetrip.ops.kmeans.workers.WORTH_THREADS", 0)
    points = prepare(torch.randn(9000, 5), None, "euclidean")
    rows, closest = torch.arange(4), torch.rand(9000) * 5.0
    monkeypatch.setattr(seeding, "_CPU_DISTANCES", 0)
    alone = seeding._Distances(points, ALONE)(rows, closest)
    with rows_workers(points.x) as workers:
        shared = seeding._Distances(points, workers)(rows, closest)
    assert torch.equal(alone[0], shared[0])
    assert torch.equal(alone[1], shared[1])
    assert bool((alone[0] <= closest).all())
