"""The way of neighbours on a GPU, in Triton's interpreter: bounds, ties, and what is left."""

import pytest
import torch
from neighbor_data import draw, truth

pytest.importorskip("triton")

from onetrip.ops.kneighbors import device_call, triton_impl
from onetrip.ops.kneighbors.api import find
from onetrip.ops.kneighbors.device_plan import list_width, make_blocks
from onetrip.ops.kneighbors.device_products import _bounds
from onetrip.ops.kneighbors.halves import offset_and_tops, round_rows
from onetrip.ops.kneighbors.regions import regions
from onetrip.tile.problem import is_interpreting

pytestmark = pytest.mark.skipif(
    not is_interpreting() or torch.cuda.is_available(), reason="tests/gpu runs these kernels"
)


@pytest.fixture
def left(monkeypatch):
    """How many queries went to differences a second time, and to plain torch."""
    seen = {"differences": 0, "torch": 0}
    differences, in_torch = triton_impl.search_differences, triton_impl._search_in_torch

    def count_differences(call):
        seen["differences"] += call.x.shape[0]
        differences(call)

    def count_torch(call, rows):
        seen["torch"] += rows.shape[0]
        in_torch(call, rows)

    monkeypatch.setattr(triton_impl, "search_differences", count_differences)
    monkeypatch.setattr(triton_impl, "_search_in_torch", count_torch)
    return seen


@pytest.fixture
def little_room(monkeypatch):
    """Room for few candidates, so that few rows are too many."""
    monkeypatch.setattr(device_call, "room_for", lambda k: 32)


def assert_exact(x, y, k, **options):
    found = find(x, y, k, metric="sqeuclidean", impl="triton", **options)
    values, indices = truth(x, y, k)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.values, values, rtol=1e-14, atol=0)
    return found


@pytest.mark.parametrize("kind", ["normal", "very-far-away", "tiny", "duplicated"])
def test_products_find_what_float64_finds(kind, left):
    assert_exact(draw(kind, 6, seed=1), draw(kind, 400, seed=2), 5)
    assert left == {"differences": 0, "torch": 0}


# Squares of 1e20 are beyond float32: the kernel's infinities are what is tested.
@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
@pytest.mark.parametrize("kind", ["two-ends", "huge"])
def test_a_handful_of_queries_is_compared_by_differences(kind, left):
    assert_exact(draw(kind, 3, seed=1), draw(kind, 300, seed=2), 4)
    assert left["differences"] == 3
    assert left["torch"] == (3 if kind == "huge" else 0)


def test_what_a_bound_leaves_is_compared_by_differences(left, little_room):
    """Norms of 3000 and distances of 1: a product certifies nothing, a difference everything."""
    assert_exact(draw("two-ends", 6, seed=1), draw("two-ends", 140, seed=2), 2)
    assert left == {"differences": 6, "torch": 0}


def groups(sizes, D=6, seed=7):
    """Clusters of width 1 whose centres are thousands apart; every fourth row is a duplicate."""
    generator = torch.Generator().manual_seed(seed)
    centres = 5000.0 * torch.randn(len(sizes), D, generator=generator)
    label = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    label = label[torch.randperm(sum(sizes), generator=generator)]
    x = centres[label] + torch.randn(sum(sizes), D, generator=generator)
    x[3::4] = x[2::4][: len(x[3::4])]
    return x


@pytest.mark.parametrize("exclude_self", [False, True])
def test_groups_far_apart_are_searched_each_about_its_centre(
    exclude_self, left, little_room, monkeypatch
):
    monkeypatch.setattr(triton_impl, "_MANY_LEFT", 1)
    y = groups([34, 33, 33])
    x = y if exclude_self else y[::5]
    found = find(x, y, 1, metric="sqeuclidean", exclude_self=exclude_self, impl="triton")
    squares = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist") ** 2
    if exclude_self:
        squares.fill_diagonal_(torch.inf)
    expected = squares.sort(dim=1, stable=True)
    assert torch.equal(found.indices, expected.indices[:, :1])
    assert left == {"differences": 0, "torch": 0}


def test_a_group_that_is_too_small_looks_beyond_itself(little_room, monkeypatch):
    monkeypatch.setattr(triton_impl, "_MANY_LEFT", 1)
    y = groups([90, 60, 2])
    values, _ = truth(y, y, 5)
    lonely = values[:, 4].topk(2).indices
    assert_exact(y[torch.cat([torch.arange(0, 152, 9), lonely])], y, 5)


@pytest.mark.parametrize("k", [1, 7])
def test_regions_hold_all_neighbors(k):
    x, y = groups([40, 30, 5], seed=1)[::3], groups([40, 30, 5], seed=1)
    found = regions(x, y, k)
    assert sorted(torch.cat([rows for rows, _ in found]).tolist()) == list(range(25))
    _, indices = truth(x, y, k)
    for rows, near in found:
        assert torch.isin(indices[rows], near).all()
        assert (near.diff() > 0).all()


