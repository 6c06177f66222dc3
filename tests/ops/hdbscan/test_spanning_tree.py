"""The spanning tree against the definition, where searches, boxes and bounds are at work."""

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree

import onetrip
from onetrip.core.errors import ArgumentError, DtypeError, ShapeError, UnsupportedError
from onetrip.core.tuning import override
from onetrip.ops.hdbscan.reference import make_inputs


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def reach_of(x, min_samples, alpha=1.0):
    wide = x.double()
    distance = (wide[:, None] - wide[None, :]).square().sum(2).sqrt()
    core = distance.kthvalue(min_samples, dim=1).values
    return torch.maximum(distance / alpha, torch.maximum(core[:, None], core[None, :])), core


def assert_spans(x, min_samples, alpha=1.0, **options):
    """Weights are those of SciPy's tree of all pairs; ends have them, and join all points."""
    weight, ends = onetrip.hdbscan(x, min_samples=min_samples, alpha=alpha, **options)
    reach, core = reach_of(x, min_samples, alpha)
    full = minimum_spanning_tree(reach.numpy() + 1e-300)
    np.testing.assert_allclose(weight.numpy(), np.sort(full.data), rtol=1e-6)
    source, target = ends["source"], ends["target"]
    assert bool((source < target).all())
    np.testing.assert_allclose(reach[source, target].numpy(), weight.numpy(), rtol=1e-6)
    np.testing.assert_allclose(ends["core_distance"].numpy(), core.numpy(), rtol=1e-6)
    group = np.arange(len(x))
    for a, b in zip(source.tolist(), target.tolist(), strict=True):
        assert group[a] != group[b]
        group[group == group[b]] = group[a]
    assert len(set(group)) == 1


# Far below the defaults, so that a few hundred points fill many leaves.
SMALL = {"leaf": 8, "tile": 1 << 10, "extra": 1}


@pytest.mark.parametrize("data", ["random", "blobs", "offset"])
@pytest.mark.parametrize("features", [1, 2, 6, 7, 20])
def test_searches_in_small_leaves_find_the_tree(features, data):
    x = make_inputs({"N": 500, "D": features}, dtype=torch.float64, data=data)["x"]
    with override("hdbscan", "torch", SMALL):
        assert_spans(x, 3, impl="torch")


@pytest.mark.parametrize("magnitude", [-900, -200, -60, 60, 400])
@pytest.mark.parametrize("features", [2, 20])
def test_the_unit_of_samples_changes_no_edge(features, magnitude):
    x = make_inputs({"N": 300, "D": features}, dtype=torch.float64, data="blobs")["x"]
    weight, ends = onetrip.hdbscan(x, min_samples=3, impl="torch")
    scaled, same = onetrip.hdbscan(x * 2.0**magnitude, min_samples=3, impl="torch")
    for name in ("source", "target"):
        assert torch.equal(same[name], ends[name])
    if magnitude > -500:  # beyond, squares vanish
        assert torch.equal(scaled, weight * 2.0**magnitude)
        assert torch.equal(same["core_distance"], ends["core_distance"] * 2.0**magnitude)


def test_default_leaves_find_the_tree():
    x = make_inputs({"N": 1500, "D": 8}, dtype=torch.float32, data="blobs")["x"]
    assert_spans(x, 5, alpha=1.4, impl="torch")


def test_separated_groups_are_joined_at_their_nearest_points():
    generator = torch.Generator().manual_seed(0)
    groups = [torch.randn(40, 9, generator=generator).double() + 60.0 * k for k in range(9)]
    with override("hdbscan", "torch", SMALL):
        assert_spans(torch.cat(groups), 4, impl="torch")


@pytest.mark.parametrize("features", [2, 8])
def test_coincident_points_are_at_distance_zero(features):
    generator = torch.Generator().manual_seed(0)
    few = torch.randn(12, features, generator=generator).double()
    x = few[torch.randint(12, (200,), generator=generator)]
    with override("hdbscan", "torch", SMALL):
        weight, _ = onetrip.hdbscan(x, min_samples=3)
    assert int((weight == 0).sum()) == 200 - len(x.unique(dim=0))
    assert onetrip.hdbscan(torch.ones(50, features), min_samples=2)[0].tolist() == [0.0] * 49


def test_lattice_has_one_tree_whatever_finds_it():
    """All weights are equal: the order of edges by number decides alone."""
    side = torch.arange(7.0)
    x = torch.cartesian_prod(side, side)
    expected = onetrip.hdbscan(x, min_samples=2, impl="reference")[1]
    for impl in ("torch", "triton"):
        with override("hdbscan", "torch", SMALL):
            found = onetrip.hdbscan(x, min_samples=2, impl=impl)[1]
        assert torch.equal(found["source"], expected["source"]), impl
        assert torch.equal(found["target"], expected["target"]), impl


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_find_the_tree_over_several_blocks(dtype):
    x = make_inputs({"N": 90, "D": 2}, dtype=dtype, data="blobs", seed=2)["x"]
    with override("hdbscan", "triton", {"BLOCK": 32, "num_warps": 4}):
        assert_spans(x, 4, alpha=1.2, impl="triton")


def test_far_from_the_origin_nothing_is_lost_with_a_certificate():
    """Norms are 1e6 times the distances: float32 products alone find other neighbours."""
    x = make_inputs({"N": 300, "D": 8}, dtype=torch.float64)["x"]
    x[:150] += 1e6
    assert_spans(x, 5, impl="torch")
    fast = onetrip.hdbscan(x, min_samples=5, precision="fast")[1]["core_distance"]
    assert not torch.allclose(fast, reach_of(x, 5)[1], rtol=1e-6)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": torch.ones(3)}, ShapeError, r"`x` must be a matrix \[N, D\], got \[3\]"),
        ({"x": torch.ones(3, 2).int()}, DtypeError, "`x` must be float32"),
        ({"x": torch.ones(0, 2)}, ShapeError, "`x` must be at least one point"),
        ({"min_samples": 0}, ArgumentError, "`min_samples` must be an integer of at least 1"),
        ({"alpha": -1.0}, ArgumentError, "`alpha` must be a positive number"),
        ({"metric": "cosine"}, UnsupportedError, "scale every row to length 1"),
        ({"precision": "loose"}, ArgumentError, "`precision` must be"),
        ({"impl": "abacus"}, UnsupportedError, "there is no implementation 'abacus'"),
        ({"impl": "triton", "min_samples": 65}, UnsupportedError, "at most 64 nearest"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    given = {"x": torch.ones(3, 2), "min_samples": 2, **change}
    with pytest.raises(error, match=message):
        onetrip.hdbscan(given.pop("x"), **given)
