"""A batch that is one tile: labels of exact arithmetic, and centres that got nothing stay."""

import numpy as np
import pytest
import torch

from onetrip.ops.kmeans import mini_batch
from onetrip.ops.kmeans.batches import Batch
from onetrip.ops.kmeans.labels import labels_of
from onetrip.ops.kmeans.mini_batch import mini_batch_step
from onetrip.ops.kmeans.points import place, rows_of
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.tile_search import TileSearch
from onetrip.ops.kmeans.workers import block_workers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_between_two_centres_go_to_the_nearer_one(dtype):
    """Float32 scores cannot tell these centres apart; the rows are nearer to the second."""
    torch.manual_seed(0)
    x = torch.randn(200, 8, dtype=dtype)
    step = 3 * torch.finfo(dtype).eps
    direction = torch.zeros(8, dtype=dtype)
    direction[0] = 1.0
    near = x[:1]
    centers = torch.cat((near - 2 * step * direction, near + step * direction, near + 5.0))
    found = labels_of(place(x, None, torch.zeros(8)), centers, "certified")
    wide = (x.double()[:, None] - centers.double()).square().sum(2)
    assert found.tolist() == wide.argmin(1).tolist()
    assert found[0] == 1


@pytest.mark.parametrize("clusters", [3, 20, 300])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_that_of_exact_sums(clusters, weighted):
    """Few clusters, more, and so many that torch labels; beside the step that a device takes."""
    generator = torch.Generator().manual_seed(clusters)
    x = torch.randn(900, 12, generator=generator) + 4.0
    weight = torch.rand(900, generator=generator) if weighted else None
    centers = torch.randn(clusters, 12, generator=generator) + 4.0
    counts = torch.rand(clusters, generator=generator).double()
    placed, points = place(x, weight, torch.full((12,), 4.0)), prepare(x, weight, "euclidean")
    small = mini_batch_step(placed, centers, counts, "certified")
    exact = mini_batch_step(points, centers, counts, "certified")
    torch.testing.assert_close(small.centers, exact.centers, rtol=2e-7, atol=1e-7)
    torch.testing.assert_close(small.counts, exact.counts, rtol=1e-12, atol=0.0)
    assert small.inertia == pytest.approx(exact.inertia, rel=1e-6)


def test_rows_of_placed_samples_are_as_if_placed_alone():
    x, offset = torch.randn(50, 3) + 9.0, torch.full((3,), 9.0)
    rows = torch.tensor([4, 4, 31])
    for about in (offset, torch.zeros(3)):
        part, alone = place(x, None, about).rows(rows), place(x[rows], None, about)
        assert torch.equal(part.x, alone.x)
        assert torch.equal(part.centred, alone.centred)
        assert torch.equal(part.norm, alone.norm)
        assert (part.centred is part.x) == (alone.centred is alone.x)


def test_a_centre_moves_to_the_mean_of_all_it_was_given_and_others_stay():
    centers = torch.tensor([[0.0], [10.0], [50.0]])
    counts = torch.tensor([3.0, 0.0, 0.0], dtype=torch.float64)
    batch = place(torch.tensor([[4.0], [9.0], [13.0]]), None, torch.zeros(1))
    found = mini_batch_step(batch, centers, counts, "certified")
    assert found.centers.flatten().tolist() == [1.0, 11.0, 50.0]
    assert found.counts.tolist() == [4.0, 2.0, 0.0]


@pytest.mark.parametrize("clusters", [3, 20, 300])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_large_batch_is_read_in_pieces_by_threads(monkeypatch, clusters, weighted):
    """Pieces add up to the batch; who works on them leaves no trace."""
    monkeypatch.setattr(mini_batch, "_ROWS_PER_CLUSTER", 1)
    generator = torch.Generator().manual_seed(clusters)
    x = torch.randn(2000, 12, generator=generator) + 4.0
    weight = torch.rand(2000, generator=generator).double() if weighted else None
    centers = torch.randn(clusters, 12, generator=generator) + 4.0
    counts = torch.rand(clusters, generator=generator).double()
    offset = torch.full((12,), 4.0)
    whole = mini_batch_step(place(x, weight, offset), centers, counts, "certified")
    monkeypatch.setattr(mini_batch, "_PIECE", 400 * 12)
    read = []

    def rows(part):
        read.append(part)
        return place(rows_of(x, part), None if weight is None else rows_of(weight, part), offset)

    found = []
    for batch in (place(x, weight, offset), Batch(2000, rows)):
        found.append(mini_batch_step(batch, centers, counts, "certified"))
        with block_workers(x.device, worth=True) as workers:
            found.append(mini_batch_step(batch, centers, counts, "certified", workers))
    assert sorted(part.start for part in read) == sorted(2 * [0, 400, 800, 1200, 1600])
    for step in found:
        assert torch.equal(step.centers, found[0].centers)
        assert torch.equal(step.counts, found[0].counts)
        assert step.inertia == found[0].inertia
    torch.testing.assert_close(whole.centers, found[0].centers, rtol=2e-7, atol=1e-7)
    torch.testing.assert_close(whole.counts, found[0].counts, rtol=1e-12, atol=0.0)
    assert whole.inertia == pytest.approx(found[0].inertia, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clusters", [1, 7, 40])
def test_a_few_rows_are_labelled_as_in_the_order_of_columns(dtype, clusters):
    """One search after the other in the same memory; more rows than calls count for too."""
    generator = torch.Generator().manual_seed(clusters)
    search = TileSearch(clusters, 12, dtype)
    for rows in (300, 4000, 20):
        x = torch.randn(rows, 12, generator=generator).to(dtype)
        centers = torch.randn(clusters, 12, generator=generator).to(dtype).numpy()
        norm = x.norm(dim=1).numpy()
        found = search.nearest_of_few(x.numpy(), norm, centers)
        aim = search.aim().at(centers)
        columns = x.T.contiguous().numpy()
        other = search.nearest(columns, search.reach(norm, aim), aim)
        certain = np.setdiff1d(np.arange(rows), np.union1d(found.doubtful, other.doubtful))
        assert certain.size > 0.99 * rows
        assert np.array_equal(found.label[certain], other.label[certain])
        assert np.abs(found.best - other.best).max() <= search.reach(norm, aim).max()


@pytest.mark.parametrize("products", [0, 1 << 18])
def test_a_step_tells_its_least_and_largest_weight(monkeypatch, products):
    monkeypatch.setattr(mini_batch, "_FEW_PRODUCTS", products)
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(8))
    counts = torch.tensor([5.0, 0.5, 7.0], dtype=torch.float64)
    found = mini_batch_step(place(x, None, torch.zeros(3)), x[:3], counts, "certified")
    assert (found.least, found.largest) == (float(found.counts.min()), float(found.counts.max()))
    exact = mini_batch_step(prepare(x, None, "euclidean"), x[:3], counts, "certified")
    torch.testing.assert_close(found.centers, exact.centers, rtol=2e-7, atol=1e-7)
