"""k-means++ by its kernels, in the interpreter: the rows that the calls of torch choose."""

import math

import pytest
import torch

from onetrip.ops.kmeans import device_seeding
from onetrip.ops.kmeans.device_seeding import chosen_on_device
from onetrip.ops.kmeans.prepare import prepare
from onetrip.ops.kmeans.seeding import kmeans_plus_plus


def numbers(clusters, seed=0):
    """What every turn draws its candidates by."""
    generator = torch.Generator().manual_seed(seed)
    trials = 2 + int(math.log(clusters))
    return torch.rand(clusters - 1, trials, generator=generator, dtype=torch.float64)


def by_torch(x, weight, first, drawn):
    turns = iter(drawn)
    points = prepare(x, weight, "euclidean")
    return kmeans_plus_plus(points, len(drawn) + 1, first, lambda _: next(turns))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("N", "D", "K", "parts"), [(700, 9, 8, 4), (129, 40, 3, 1024)])
def test_the_rows_are_those_of_torch(monkeypatch, weighted, N, D, K, parts):
    monkeypatch.setitem(device_seeding.DRAW, "BLOCK_P", parts)  # a program has several tiles
    monkeypatch.setitem(device_seeding.DRAW, "LOOK_P", min(parts, 512))
    monkeypatch.setitem(device_seeding.DRAW, "BLOCK_N", 64)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(N, D, generator=generator)
    weight = torch.rand(N, generator=generator).double() if weighted else None
    drawn = numbers(K)
    assert chosen_on_device(x, weight, 5, drawn).tolist() == by_torch(x, weight, 5, drawn).tolist()


def test_rows_that_are_centres_already_are_not_drawn():
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).repeat(40, 1) + 1e4
    chosen = chosen_on_device(x, None, 0, numbers(5))
    assert sorted(chosen.remainder(5).tolist()) == [0, 1, 2, 3, 4]


def test_rows_without_weight_are_not_drawn():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    weight = (torch.arange(200) % 10 == 0).double()
    assert not chosen_on_device(x, weight, 0, numbers(12)).remainder(10).any()


def test_more_centres_than_distinct_rows_still_are_rows():
    chosen = chosen_on_device(torch.zeros(70, 2), None, 3, numbers(4))
    assert bool(((chosen >= 0) & (chosen < 70)).all())


def test_one_centre_is_the_first():
    assert chosen_on_device(torch.randn(10, 2), None, 7, torch.empty(0, 2).double()).tolist() == [7]


def test_the_last_row_can_be_drawn():
    x = torch.zeros(100, 2)
    x[99] = 1.0
    drawn = torch.full((1, 2), 1.0 - 2.0**-53, dtype=torch.float64)
    assert chosen_on_device(x, None, 0, drawn).tolist() == [0, 99]
