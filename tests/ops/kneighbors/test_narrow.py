"""Float64 data: scores of float32 first, neighbours of float64 always."""

from dataclasses import replace

import pytest
import torch
from neighbor_data import KINDS, draw, truth

from onetrip.core.tuning import override
from onetrip.ops.kneighbors import torch_impl
from onetrip.ops.kneighbors.api import find
from onetrip.ops.kneighbors.metric import Metric

# Small tiles, so that a few hundred rows make many of them.
SMALL = {"rows": 16, "columns": 64, "group": 4}


@pytest.fixture(autouse=True)
def small_tiles():
    with override("kneighbors", "torch", SMALL):
        yield


@pytest.fixture
def works(monkeypatch):
    """The dtypes whose scores decided, one entry a worker's share of the queries."""
    decided = []
    settle = torch_impl.settle

    def noting(call, begin, prepared, running, bound, **options):
        decided.append(running.scores.dtype)
        return settle(call, begin, prepared, running, bound, **options)

    monkeypatch.setattr(torch_impl, "settle", noting)
    return decided


def _close_pairs(rows, seed):
    """Float64 rows, each beside others that float32 cannot tell from it."""
    generator = torch.Generator().manual_seed(seed)
    centres = draw("normal", 10, seed=5).double()[torch.arange(rows) % 10]
    return centres + 1e-9 * torch.randn(centres.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("kind", "scale"),
    [*((kind, 1.0) for kind in KINDS), ("normal", 1e-30), ("normal", 1e30), ("integers", 1e100)],
)
def test_neighbors_are_those_of_float64(kind, scale):
    """Also where float32 would overflow, or underflow."""
    x, y = draw(kind, 40, seed=1).double() * scale, draw(kind, 500, seed=2).double() * scale
    found = find(x, y, 7, metric="sqeuclidean")
    values, indices = truth(x, y, 7)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.values, values, rtol=1e-14, atol=0)


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
def test_other_metrics_are_those_of_the_reference(metric):
    x, y = draw("normal", 40, seed=1).double(), draw("normal", 500, seed=2).double()
    found = find(x, y, 7, metric=metric)
    expected = find(x, y, 7, metric=metric, impl="reference")
    assert torch.equal(found.indices, expected.indices)


def test_float32_decides_where_it_can(works):
    x, y = draw("normal", 40, seed=1).double(), draw("normal", 500, seed=2).double()
    found = find(x, y, 7)
    assert set(works) == {torch.float32}
    assert found.reevaluated <= 4


@pytest.mark.parametrize("exclude_self", [False, True])
def test_float64_decides_where_float32_cannot(works, exclude_self):
    y = _close_pairs(400, seed=6)
    found = find(y, y, 7, metric="sqeuclidean", exclude_self=exclude_self)
    assert set(works) == {torch.float64}
    squares = torch.stack([(y - row).square().sum(1) for row in y])
    if exclude_self:
        squares.fill_diagonal_(torch.inf)
    values, indices = squares.sort(dim=1, stable=True)
    assert torch.equal(found.indices, indices[:, :7])
    torch.testing.assert_close(found.values, values[:, :7], rtol=1e-14, atol=0)


def test_few_that_float32_cannot_tell_are_evaluated(works):
    """Most queries are certain, so the others do not make all begin again."""
    far, near = draw("normal", 180, seed=7).double(), 20.0 + _close_pairs(300, seed=8)
    y = torch.cat([draw("normal", 500, seed=9).double(), near])
    x = torch.cat([far, near[:10]])[torch.randperm(190, generator=torch.Generator().manual_seed(0))]
    found = find(x, y, 7)
    assert torch.float32 in works
    assert torch.equal(found.indices, truth(x, y, 7)[1])


def test_a_narrow_metric_is_bounded_by_float32():
    """Without its own bound, scores of float32 would pass for those of float64."""
    wide = Metric("euclidean", torch.float64, None)
    narrow = wide.narrowed()
    assert narrow is not None
    assert narrow == replace(wide, work=torch.float32)
    assert narrow.narrowed() is None
    one = torch.ones(1)
    assert narrow.bound(one, one, one, 8) > 1e8 * wide.bound(one, one, one, 8)
