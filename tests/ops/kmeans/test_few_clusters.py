"""Few clusters on a CPU: the iterations in NumPy end where those in torch do, bit by bit."""

import numpy as np
import pytest
import torch

from onetrip.ops.kmeans import few_lloyd, few_nearest, few_points, resolve
from onetrip.ops.kmeans.few_lloyd import lloyd_of_few
from onetrip.ops.kmeans.few_nearest import FewNearest
from onetrip.ops.kmeans.lloyd import Solution, lloyd
from onetrip.ops.kmeans.points import Points, place
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.select import default_config
from onetrip.ops.kmeans.solve import is_of_few, problem_of
from onetrip.ops.kmeans.tile_search import MOST_CENTERS
from onetrip.ops.kmeans.torch_impl import TorchAssigner
from onetrip.ops.kmeans.workers import ALONE, Workers, rows_workers


def by_torch(points: Points, start: torch.Tensor, **stop) -> Solution:
    config = default_config("torch", problem_of(points.x, len(start), {}))
    assigner = TorchAssigner(points, len(start), config, True)
    return lloyd(points, start, assigner, ALONE, spherical=False, **stop)


def assert_same(one: Solution, other: Solution) -> None:
    assert torch.equal(one.centers, other.centers)
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.inertia, other.inertia)
    assert one.n_iter == other.n_iter


def in_small_tiles(monkeypatch) -> None:
    monkeypatch.setattr(few_nearest, "ONE_TILE_SCORES", 0)
    monkeypatch.setattr(few_nearest, "_TILE_SCORES", 0)


def nearest(x: torch.Tensor, centers: torch.Tensor) -> np.ndarray:
    """By differences in float64, ties to the first."""
    difference = x.double()[:, None] - centers.double()
    return difference.square().sum(2).numpy().argmin(1)


@pytest.mark.parametrize("max_iter", [0, 1, 4, 100])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("products", [0, 1 << 18])
def test_iterations_are_those_of_torch(monkeypatch, products, dtype, weighted, max_iter):
    monkeypatch.setattr(few_lloyd, "_PRODUCTS", products)
    generator = torch.Generator().manual_seed(max_iter)
    x = (torch.randn(700, 5, generator=generator) + 3.0).to(dtype)
    weight = torch.rand(700, generator=generator) if weighted else None
    points = prepare(x, weight, "euclidean")
    stop = {"max_iter": max_iter, "tol": 1e-3}
    found = lloyd_of_few(points, x[:6].clone(), ALONE, **stop)
    assert_same(found, by_torch(points, x[:6].clone(), **stop))
    assert np.array_equal(found.labels.numpy(), nearest(x, found.centers))


def test_tiles_and_threads_leave_no_trace(monkeypatch):
    x = torch.randn(3000, 16, generator=torch.Generator().manual_seed(0))
    points = prepare(x, None, "euclidean")
    stop = {"max_iter": 30, "tol": 0.0}
    whole = lloyd_of_few(points, x[:8].clone(), ALONE, **stop)
    in_small_tiles(monkeypatch)
    monkeypatch.setattr(few_lloyd, "_MOST_COPIED", 0)
    monkeypatch.setattr("onetrip.ops.kmeans.workers.WORTH_THREADS", 0)
    with rows_workers(x) as workers:
        assert_same(lloyd_of_few(points, x[:8].clone(), workers, **stop), whole)


@pytest.mark.parametrize("weighted", [False, True])
def test_empty_clusters_take_the_farthest_rows(weighted):
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    weight = torch.rand(400, generator=torch.Generator().manual_seed(2)) if weighted else None
    start = torch.cat((x[:3], x[:3] + 1000.0))
    points = prepare(x, weight, "euclidean")
    stop = {"max_iter": 50, "tol": 0.0}
    found = lloyd_of_few(points, start, ALONE, **stop)
    assert_same(found, by_torch(points, start, **stop))
    assert found.labels.unique().numel() == 6


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_between_centres_go_where_float64_says(monkeypatch, dtype, offset, tiled):
    """Rows on the middle of two centres, and a unit of rounding from it; in tiles, and in one."""
    if tiled:
        in_small_tiles(monkeypatch)
    generator = torch.Generator().manual_seed(3)
    centers = (torch.randn(40, 7, generator=generator) + offset).to(dtype)
    one, other = torch.randint(40, (2, 3000), generator=generator)
    x = 0.5 * (centers[one] + centers[other])
    x[::3] *= 1.0 + torch.finfo(dtype).eps
    search = FewNearest(place(x, None, torch.full((7,), offset)), 40)
    assert np.array_equal(search.label(centers.numpy(), ALONE), nearest(x, centers))
    assert 0 < search.anew <= search.looks == 3000