def test_a_region_reaches_twice_its_radius_beyond_the_nearest_of_its_centre():
    x = torch.tensor([[-1.0], [1.0], [1000.0], [1000.0]])
    y = torch.tensor([[1.5], [-3.4], [1000.0]])  # the second is the nearest of the first query
    assert [near.tolist() for _, near in regions(x, y, 1)] == [[0, 1], [2]]


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
@pytest.mark.parametrize("kind", ["normal", "all-equal", "huge"])
def test_rows_in_no_groups_have_no_regions(kind):
    assert regions(draw(kind, 500, seed=1), draw(kind, 500, seed=1), 3) == []


def test_more_equals_than_there_is_room_for(left, little_room):
    assert_exact(draw("all-equal", 5, seed=1), draw("all-equal", 50, seed=2), 3)
    assert left == {"differences": 5, "torch": 5}


@pytest.mark.parametrize("kind", ["duplicated", "all-equal"])
def test_nobody_is_their_own_neighbor(kind, left, little_room):
    y = draw(kind, 40, seed=3)
    found = find(y, y, 3, exclude_self=True, impl="triton")
    squares = torch.cdist(y.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")
    squares.fill_diagonal_(torch.inf)
    assert torch.equal(found.indices, squares.sort(dim=1, stable=True).indices[:, :3])
    assert left["torch"] == (40 if kind == "all-equal" else 0)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("kind", ["normal", "far-away", "outlier"])
def test_no_score_is_further_off_than_its_bound(metric, kind):
    """Scores of the rounded rows against those of float64, each with its own bound."""
    D = 24 if kind == "normal" else 8
    x = draw("normal" if kind == "outlier" else kind, 50, seed=4)[:, :D]
    y = draw("normal" if kind == "outlier" else kind, 300, seed=5)[:, :D]
    if kind == "outlier":
        y[7] *= 3e4  # beyond what float16 holds at the scale of the others
    config = {"BLOCK_Q": 64, "BLOCK_N": 16, "WHOLE_D": 256, "num_warps": 4, "num_stages": 2}
    blocks = make_blocks(*x.shape[:1], *y.shape, 3, config)
    offset, x_top, y_top = offset_and_tops(x, y, metric)
    x_offset = offset if metric == "euclidean" else torch.zeros_like(offset)
    form = {"depth": blocks.padded, "metric": metric}
    a = round_rows(x, x_offset, x_top, rows=64, **form)
    b = round_rows(y, offset, y_top, rows=304, **form)
    assert torch.isinf(b.bias[300:304]).all()
    factor = 2.0 if metric == "euclidean" else 1.0
    scores = b.bias[None, :300] - factor * (a.rows[:50].float() @ b.rows[:300].float().T)
    wide_x, wide_y = x.double() - x_offset.double(), y.double() - offset.double()
    if metric == "cosine":
        wide_x = wide_x / torch.linalg.vector_norm(wide_x, dim=1, keepdim=True)
        wide_y = wide_y / torch.linalg.vector_norm(wide_y, dim=1, keepdim=True)
    x_scale, y_scale = (2.0 ** (8 - torch.frexp(top).exponent) for top in (x_top, y_top))
    wide_x, wide_y = wide_x * x_scale, wide_y * y_scale
    true = -factor * (wide_x @ wide_y.T)
    if metric == "euclidean":
        true += wide_y.square().sum(1)
    call = device_call.make_call(x, y, 3, metric, exclude_self=False, certified=True, config=config)
    product, sums, squares = _bounds(call, blocks.padded)
    norm, lost = a.norm[:50, None], a.lost[:50, None]
    bound = product * (lost * b.norm[:300] + (norm + lost) * b.lost[:300])
    rounding = (scores.double() - true).abs()
    # What rounding lost is most of the error, and most of the bound.
    assert (rounding > 0.02 * bound).float().mean() > 0.5
    bound = bound + sums * (norm + lost) * (b.norm + b.lost)[:300] + squares * b.norm[:300] ** 2
    assert (rounding <= bound).all()


def test_candidates_beyond_the_list_are_cut_by_value_and_index():
    """As many equals as there is room for, most of them too many: the smallest indices stay."""
    k, room = 3, 512
    y = torch.tensor([2.0, 1.0, 0.0, -1.0]).repeat_interleave(60)[:, None]  # [240, 1]
    x = torch.zeros(2, 1)
    options = {"exclude_self": False, "certified": True, "config": {}}
    call = device_call.make_call(x, y, k, "euclidean", **options)
    generator = torch.Generator().manual_seed(0)
    # The first query has all rows for candidates, in any order; the second none at distance 0.
    first = torch.randperm(240, generator=generator)
    second = torch.cat([torch.arange(239, 179, -1), torch.arange(60)])
    candidates = torch.zeros(2, room, dtype=torch.int32)
    candidates[0, :240], candidates[1, :120] = first.int(), second.int()
    found = torch.tensor([240, 120], dtype=torch.int32)
    assert found.min() > list_width(k, 240)
    device_call.settle(call, candidates, found, 0)
    assert call.indices.tolist() == [[120, 121, 122], [180, 181, 182]]
    assert call.values.tolist() == [[0.0] * 3, [1.0] * 3]
    assert call.totals.tolist() == [2, 0]
