"""A handful of queries: every row evaluated exactly, and the same answers as by scores."""

import pytest
import torch
from neighbor_data import KINDS, draw, truth

from onetrip.ops.kneighbors import plan
from onetrip.ops.kneighbors.api import find

METRICS = ["euclidean", "cosine", "inner_product"]


@pytest.fixture
def by_scores(monkeypatch):
    monkeypatch.setattr(plan, "_FEW_ELEMENTS", 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 7, 300])
def test_neighbors_are_those_of_float64(kind, k):
    x, y = draw(kind, 4, seed=1), draw(kind, 300, seed=2)
    if kind in ("duplicated", "integers"):
        x = torch.cat([x[:2], y[:2]])
    found = find(x, y, k, metric="sqeuclidean")
    values, indices = truth(x, y, k)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.values, values, rtol=1e-14, atol=0)
    assert found.reevaluated == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("metric", METRICS)
def test_answers_are_those_of_scores(metric, dtype, monkeypatch):
    x, y = draw("normal", 3, seed=3).to(dtype), draw("normal", 200, seed=4).to(dtype)
    plainly = find(x, y, 9, metric=metric)
    monkeypatch.setattr(plan, "_FEW_ELEMENTS", 0)
    by_scores = find(x, y, 9, metric=metric)
    assert torch.equal(plainly.indices, by_scores.indices)
    torch.testing.assert_close(plainly.values, by_scores.values, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_differences_of_tiles_are_those_of_float64(kind, by_scores):
    x, y = draw(kind, 4, seed=1), draw(kind, 300, seed=2)
    found = find(x, y, 7, metric="sqeuclidean")
    assert torch.equal(found.indices, truth(x, y, 7)[1])


def test_self_is_excluded_by_its_number():
    y = torch.zeros(4, 2)
    assert find(y, y, 3, exclude_self=True).indices.tolist() == [
        [1, 2, 3],
        [0, 2, 3],
        [0, 1, 3],
        [0, 1, 2],
    ]


def test_fast_answers_come_from_scores_whatever_the_size(monkeypatch):
    """A named precision means what it says: the exact way is that of "certified" alone."""
    monkeypatch.setattr("onetrip.ops.kneighbors.torch_impl.nearest_of_few", None)
    x, y = draw("normal", 2, seed=1), draw("normal", 50, seed=2)
    assert find(x, y, 3, precision="fast").indices.shape == (2, 3)
    with pytest.raises(TypeError):
        find(x, y, 3)
