"""Few samples made ready by NumPy are those that torch makes ready block by block."""

import pytest
import torch

from onetrip.ops.kmeans.prepare import prepare


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("offset", [0.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_few_points_are_as_many_are(monkeypatch, dtype, metric, offset, weighted):
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(300, 7, generator=generator) + offset).to(dtype)
    weight = 3.0 * torch.rand(300, generator=generator) if weighted else None
    few = prepare(x, weight, metric)
    monkeypatch.setattr("onetrip.ops.kmeans.prepare.WORTH_THREADS", 0)
    many = prepare(x, weight, metric)
    assert (few.centred is few.x) == (many.centred is many.x) == (offset == 0.0)
    for name in ("x", "centred", "offset", "norm"):
        one, other = getattr(few, name), getattr(many, name)
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-5)
    assert (few.weight is None) == (many.weight is None) == (not weighted)
    assert few.total_weight == many.total_weight
    assert few.magics == many.magics
    assert few.variance == pytest.approx(many.variance, rel=1e-6)
    assert few.group is many.group is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_columns_are_the_centred_samples_and_ones(dtype, offset):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1)).to(dtype) + offset
    plain, few = prepare(x, None, "euclidean"), prepare(x, None, "euclidean", with_columns=True)
    assert plain.columns is None
    assert few.columns is not None
    assert torch.equal(torch.from_numpy(few.columns[:3]), plain.centred.T)
    assert (few.columns[3] == 1.0).all()
    assert (few.centred is few.x) == (offset == 0.0)
    for name in ("x", "centred", "offset"):
        assert torch.equal(getattr(few, name), getattr(plain, name))
    torch.testing.assert_close(few.norm, plain.norm, rtol=1e-6, atol=0.0)
    assert few.variance == pytest.approx(plain.variance, rel=1e-6)
    assert few.magics == plain.magics


@pytest.mark.parametrize("offset", [0.999, 1.0, 1.001, 1.01])
def test_an_offset_pays_where_it_is_larger_than_the_spread(offset):
    """A sum that is near enough decides alone only beyond doubt."""
    x = torch.tensor([[offset + 1.0], [offset - 1.0]]).repeat(500, 1)
    points = prepare(x, None, "euclidean")
    assert (points.centred is x) == (offset <= 1.0)
    assert points.variance == pytest.approx(1.0, rel=1e-5)
