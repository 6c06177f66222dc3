"""Lists filled by the least scores of groups: the neighbours of float64, however products round."""

import pytest
import torch
from neighbor_data import KINDS, draw, truth

from onetrip.core.tuning import override
from onetrip.ops.kneighbors import groups, plan
from onetrip.ops.kneighbors.api import find

# Many tiles, of a corpus that is more than one.
TILES = {"rows": 32, "columns": 64, "group": 4}


@pytest.fixture(autouse=True)
def small_tiles():
    with override("kneighbors", "torch", TILES):
        yield


@pytest.fixture
def entered(monkeypatch):
    """Whether each stretch was entered by groups; those that were not were by tiles."""
    answers = []
    enter = groups._Stretch.enter

    def noting(self, lists):
        answers.append(enter(self, lists))
        return answers[-1]

    monkeypatch.setattr(groups._Stretch, "enter", noting)
    return answers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stretch", [64, 300, 5000])
@pytest.mark.parametrize("k", [1, 9])
def test_neighbors_are_those_of_float64(monkeypatch, kind, stretch, k):
    monkeypatch.setattr(plan, "_STRETCH_ROWS", stretch)
    x, y = draw(kind, 75, seed=1), draw(kind, 1003, seed=2)
    found = find(x, y, k, metric="sqeuclidean")
    values, indices = truth(x, y, k)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.values, values, rtol=1e-14, atol=0)


@pytest.mark.parametrize("stretch", [256, 5000])
@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("by_tiles", [False, True])
def test_a_row_is_no_neighbor_of_itself(monkeypatch, entered, stretch, metric, by_tiles):
    monkeypatch.setattr(plan, "_STRETCH_ROWS", stretch)
    if by_tiles:
        monkeypatch.setattr(groups, "DENSE_SHARE", -1.0)
    x = draw("normal", 901, seed=3)
    found = find(x, x, 5, metric=metric, exclude_self=True)
    plain = find(x, x, 6, metric=metric)
    own = torch.arange(901)[:, None]
    assert not bool((found.indices == own).any())
    if metric != "inner_product":
        assert torch.equal(plain.indices[:, :1], own)
        assert torch.equal(plain.indices[:, 1:], found.indices)
    assert entered == [not by_tiles] * len(entered)


def test_few_rows_are_multiplied_again(monkeypatch, entered):
    """A tile is given up; of the corpus some groups a query come back, and no more."""
    pairs = []
    scores_of = groups._Stretch._scores_of

    def counting(self, rows, places):
        pairs.append(rows.numel() * self._plan.group)
        return scores_of(self, rows, places)

    monkeypatch.setattr(groups._Stretch, "_scores_of", counting)
    x, y = draw("normal", 200, seed=4), draw("normal", 4000, seed=5)
    assert torch.equal(find(x, y, 5).indices, truth(x, y, 5)[1])
    assert entered
    assert all(entered)
    # Nine entries a list, so nine groups of four.
    assert sum(pairs) <= 200 * 10 * 4


@pytest.mark.parametrize(("count", "width"), [(9, 9), (100, 3), (1001, 14), (143, 5), (8, 9)])
def test_as_many_scores_as_a_list_has_are_below_the_first_threshold(count, width):
    """And few more, where groups are many: most of the blocks hold one of them."""
    least = torch.rand(count, 300, generator=torch.Generator().manual_seed(count))
    first = groups._Stretch._first_threshold(least, width)
    if count < width:
        assert first is None
        return
    below = (least < first).sum(0)
    assert bool((below >= width).all())
    assert float(below.double().mean()) < 1.2 * width + 1


def test_where_too_much_passes_tiles_are_looked_into(entered):
    x, y = draw("all-equal", 40, seed=6), draw("all-equal", 600, seed=7)
    assert torch.equal(find(x, y, 5).indices, truth(x, y, 5)[1])
    assert not all(entered)


@pytest.mark.filterwarnings("error")
def test_a_row_beyond_the_scores_is_no_warning(entered):
    """It shares a group with neighbours, whose scores are found again beside its own."""
    x, y = draw("normal", 100, seed=9), draw("normal", 4500, seed=10)
    # Not a row of those that tell the common offset.
    y[12], y[13] = x[0], 2e38
    assert torch.equal(find(x, y, 1).indices, truth(x, y, 1)[1])
    assert any(entered)


@pytest.mark.parametrize("sign", [-1.0, 1.0, 0.0])
def test_products_that_round_apart_certify_nothing_wrong(monkeypatch, sign):
    """All distances within some bounds of each other, and a second product that is off by one.

    Scores that are found too large leave a list short: what it lacks must not be certain.
    """
    generator = torch.Generator().manual_seed(8)
    y = torch.nn.functional.normalize(torch.randn(3000, 16, generator=generator), dim=1)
    x = 1e-5 * torch.randn(60, 16, generator=generator)
    noise = 1e-6  # a fifth of the bound
    scores_of = groups._Stretch._scores_of

    def off(self, rows, places):
        found = scores_of(self, rows, places)
        if sign:
            return found + sign * noise
        return found + noise * (2.0 * torch.rand(found.shape, generator=generator) - 1.0)

    monkeypatch.setattr(groups._Stretch, "_scores_of", off)
    assert torch.equal(find(x, y, 4).indices, truth(x, y, 4)[1])
