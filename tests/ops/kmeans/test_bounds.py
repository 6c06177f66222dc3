"""The bounds by which rows are left out hold against distances in float64."""

import pytest
import torch

from onetrip.ops.kmeans.movement import Movement
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.select import default_config
from onetrip.ops.kmeans.solve import problem_of
from onetrip.ops.kmeans.torch_impl import TorchAssigner
from onetrip.ops.kmeans.workers import ALONE


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clusters", [32, 140])
def test_bounds_hold_while_centres_wander(monkeypatch, dtype, clusters):
    monkeypatch.setattr("onetrip.ops.kmeans.movement._BOUND_FROM_ALL", 0)
    monkeypatch.setattr("onetrip.ops.kmeans.torch_impl._MANY", 1.0)
    monkeypatch.setattr("onetrip.ops.kmeans.torch_impl._TOO_MANY", 1.0)
    generator = torch.Generator().manual_seed(clusters)
    x = torch.randn(1500, 16, generator=generator).to(dtype)
    centers = x[:clusters] * 3.0
    points = prepare(x, None, "euclidean")
    config = default_config("torch", problem_of(x, clusters, {}))
    assigner = TorchAssigner(points, clusters, config, True)
    movement = Movement(clusters, x.device)
    for _ in range(12):
        assigner.assign(centers, movement, ALONE)
        distances = torch.cdist(
            x.double(), centers.double(), compute_mode="donot_use_mm_for_euclid_dist"
        )
        label = assigner.labels.long()
        own = distances.gather(1, label[:, None]).squeeze(1)
        others = distances.scatter(1, label[:, None], torch.inf).amin(1)
        assert torch.equal(label, distances.argmin(1))
        if assigner._bounds is not None:
            assert bool((assigner._bounds.upper + movement.path[label] >= own).all())
            assert bool((assigner._bounds.lower - movement.longest <= others).all())
        # Some centres run, most creep, and each its own way.
        step = torch.randn(clusters, 16, generator=generator).to(dtype)
        step *= 0.003 * torch.arange(1, clusters + 1)[:, None] / clusters
        moved = centers + step
        movement.step(centers, moved)
        centers = moved
    assert assigner.looks < 0.9 * 12 * 1500


def wandering(monkeypatch, clusters: int, length: float):
    """An assigner of 1,500 rows, its movement, and centres that go steps of the same length."""
    monkeypatch.setattr("onetrip.ops.kmeans.movement._BOUND_FROM_ALL", 0)
    generator = torch.Generator().manual_seed(clusters)
    x = torch.randn(1500, 16, generator=generator)
    config = default_config("torch", problem_of(x, clusters, {}))
    assigner = TorchAssigner(prepare(x, None, "euclidean"), clusters, config, True)
    movement = Movement(clusters, x.device)

    def walk():
        centers = x[:clusters] * 3.0
        while True:
            yield centers
            step = torch.randn(clusters, 16, generator=generator)
            moved = centers + length * step / step.norm(dim=1, keepdim=True)
            movement.step(centers, moved)
            centers = moved

    return assigner, movement, walk()


@pytest.mark.parametrize("length", [0.01, 0.1, 0.3])
def test_a_sample_tells_how_many_rows_bounds_would_spare(monkeypatch, length):
    monkeypatch.setattr("onetrip.ops.kmeans.torch_impl._MANY", 1.0)
    monkeypatch.setattr("onetrip.ops.kmeans.torch_impl._TOO_MANY", 1.0)
    assigner, movement, walk = wandering(monkeypatch, 40, length)
    shares = []
    told = TorchAssigner._share_to_look_at
    monkeypatch.setattr(
        TorchAssigner,
        "_share_to_look_at",
        lambda *given: (shares.append(told(*given)), shares[0])[1],
    )
    looks = []
    for _, centers in zip(range(3), walk, strict=False):
        assigner.assign(centers, movement, ALONE)
        looks.append(assigner.looks)
    assert looks[:2] == [1500, 3000]
    assert (looks[2] - looks[1]) / 1500 == pytest.approx(shares[0], abs=0.1)


def test_bounds_that_would_spare_nothing_are_asked_about_ever_more_rarely(monkeypatch):
    assigner, movement, walk = wandering(monkeypatch, 40, 0.1)
    turns, asked = [], []

    def everything(*_):
        asked.append(turns[-1])
        return 1.0

    monkeypatch.setattr(TorchAssigner, "_share_to_look_at", everything)
    for turn, centers in zip(range(1, 20), walk, strict=False):
        turns.append(turn)
        assigner.assign(centers, movement, ALONE)
    assert asked == [2, 3, 4, 6, 9, 13, 18]
    assert assigner.looks == 19 * 1500
