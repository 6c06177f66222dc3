"""The spanning tree on a device: against the CPU's, in memory that grows with N."""

import numpy as np
import pytest
import torch

import onetrip
from onetrip.cluster import HDBSCAN
from onetrip.core.tuning import override
from onetrip.estimators.hdbscan import _merges
from onetrip.ops.hdbscan import select
from onetrip.ops.hdbscan.api import spanning
from onetrip.ops.hdbscan.condense import condense
from onetrip.ops.hdbscan.edges import Edges, Spanning
from onetrip.ops.hdbscan.reference import make_inputs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no device"),
]


@pytest.mark.parametrize("features", [2, 7, 32, 100, 200, 384, 1000])
@pytest.mark.parametrize("data", ["random", "blobs"])
def test_weights_are_those_of_the_cpu(features, data):
    x = make_inputs({"N": 20_000, "D": features}, dtype=torch.float32, data=data)["x"]
    weight, ends = onetrip.hdbscan(x.cuda(), min_samples=5, impl="triton")
    expected, _ = onetrip.hdbscan(x, min_samples=5, impl="torch")
    torch.testing.assert_close(weight.cpu(), expected, rtol=1e-5, atol=0)
    assert bool((ends["source"] < ends["target"]).all())


def test_two_runs_are_equal_to_the_last_bit():
    x = make_inputs({"N": 30_000, "D": 16}, dtype=torch.float32, data="blobs")["x"].cuda()
    first, second = (onetrip.hdbscan(x, min_samples=5, impl="triton") for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1]["source"], second[1]["source"])


def test_memory_does_not_grow_with_the_square():
    x = make_inputs({"N": 100_000, "D": 16}, dtype=torch.float32, data="blobs")["x"].cuda()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    onetrip.hdbscan(x, min_samples=5, impl="triton")
    assert torch.cuda.max_memory_allocated() - before < 512 * 2**20


def test_a_million_points_take_less_than_half_a_gibibyte():
    x = make_inputs({"N": 1_000_000, "D": 16}, dtype=torch.float32, device="cuda", data="blobs")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    weight, ends = onetrip.hdbscan(x["x"], min_samples=5, impl="triton")
    assert torch.cuda.max_memory_allocated() - before < 512 * 2**20
    assert bool((weight[1:] >= weight[:-1]).all())
    # No edge is lighter than the core distance of either end.
    core = ends["core_distance"]
    assert bool((weight >= core[ends["source"]]).all())
    assert bool((weight >= core[ends["target"]]).all())


def by_sums(x):
    """The tree from sums of differences in float64, of every pair."""
    with override("hdbscan", "triton", select.sums_of_differences(double=True)):
        return onetrip.hdbscan(x.double(), min_samples=5, impl="triton")


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_far_away_and_in_one_place_the_tree_is_that_of_float64(offset):
    """Products propose, differences decide: against differences of float64."""
    x = make_inputs({"N": 20_000, "D": 8}, dtype=torch.float32, device="cuda", data="blobs")["x"]
    x[:50] = x[0]
    x += offset
    weight, ends = onetrip.hdbscan(x, min_samples=5, impl="triton")
    expected, truth = by_sums(x)
    torch.testing.assert_close(weight.double(), expected, rtol=1e-6, atol=0)
    core = ends["core_distance"].double()
    torch.testing.assert_close(core, truth["core_distance"], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("features", "data"), [(3, "random"), (32, "blobs"), (128, "blobs")])
def test_float64_by_products_is_float64_by_sums_to_the_last_bits(features, data):
    x = make_inputs({"N": 12_000, "D": features}, dtype=torch.float64, device="cuda", data=data)
    weight, ends = onetrip.hdbscan(x["x"], min_samples=5, impl="triton")
    expected, truth = by_sums(x["x"])
    torch.testing.assert_close(weight, expected, rtol=1e-13, atol=0)
    for name in ("source", "target"):
        assert torch.equal(ends[name], truth[name]), name


@pytest.mark.parametrize(("features", "data"), [(2, "random"), (16, "blobs")])
def test_labels_are_those_of_the_cpu(features, data):
    """Of all points, those that hang on equal weights too."""
    x = make_inputs({"N": 10_000, "D": features}, dtype=torch.float32, data=data)["x"]
    found, expected = (
        HDBSCAN(min_cluster_size=25, min_samples=5).fit(samples) for samples in (x.cuda(), x)
    )
    assert found.labels_.is_cuda
    assert torch.equal(found.labels_.cpu(), expected.labels_)
    torch.testing.assert_close(
        found.probabilities_.cpu(), expected.probabilities_, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(("points", "features"), [(2, 2), (300, 2), (30_000, 16)])
def test_merges_of_a_tree_are_those_of_the_host_to_the_last_bit(points, features):
    """Which edges are taken where others are as heavy, in which order, and what they make."""
    x = make_inputs({"N": points, "D": features}, dtype=torch.float32, data="blobs")["x"].cuda()
    tree = spanning(x, min_samples=min(5, points), alpha=1.0, precision="certified")
    edges = tree.edges
    on_host = Spanning(
        Edges(edges.row.cpu(), edges.column.cpu(), edges.weight.cpu(), edges.key.cpu()),
        tree.core.cpu(),
        tree.tied.cpu(),
        tree.tied_weight.cpu(),
        tree.reevaluated,
    )
    found, expected = _merges(tree), _merges(on_host)
    for name in ("left", "right", "distance", "size"):
        assert torch.equal(getattr(found, name).cpu(), getattr(expected, name)), name
    rows, expected_rows = condense(found, 10), condense(expected, 10)
    for name in ("parent", "child", "lambda_val", "child_size"):
        assert np.array_equal(getattr(rows, name), getattr(expected_rows, name)), name
