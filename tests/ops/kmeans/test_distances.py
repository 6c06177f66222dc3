"""Distances whose squares are tiny beside the norms: what a product loses, differences keep."""

import pytest
import torch

from onetrip.ops.kmeans import distances
from onetrip.ops.kmeans.distances import distances_to


def by_differences(x, centers):
    return (x.double()[:, None] - centers.double()).square().sum(2).sqrt()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_sample_that_is_a_centre_is_at_zero(dtype, offset):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 17, generator=generator, dtype=dtype) + offset
    found = distances_to(x, x[:40].clone())
    assert (found[:40].diagonal() == 0.0).all()
    torch.testing.assert_close(found.double(), by_differences(x, x[:40]), rtol=1e-6, atol=0.0)


def test_near_centres_of_later_blocks_keep_their_digits(monkeypatch):
    monkeypatch.setattr(distances, "_ROWS", 7)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(50, 9, generator=generator, dtype=torch.float64)
    centers = x[20:33] + 1e-9 * torch.randn(13, 9, generator=generator, dtype=torch.float64)
    found = distances_to(x, centers)
    torch.testing.assert_close(found, by_differences(x, centers), rtol=1e-9, atol=0.0)


def test_samples_that_are_all_zero():
    x = torch.zeros(5, 3)
    assert not distances_to(x, x[:2]).any()
