"""A batch that is one tile: labels of exact arithmetic, and centres that got nothing stay."""

import pytest
import torch

from onetrip.ops.kmeans import mini_batch
from onetrip.ops.kmeans.mini_batch import mini_batch_step
from onetrip.ops.kmeans.points import place


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
    found = mini_batch._labels_at_once(place(x, None, torch.zeros(8)), centers, "certified")
    wide = (x.double()[:, None] - centers.double()).square().sum(2)
    assert torch.equal(found.long(), wide.argmin(1))
    assert found[0] == 1


def test_one_tile_and_several_give_the_same_step(monkeypatch):
    torch.manual_seed(0)
    batch = place(torch.randn(300, 12) + 4.0, torch.rand(300), torch.full((12,), 4.0))
    centers, counts = torch.randn(20, 12) + 4.0, torch.rand(20).double()
    at_once = mini_batch_step(batch, centers, counts, "certified")
    monkeypatch.setattr(mini_batch, "_ONE_TILE", 0)
    in_tiles = mini_batch_step(batch, centers, counts, "certified")
    assert torch.equal(at_once.centers, in_tiles.centers)
    assert torch.equal(at_once.counts, in_tiles.counts)
    assert at_once.inertia == in_tiles.inertia


def test_a_centre_moves_to_the_mean_of_all_it_was_given_and_others_stay():
    centers = torch.tensor([[0.0], [10.0], [50.0]])
    counts = torch.tensor([3.0, 0.0, 0.0], dtype=torch.float64)
    batch = place(torch.tensor([[4.0], [9.0], [13.0]]), None, torch.zeros(1))
    found = mini_batch_step(batch, centers, counts, "certified")
    assert found.centers.flatten().tolist() == [1.0, 11.0, 50.0]
    assert found.counts.tolist() == [4.0, 2.0, 0.0]
