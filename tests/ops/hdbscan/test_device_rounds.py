"""Borůvka's rounds by products: the one tree, whatever lists hold and searches return."""

import pytest
import torch

import onetrip
from onetrip.core.selection import Problem
from onetrip.core.tuning import override
from onetrip.ops.hdbscan import device_rounds, select, torch_impl, triton_impl
from onetrip.ops.hdbscan.reference import make_inputs
from onetrip.tile.problem import problem_on

TILE = {"BLOCK_N": 32, "BLOCK_M": 32, "num_warps": 4}


def assert_same_tree(x, min_samples, **options):
    """Edges are those of the definition in float64; so are weights and core distances."""
    options["min_samples"] = min_samples
    expected_weight, expected = onetrip.hdbscan(x.double(), impl="reference", **options)
    with override("hdbscan", "triton", TILE):
        weight, found = onetrip.hdbscan(x, impl="triton", **options)
    assert torch.equal(found["source"], expected["source"])
    assert torch.equal(found["target"], expected["target"])
    close = {"rtol": 1e-12 if x.dtype == torch.float64 else 1e-6, "atol": 0}
    torch.testing.assert_close(weight.double(), expected_weight, **close)
    core = found["core_distance"].double()
    torch.testing.assert_close(core, expected["core_distance"], **close)


@pytest.mark.parametrize(
    ("features", "data", "alpha"),
    [(2, "random", 1.0), (20, "blobs", 1.3), (7, "offset", 0.7), (300, "blobs", 1.0)],
)
def test_products_find_the_tree(features, data, alpha):
    x = make_inputs({"N": 120, "D": features}, dtype=torch.float32, data=data)["x"]
    assert_same_tree(x, 3, alpha=alpha)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("min_samples", [1, 3])
def test_searches_alone_find_the_tree(monkeypatch, min_samples, dtype):
    """Lists hold no more than core distances need, and next to no edge."""
    monkeypatch.setattr(triton_impl, "EXTRA_SAMPLES", 0)
    x = make_inputs({"N": 100, "D": 5}, dtype=dtype, data="blobs")["x"]
    assert_same_tree(x, min_samples)


def test_points_of_float64_that_float32_moves(monkeypatch):
    """By a tenth of their distances, where products are off by a thousandth."""
    monkeypatch.setattr(triton_impl, "EXTRA_SAMPLES", 0)
    generator = torch.Generator().manual_seed(2)
    x = 1e-3 * torch.randn(128, 3, generator=generator, dtype=torch.float64)
    assert_same_tree(x + 1000.0 * (torch.arange(128) % 2)[:, None], 3)


def test_pairs_without_room_are_found_by_differences(monkeypatch):
    monkeypatch.setattr(triton_impl, "EXTRA_SAMPLES", 1)
    monkeypatch.setattr(device_rounds, "pairs_outside", lambda *_, **__: None)
    x = make_inputs({"N": 100, "D": 5}, dtype=torch.float32, data="blobs")["x"]
    assert_same_tree(x, 2)


def test_points_in_one_place_have_lists_that_are_too_short():
    x = make_inputs({"N": 90, "D": 3}, dtype=torch.float32)["x"]
    x[30:] = x[30]
    assert_same_tree(x, 4)


def test_long_chains_of_components_are_joined_at_once():
    """The nearest point of each is the one before: one chain of as many links as points."""
    x = torch.arange(90.0).square()[:, None]
    assert_same_tree(x, 1)


@pytest.mark.parametrize(
    ("features", "dtype", "min_samples"),
    [
        (1025, torch.float32, 2),
        (1025, torch.float64, 2),
        (3, torch.float32, 33),
        (200, torch.float64, 22),
    ],
)
def test_a_tile_of_products_says_what_it_does_not_take(features, dtype, min_samples):
    """Such problems run by differences."""
    options = {"min_samples": min_samples}
    problem = problem_on(torch.device("cpu"), {"N": 9, "D": features}, dtype, options)
    assert "give a BLOCK" in str(select.unsupported_reason("triton", problem, TILE))
    config = select.default_config("triton", problem)
    assert "BLOCK" in config
    assert select.unsupported_reason("triton", problem, config) is None


@pytest.mark.parametrize(("features", "elsewhere"), [(128, True), (256, True), (257, False)])
def test_tiles_of_many_features_need_shared_memory(features, elsewhere):
    axes, options = {"N": 9, "D": features}, {"min_samples": 5}
    roomy, other = (
        select.default_config("triton", Problem(axes, "float32", "cuda", arch, options=options))
        for arch in (90, 89)
    )
    assert "BLOCK_N" in roomy
    assert ("BLOCK_N" in other) == elsewhere
    assert (roomy == other) == (features == 128)


def test_one_point_far_away_is_joined_by_its_own_list():
    generator = torch.Generator().manual_seed(5)
    x = torch.cat([torch.randn(40, 2, generator=generator), torch.tensor([[50.0, 50.0]])])
    assert_same_tree(x, 2)


def pairs_of(tree):
    return set(map(tuple, tree.tied.sort(0).values.T.tolist()))


def test_pairs_that_may_replace_edges_are_those_of_the_cpu():
    x = make_inputs({"N": 150, "D": 3}, dtype=torch.float32)["x"]
    found = triton_impl.spanning_tree(x, 5, 1.0, TILE, certified=True)
    config = {"leaf": 128, "tile": 1 << 18, "extra": 8}
    expected = torch_impl.spanning_tree(x, 5, 1.0, config, certified=True)
    assert pairs_of(found) == pairs_of(expected)
    assert found.tied.shape[1] > 100
    assert bool(torch.isin(found.tied_weight, found.edges.weight).all())


def test_what_a_list_that_is_too_short_holds_replaces_no_edge():
    """Which of many points in one place find room is not the same in two runs."""
    x = make_inputs({"N": 90, "D": 3}, dtype=torch.float32)["x"]
    x[30:] = x[30]
    found = triton_impl.spanning_tree(x, 4, 1.0, TILE, certified=True)
    assert int((found.tied >= 30).all(0).sum()) == 0


def test_more_pairs_than_there_is_room_for_are_found_at_once(monkeypatch):
    x = make_inputs({"N": 90, "D": 2}, dtype=torch.float32)["x"]
    found = triton_impl.spanning_tree(x, 5, 1.0, TILE, certified=True)
    monkeypatch.setattr(triton_impl, "replacing_pairs", lambda *_: None)
    again = triton_impl.spanning_tree(x, 5, 1.0, TILE, certified=True)
    assert pairs_of(again) == pairs_of(found)
    assert again.tied.shape[1] > 20
