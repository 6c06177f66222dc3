"""Distances by the kernel of a device, in the interpreter: digits near and far, ragged tiles."""

import pytest
import torch

from onetrip.ops.kmeans.device_distances import distances_on_device

_TINY = 2.0**-20


def by_differences(x, centers):
    return (x.double()[:, None] - centers.double()).square().sum(2).sqrt()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("offset", "scale"), [(0.0, 1.0), (1000.0, 1.0), (0.0, 1e-18), (0.0, 1e30)]
)
def test_distances_have_the_digits_of_their_dtype(dtype, offset, scale):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(70, 19, generator=generator, dtype=dtype) + offset) * scale
    centers = torch.cat((x[:40], x[40:41] * (1.0 + 2.0**-22)))
    found = distances_on_device(x, centers, _TINY)
    assert found.dtype == dtype
    assert (found[:40].diagonal() == 0.0).all()
    rtol = 2.0**-23 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(found.double(), by_differences(x, centers), rtol=rtol, atol=0.0)


def test_samples_that_are_all_one():
    x = torch.full((5, 3), 7.0)
    assert not distances_on_device(x, x[:2].clone(), _TINY).any()


def test_what_is_infinite_stays_so():
    x = torch.tensor([[0.0, 1.0], [float("inf"), 0.0]])
    found = distances_on_device(x, x[:1].clone(), _TINY)
    assert found.flatten().tolist() == [0.0, float("inf")]