@pytest.mark.parametrize("held", [0, 1 << 20])
def test_equal_centres_give_the_first(monkeypatch, held):
    """By differences to candidates, or by products in float64 where those are many."""
    monkeypatch.setattr(resolve, "_SCORES", held)
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(4))
    centers = x[:2].repeat(MOST_CENTERS // 2 + 1, 1)[:MOST_CENTERS]
    search = FewNearest(place(x, None, torch.zeros(4)), MOST_CENTERS)
    assert np.array_equal(search.label(centers.numpy(), ALONE), nearest(x, centers[:2]))


@pytest.mark.parametrize("many", [0, 2, 1024])
def test_doubts_are_settled_by_tiles_or_together(monkeypatch, many):
    """Rows keep their places, and each doubt is counted once."""
    in_small_tiles(monkeypatch)
    monkeypatch.setattr(few_nearest, "_MANY_DOUBTS", many)
    generator = torch.Generator().manual_seed(5)
    centers = torch.randn(9, 6, generator=generator)
    x = centers[torch.randint(9, (5000,), generator=generator)] + 0.3
    x[::700] = 0.5 * (centers[3] + centers[4])
    search = FewNearest(place(x, None, torch.zeros(6)), 9)
    for workers in (ALONE, Workers(2)):
        before = search.anew
        assert np.array_equal(search.label(centers.numpy(), workers), nearest(x, centers))
        assert len(x[::700]) <= search.anew - before < 100


def test_the_reach_follows_the_centres():
    """It is kept for centres of nearly the same norm, and found anew for others."""
    generator = torch.Generator().manual_seed(6)
    near = torch.randn(5, 8, generator=generator)
    far = near + 300.0
    x = torch.cat((near[:2].mean(0, keepdim=True), far[:2].mean(0, keepdim=True)))
    x = torch.cat((x, torch.randn(300, 8, generator=generator)))
    points = place(x, None, torch.zeros(8))
    search, doubts = FewNearest(points, 5, few_points.by_columns(x.numpy())), []
    for centers in (near, far, far * (1.0 - 2.0**-10), near, near * 1.01):
        before = search.anew
        assert np.array_equal(search.label(centers.numpy(), ALONE), nearest(x, centers))
        doubts.append(search.anew - before)
    fresh = FewNearest(points, 5, few_points.by_columns(x.numpy()))
    assert np.array_equal(fresh.label(near.numpy(), ALONE), nearest(x, near))
    assert doubts[0] == doubts[3] == fresh.anew
    assert doubts[1] > 0


@pytest.mark.parametrize("held", [0, 1 << 20])
def test_doubts_are_settled_alike_by_all_centres_and_by_candidates(monkeypatch, held):
    generator = torch.Generator().manual_seed(7)
    centers = torch.randn(6, 5, generator=generator)
    x = 0.5 * (centers[:3] + centers[3:])
    among = np.zeros((6, 3), bool)
    among[[0, 1], [0, 1]] = among[[4, 3], [0, 1]] = True  # of the third none, which is all
    monkeypatch.setattr(resolve, "_FEW_DIFFERENCES", held)
    points = place(x, None, torch.zeros(5))
    found = resolve.labels_among(points, centers, np.arange(3), among.copy())
    wide = (x.double()[:, None] - centers.double()).square().sum(2).numpy()
    assert found.tolist() == [
        min((0, 4), key=wide[0].__getitem__),
        min((1, 3), key=wide[1].__getitem__),
        wide[2].argmin(),
    ]


def test_who_is_of_few():
    points = prepare(torch.randn(100, 4), None, "euclidean")
    assert is_of_few(points, torch.zeros(MOST_CENTERS, 4))
    assert not is_of_few(points, torch.zeros(MOST_CENTERS + 1, 4))
    many = prepare(torch.randn(9000, 32), None, "euclidean")
    assert is_of_few(many, torch.zeros(8, 32))
    assert not is_of_few(many, torch.zeros(32, 32))
