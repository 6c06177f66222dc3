"""A corpus that one tile holds: no lists, and the neighbours of float64."""

import pytest
import torch
from neighbor_data import KINDS, draw, truth

import onetrip
from onetrip.core.tuning import override
from onetrip.ops.kneighbors import plan, torch_impl
from onetrip.ops.kneighbors.api import find
from onetrip.ops.kneighbors.metric import Metric
from onetrip.ops.kneighbors.one_tile import OneTile
from onetrip.tile.side_by_side import worker_count

# So small that a corpus of a few hundred rows is more than one.
TILES = {"rows": 16, "columns": 64, "group": 4}


@pytest.fixture
def with_lists(monkeypatch):
    """The shares of queries that went through the corpus with lists after all."""
    shares = []
    search_rows = torch_impl._search_rows

    def noting(call, begin, end):
        shares.append((begin, end))
        return search_rows(call, begin, end)

    monkeypatch.setattr(torch_impl, "_search_rows", noting)
    return shares


def _twins(rows, seed):
    """Rows in pairs that scores of float32 cannot tell apart, and differences can."""
    y = draw("normal", rows, seed).repeat_interleave(2, 0)
    y[1::2, 3] += 2e-6
    return y


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 7, 90, 300])
def test_neighbors_are_those_of_float64(kind, k):
    x, y = draw(kind, 40, seed=1), draw(kind, 300, seed=2)
    if kind in ("duplicated", "integers"):
        x = torch.cat([x[:20], y[:20]])
    found = find(x, y, k, metric="sqeuclidean")
    values, indices = truth(x, y, k)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.values, values, rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", ["normal", "integers"])
def test_it_needs_no_lists(kind, with_lists):
    x, y = draw(kind, 200, seed=1), draw(kind, 1000, seed=2)
    assert torch.equal(find(x, y, 5).indices, truth(x, y, 5)[1])
    assert with_lists == []


@pytest.mark.parametrize("kind", ["all-equal", "huge", "two-ends"])
def test_ties_and_loose_bounds_take_lists(kind, with_lists):
    x, y = draw(kind, 200, seed=1), draw(kind, 1000, seed=2)
    assert torch.equal(find(x, y, 5).indices, truth(x, y, 5)[1])
    assert with_lists


def test_equals_in_many_groups_take_lists(with_lists):
    """Few of all scores, but in more than a quarter of the groups: each would be looked into."""
    y = draw("duplicated", 1100, seed=2)
    assert torch.equal(find(y[:200], y, 5).indices, truth(y[:200], y, 5)[1])
    assert with_lists


@pytest.mark.parametrize("k", [1, 4])
def test_what_scores_cannot_tell_is_evaluated(k, with_lists):
    x, y = draw("normal", 300, seed=1), _twins(400, seed=2)
    found = find(x, y, k, metric="sqeuclidean")
    assert torch.equal(found.indices, truth(x, y, k)[1])
    assert with_lists == []
    if k == 1:
        assert found.reevaluated > 250
    assert find(x, y[::2], k).reevaluated <= 3


@pytest.mark.parametrize("kind", ["normal", "integers"])
def test_self_is_excluded_by_its_number(kind, with_lists):
    y = draw(kind, 1100, seed=3)
    found = find(y, y, 6, exclude_self=True)
    squares = torch.stack([(y.double() - row).square().sum(1) for row in y.double()])
    squares.fill_diagonal_(torch.inf)
    assert torch.equal(found.indices, squares.sort(dim=1, stable=True).indices[:, :6])
    assert with_lists == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
def test_answers_are_those_of_lists(metric, dtype, with_lists):
    x, y = draw("normal", 60, seed=4).to(dtype), draw("normal", 500, seed=5).to(dtype)
    found = find(x, y, 9, metric=metric)
    assert with_lists == []
    with override("kneighbors", "torch", TILES):
        listed = find(x, y, 9, metric=metric)
    assert with_lists
    assert torch.equal(found.indices, listed.indices)
    assert torch.equal(found.values, listed.values)


def test_neighbors_that_lie_side_by_side_are_few_candidates(monkeypatch):
    """A corpus in order: groups of consecutive rows would pass with all of their members."""
    evaluated = []
    passing = OneTile._passing

    def counting(self, tile, places, limit):
        rows, columns = passing(self, tile, places, limit)
        evaluated.append(len(rows))
        return rows, columns

    monkeypatch.setattr(OneTile, "_passing", counting)
    y = torch.arange(1600.0)[:, None].expand(-1, 4).contiguous()
    found = find(y[::10] + 0.25, y, 5)
    assert torch.equal(found.indices, truth(y[::10] + 0.25, y, 5)[1])
    assert sum(evaluated) <= 6 * 160


def test_precision_fast_has_lists(with_lists):
    """Scores that are trusted are not evaluated again."""
    x, y = draw("normal", 40, seed=1), draw("normal", 300, seed=2)
    find(x, y, 5, precision="fast")
    assert with_lists


@pytest.mark.parametrize("kind", ["normal", "integers", "twins"])
@pytest.mark.parametrize("k", [1, 5])
def test_without_ranks_only_choices_are_evaluated(kind, k, monkeypatch):
    """The same neighbours in some order; where only k may be nearest there is no choice."""
    evaluated = []
    exact = Metric.exact

    def counting(self, x, y, rows, columns):
        evaluated.append(torch.unique_consecutive(rows, return_counts=True)[1])
        return exact(self, x, y, rows, columns)

    monkeypatch.setattr(Metric, "exact", counting)
    x = draw("integers" if kind == "integers" else "normal", 300, seed=1)
    y = _twins(400, seed=2) if kind == "twins" else draw(kind, 800, seed=2)
    found = find(x, y, k, ranked=False)
    assert torch.equal(found.indices.sort(1).values, truth(x, y, k)[1].sort(1).values)
    counts = torch.cat(evaluated)
    assert bool((counts > k).all())
    assert kind != "normal" or len(counts) < 100
    assert find(x, y, k).reevaluated == found.reevaluated


def test_order_is_kept_by_all_who_show_it():
    x, y = draw("normal", 40, seed=1), draw("normal", 300, seed=2)
    values, indices = truth(x, y, 5)
    ways = ({}, {"impl": "reference", "ranked": False}, {"precision": "fast", "ranked": False})
    for options in ways:
        assert torch.equal(find(x, y, 5, **options).indices, indices)
    distances, _ = onetrip.kneighbors(x.double(), y.double(), n_neighbors=5)
    torch.testing.assert_close(distances, values.sqrt(), rtol=1e-14, atol=0)


@pytest.mark.parametrize(("queries", "threads"), [(40, 1), (41, 2)])
def test_few_pairs_are_one_threads_work(queries, threads, monkeypatch):
    """And torch has its threads back afterwards."""
    seen, shared = [], torch_impl._search_shared

    def look(*arguments, **named):
        seen.append(worker_count())
        return shared(*arguments, **named)

    monkeypatch.setattr(plan, "_PAIRS_OF_ONE_THREAD", 40 * 300)
    monkeypatch.setattr(torch_impl, "_search_shared", look)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        y = torch.randn(300, 90, generator=torch.Generator().manual_seed(0))
        find(y[:queries], y, 3, impl="torch")
        assert seen == [threads]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
