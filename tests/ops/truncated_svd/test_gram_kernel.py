"""The Gram matrix from products of halves, and when it is not exact enough."""

import pytest
import torch

import onetrip
from onetrip.core.tuning import override
from onetrip.ops.truncated_svd import kernel_triton, torch_impl
from onetrip.ops.truncated_svd.moments import SPLIT_UNIT
from onetrip.tile.problem import is_interpreting

pytestmark = pytest.mark.skipif(not is_interpreting(), reason="Triton is not interpreted")

# Two tiles, a ragged one among them, several parts, and several sums in float32 a part.
CONFIG = {"tile_elements": 1 << 18, "programs": 6, "FLUSH": 2, "BLOCK_N": 16, "BLOCK_S": 16} | {
    "num_warps": 4,
    "num_stages": 2,
}


def falling(N, D, offset=0.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(N, D, generator=generator) / (1 + torch.arange(D) / 8) + offset).to(dtype)


@pytest.mark.parametrize("shape", [(250, 21), (21, 250), (16, 16)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("center", [False, True])
def test_entries_are_right_to_their_unit(shape, offset, center):
    x = falling(*shape, offset)
    moments = kernel_triton.gram_moments(x, center, CONFIG)
    truth = torch_impl.gram_moments(x, center, {"tile_elements": 1 << 18})
    assert moments.errors is not None
    unit = moments.errors.sqrt()  # of an entry: unit_i unit_j
    assert ((moments.gram - truth.gram) / unit / unit[:, None]).abs().max() < 4.5
    torch.testing.assert_close(moments.mean, truth.mean, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(moments.total, truth.total, rtol=3e-7, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_taken_as_they_are(dtype):
    x = falling(130, 9, dtype=dtype)
    moments = kernel_triton.gram_moments(x, False, CONFIG)
    torch.testing.assert_close(moments.gram, x.double().T @ x.double(), rtol=1e-6, atol=1e-5)


def test_any_strides_and_scales():
    x = falling(90, 12) * 10.0 ** (3 * torch.arange(12) - 16)
    spread = torch.empty(12, 180).T[::2]
    spread.copy_(x)
    gram = kernel_triton.gram_moments(spread, False, CONFIG).gram
    assert torch.equal(gram, kernel_triton.gram_moments(x, False, CONFIG).gram)
    lengths = gram.diagonal().sqrt()
    error = (gram - x.double().T @ x.double()) / lengths / lengths[:, None]
    assert error.abs().max() < 4 * SPLIT_UNIT


@pytest.mark.parametrize(
    ("decades", "center", "again"), [(0.2, False, 0), (3.0, False, 1), (6.0, True, 1)]
)
def test_small_values_ask_for_float64(monkeypatch, decades, center, again):
    trips = []
    in_float64 = torch_impl.gram_moments

    def counted(*arguments):
        trips.append(1)
        return in_float64(*arguments)

    monkeypatch.setattr(torch_impl, "gram_moments", counted)
    generator = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(120, 9, generator=generator).double())[0]
    right = torch.linalg.qr(torch.randn(9, 9, generator=generator).double())[0]
    x = (left * torch.logspace(0, -decades, 9).double() @ right).float()
    with override("truncated_svd", "triton", CONFIG):
        found, _ = onetrip.truncated_svd(x, center=center, impl="triton")
        onetrip.truncated_svd(x, center=center, impl="triton", precision="fast")
    wide = x.double() - (x.double().mean(0) if center else 0.0)
    torch.testing.assert_close(found.double(), torch.linalg.svdvals(wide), rtol=5e-7, atol=0)
    assert len(trips) == again


@pytest.mark.parametrize("precision", ["certified", "fast"])
def test_an_outlier_that_float16_does_not_hold(precision):
    """One number a million times the spread of the sample: its halves overflow."""
    x = falling(2000, 6)
    x[777, 3] = 1e6
    with override("truncated_svd", "triton", CONFIG):
        found, _ = onetrip.truncated_svd(x, impl="triton", precision=precision)
    torch.testing.assert_close(found.double(), torch.linalg.svdvals(x.double()), rtol=1e-6, atol=0)


def test_what_is_left_is_not_lost_in_a_difference():
    """Components that leave a millionth of the trace: the residual is right all the same."""
    x = falling(300, 8) * torch.tensor([1.0] * 3 + [1e-3] * 5)
    with override("truncated_svd", "triton", CONFIG):
        _, extra = onetrip.truncated_svd(x, n_components=3, impl="triton")
    left = torch.linalg.svdvals(x.double())[3:].square().sum() / 300
    torch.testing.assert_close(extra["residual"].double(), left, rtol=1e-5, atol=0)
