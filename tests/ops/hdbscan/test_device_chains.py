"""Merges by kernels are those of `chains.py`, and a device clustering asks the device rarely."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from onetrip.estimators.hdbscan import _merges
from onetrip.ops.hdbscan import (
    condense,
    kernel_condense,
    kernel_tied,
    linkage,
    prim_order,
    tied,
)
from onetrip.ops.hdbscan.api import spanning
from onetrip.ops.hdbscan.chains import merges_of
from onetrip.ops.hdbscan.device_chains import DeviceChains
from onetrip.ops.hdbscan.edges import root
from onetrip.ops.hdbscan.kernel_condense import condensed_rows
from onetrip.ops.hdbscan.kernel_tour import turned_away
from onetrip.ops.hdbscan.rooted import rooted

# Two programs of 256.
POINTS = 300


def drawn_tree(points, shape):
    """Edges of a tree in any order, ends in any order."""
    generator = np.random.default_rng(points)
    number = np.arange(1, points)
    before = {
        "chain": number - 1,
        "star": np.zeros_like(number),
        "random": (generator.random(points - 1) * number).astype(int),
    }[shape]
    name = generator.permutation(points)
    # Of a chain, as it stands: then every vertex hangs below the one before it.
    order = number - 1 if shape == "chain" else generator.permutation(points - 1)
    ends = np.stack([name[before], name[number]])[:, order]
    source, target = np.where(generator.random(points - 1) < 0.5, ends[::-1], ends)
    return torch.from_numpy(source.copy()), torch.from_numpy(target.copy())


@pytest.mark.parametrize("shape", ["chain", "star", "random"])
@pytest.mark.parametrize("points", [2, 3, 7, POINTS])
def test_kernels_merge_as_passes_do(shape, points):
    edges = drawn_tree(points, shape)
    expected, found = merges_of(*edges), DeviceChains(*edges)
    for name in ("left", "right", "above"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert torch.equal(found.sizes(), expected.sizes())
    assert torch.equal(found.places(), expected.places())


@pytest.mark.parametrize("shape", ["chain", "star", "random"])
@pytest.mark.parametrize("points", [2, 3, POINTS])
def test_kernels_turn_edges_as_passes_do(shape, points):
    edges = drawn_tree(points, shape)
    for found, expected in zip(turned_away(*edges), rooted(*edges), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("clusters", [1, 4096])
@pytest.mark.parametrize("min_cluster_size", [2, 7, 5000])
def test_kernels_condense_as_torch_does(monkeypatch, clusters, min_cluster_size):
    """Rows of clusters that find no room with those of points are copied once more."""
    monkeypatch.setattr(kernel_condense, "_CLUSTERS", clusters)
    tree = _merges(tied_tree())
    columns = (tree.left, tree.right, tree.distance, tree.size)
    parent, lambda_val, child_size = condensed_rows(*columns, min_cluster_size)
    expected = condense.condense(tree, min_cluster_size)
    assert np.array_equal(parent, expected.parent)
    assert np.array_equal(lambda_val, expected.lambda_val)
    assert np.array_equal(child_size, expected.child_size)
    assert (len(parent) > POINTS + 1) == (min_cluster_size < POINTS)


def tied_tree(points=POINTS):
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((points, 2)))
    tree = spanning(x, min_samples=6, alpha=1.0, precision="certified")
    assert tree.tied.shape[1] > 0
    return tree


def edges_of(tree):
    """Of a spanning tree, away from point 0: ends and weights, and what may take their place."""
    ends = rooted(tree.edges.row, tree.edges.column)
    return *ends, root(tree.edges.weight), tree.tied, root(tree.tied_weight)


def reached(source, target, weight):
    """From where, and along which weight, every point but the first is reached."""
    at = target.argsort()
    return torch.stack([source[at], target[at]]), weight[at]


def test_groups_are_walked_as_on_the_host(monkeypatch):
    """One of them enters a part elsewhere, and the tree is turned anew."""
    turned = []
    monkeypatch.setattr(kernel_tied, "rooted", lambda *ends: turned.append(1) or rooted(*ends))
    given = edges_of(tied_tree(60))
    ends = kernel_tied.taken(*given)
    expected = reached(*tied.as_met(*given))
    found = reached(*ends, given[2])
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert not torch.equal(found[0], reached(*given[:3])[0])
    assert len(turned) == 1


def test_groups_too_large_for_a_program_are_left_to_the_host():
    """All edges of a lattice are as heavy."""
    x = torch.cartesian_prod(torch.arange(9.0), torch.arange(9.0)).double()
    tree = spanning(x, min_samples=2, alpha=1.0, precision="certified")
    assert kernel_tied.taken(*edges_of(tree)) is None


def waits(function):
    """How often the host asks a device for numbers: reads, copies, sizes that depend on values."""
    count = [0]

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            name = func.overloadpacket.__name__
            asks = name in ("_local_scalar_dense", "nonzero", "equal", "_unique2")
            asks |= name == "unique_consecutive"
            if name in ("index", "index_put_"):
                asks |= any(at is not None and at.dtype == torch.bool for at in args[1])
            count[0] += asks
            return func(*args, **(kwargs or {}))

    with pytest.MonkeyPatch.context() as patch, Watch():
        for name in ("cpu", "tolist"):
            taken = getattr(torch.Tensor, name)

            def counted(tensor, *, taken=taken):
                count[0] += 1
                return taken(tensor)

            patch.setattr(torch.Tensor, name, counted)
        function()
    return count[0]


def test_waits_are_counted():
    x = torch.arange(3)
    assert waits(lambda: (int(x[0]), x.tolist(), x.cpu(), x[x > 0], x + 1)) == 4


def test_host_waits_rarely_for_merges_and_clusters(monkeypatch):
    """Kernels stand in for what a GPU would run; how often is bounded whatever the points."""
    tree = tied_tree(150)
    expected = condense.condense(_merges(tree), 5)
    for module in (prim_order, linkage):
        monkeypatch.setattr(module, "chains_of", DeviceChains)
    monkeypatch.setattr(prim_order, "rooted", turned_away)

    def as_met(*given):
        taken = kernel_tied.taken(*given)
        assert taken is not None
        return *taken, given[2]

    monkeypatch.setattr(prim_order, "as_met", as_met)
    found = []

    def cluster():
        merges = _merges(tree)
        columns = (merges.left, merges.right, merges.distance, merges.size)
        found.append(condensed_rows(*columns, 5))

    # How groups were walked, once more where the tree is turned; whether weights are equal; weights
    # that the host sorts; the rows.
    assert waits(cluster) <= 5
    names = ("parent", "lambda_val", "child_size")
    for name, values in zip(names, found[0], strict=True):
        assert np.array_equal(values, getattr(expected, name))
