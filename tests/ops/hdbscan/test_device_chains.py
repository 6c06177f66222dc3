"""Merges by kernels are those of `chains.py`, and a device clustering asks the device rarely."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from onetrip.estimators.hdbscan import _merges
from onetrip.ops.hdbscan import condense, linkage, prim_order, tied
from onetrip.ops.hdbscan.api import spanning
from onetrip.ops.hdbscan.chains import chains_of
from onetrip.ops.hdbscan.device_chains import DeviceChains
from onetrip.ops.hdbscan.kernel_chains import highest_of, walk_tour
from onetrip.ops.hdbscan.pointers import highest

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
    expected, found = chains_of(*edges), DeviceChains(*edges)
    for name in ("left", "right", "above"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert torch.equal(found.sizes(), expected.sizes())
    assert torch.equal(found.places(), expected.places())
    draw = torch.Generator().manual_seed(0)
    point, limit = torch.randint(0, points, (2, 60), generator=draw)
    assert torch.equal(found.climb(point, limit), expected.climb(point, limit))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_ways_up_of_any_length(dtype):
    """Those of nodes below and above their own number, longer than one launch follows."""
    draw = torch.Generator().manual_seed(1)
    name = torch.randperm(POINTS, generator=draw)
    above = torch.empty(POINTS, dtype=dtype)
    above[name] = name[(torch.arange(POINTS) - 1).clamp_min(0)].to(dtype)
    expected = highest(above)
    assert (expected == name[0]).all()
    assert torch.equal(highest_of(above.clone()), expected)


def test_tours_are_walked_to_their_end():
    """In any order of edges: how far, above 32 bits; where, below."""
    draw = torch.Generator().manual_seed(2)
    name = torch.randperm(POINTS, generator=draw)
    tour = torch.empty(POINTS, dtype=torch.int64)
    tour[name[:-1]] = name[1:] | 1 << 32
    tour[name[-1]] = name[-1]
    found = walk_tour(tour, steps=(POINTS - 1).bit_length())
    assert (found & 0xFFFFFFFF == name[-1]).all()
    assert torch.equal((found >> 32)[name], torch.arange(POINTS - 1, -1, -1))


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
    for module in (tied, prim_order, linkage):
        monkeypatch.setattr(module, "chains_of", DeviceChains)
    for module in (linkage, condense):
        monkeypatch.setattr(module, "highest", lambda above: highest_of(above.clone()))
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((POINTS, 2)))
    tree = spanning(x, min_samples=6, alpha=1.0, precision="certified")
    assert tree.tied.shape[1] > 0
    found = []
    count = waits(lambda: found.append(condense.condense(_merges(tree), 5)))
    monkeypatch.undo()
    assert count <= 24
    expected = condense.condense(_merges(tree), 5)
    for name in ("parent", "child", "lambda_val", "child_size"):
        assert np.array_equal(getattr(found[0], name), getattr(expected, name))
