"""Merges without loops over edges are those of Prim's algorithm and a union of sets, one by one."""

import heapq

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine

from onetrip.ops.hdbscan import tied_walk
from onetrip.ops.hdbscan.api import spanning
from onetrip.ops.hdbscan.chains import chains_of
from onetrip.ops.hdbscan.linkage import single_linkage
from onetrip.ops.hdbscan.prim_order import in_prim_order
from onetrip.ops.hdbscan.rooted import rooted

NONE = torch.empty(2, 0, dtype=torch.int64), torch.empty(0, dtype=torch.float64)


def prims(source, target, weight, tied, tied_weight):
    """Prim's algorithm from point 0 by a heap, then NumPy's default sort: [3, N - 1]."""
    edges = [[] for _ in range(len(source) + 1)]
    first, second = torch.cat([source, tied[0]]), torch.cat([target, tied[1]])
    every = torch.cat([weight, tied_weight])
    for a, b, w in zip(first.tolist(), second.tolist(), every.tolist(), strict=True):
        edges[a].append((b, w))
        edges[b].append((a, w))
    reached, nearest = set(), [np.inf] * len(edges)
    frontier, met, point = [], [], 0
    for _ in range(len(source)):
        reached.add(point)
        for other, w in edges[point]:
            if other not in reached and w < nearest[other]:
                nearest[other] = w
                heapq.heappush(frontier, (w, other, point))
        while True:
            found = heapq.heappop(frontier)
            if found[1] not in reached:
                break
        met.append(found)
        point = found[1]
    distance, end, start = (np.array(column) for column in zip(*met, strict=True))
    rank = np.argsort(distance)
    return start[rank], end[rank], distance[rank]


def merged(source, target):
    """Nodes that every edge joins, and points under what they make, by a union of sets."""
    N = len(source) + 1
    node, size, joined = list(range(2 * N - 1)), [1] * N, []
    for made, ends in enumerate(zip(source.tolist(), target.tolist(), strict=True), N):
        tops = []
        for top in ends:
            while node[top] != top:
                node[top] = node[node[top]]
                top = node[top]
            tops.append(top)
        for top in tops:
            node[top] = made
        joined.append(tops)
        size.append(size[tops[0]] + size[tops[1]])
    return np.array(joined).T, np.array(size[N:])


def assert_same_merges(source, target, weight, tied, tied_weight):
    expected = prims(source, target, weight, tied, tied_weight)
    found = in_prim_order(source, target, weight, tied, tied_weight)
    assert np.array_equal(found[1].numpy(), expected[1])
    assert np.array_equal(found[2].numpy(), expected[2])
    tree = single_linkage(*found)
    (left, right), size = merged(*expected[:2])
    # Ends that were reached first may be others of the same part.
    assert np.array_equal(tree.left, left)
    assert np.array_equal(tree.right, right)
    assert np.array_equal(tree.size, size)


def drawn_tree(points, shape, generator):
    """Edges of a tree, of points and ends in any order."""
    number = np.arange(1, points)
    before = {
        "chain": number - 1,
        "star": np.zeros_like(number),
        "random": (generator.random(points - 1) * number).astype(int),
        "comb": np.maximum(0, number - 1 - number % 2),
    }[shape]
    name = generator.permutation(points)
    ends = np.stack([name[before], name[number]])[:, generator.permutation(points - 1)]
    swapped = generator.random(points - 1) < 0.5
    source, target = np.where(swapped, ends[::-1], ends)
    return torch.from_numpy(source.copy()), torch.from_numpy(target.copy())


@pytest.mark.parametrize("shape", ["chain", "star", "random", "comb"])
@pytest.mark.parametrize("points", [2, 3, 4, 7, 40, 300])
def test_chains_are_merges_one_by_one(shape, points):
    for seed in range(8):
        source, target = drawn_tree(points, shape, np.random.default_rng(seed))
        chains = chains_of(source, target)
        joined, size = merged(source, target)
        assert np.array_equal(torch.stack([chains.left, chains.right]).numpy(), joined)
        assert np.array_equal(chains.sizes().numpy(), size)
        assert chains.above[torch.from_numpy(joined)].tolist() == [[*range(points - 1)]] * 2
        assert int(chains.above[-1]) == points - 1


@pytest.mark.parametrize("shape", ["chain", "star", "random", "comb"])
def test_nodes_below_a_limit_are_climbed_to(shape):
    generator = np.random.default_rng(1)
    source, target = drawn_tree(60, shape, generator)
    chains = chains_of(source, target)
    point, limit = torch.from_numpy(generator.integers(0, [[60], [60]], (2, 400)))
    expected = []
    for node, bound in zip(point.tolist(), limit.tolist(), strict=True):
        while int(chains.above[node]) < bound:
            node = 60 + int(chains.above[node])
        expected.append(node)
    assert chains.climb(point, limit).tolist() == expected


@pytest.mark.parametrize("shape", ["chain", "star", "random", "comb"])
def test_edges_lead_away_from_the_first_point(shape):
    source, target = rooted(*drawn_tree(50, shape, np.random.default_rng(2)))
    assert target.sort().values.tolist() == list(range(1, 50))
    before = torch.zeros(50, dtype=torch.int64)
    before[target] = source
    for _ in range(50):
        before = before[before]
    assert not before.any()


@pytest.mark.parametrize("shape", ["chain", "star", "random", "comb"])
@pytest.mark.parametrize("weights", [1, 3, 30, 10**6])
def test_trees_with_equal_weights(shape, weights):
    for seed, points in enumerate([2, 3, 9, 80, 400]):
        generator = np.random.default_rng(seed)
        source, target = drawn_tree(points, shape, generator)
        weight = np.sort(generator.integers(0, weights, points - 1)).astype(float)
        assert_same_merges(source, target, torch.from_numpy(weight), *NONE)


def tied_samples():
    generator = np.random.default_rng(0)
    return {
        "lattice": np.stack(np.meshgrid(*[np.arange(9.0)] * 2), -1).reshape(-1, 2),
        "integers": generator.integers(0, 12, (300, 2)),
        "many-integers": generator.integers(0, 3, (150, 5)),
        "duplicates": np.round(generator.standard_normal((300, 2)), 1),
        "line": generator.standard_normal((300, 1)),
        "plane": generator.random((300, 2)),
        "one-gaussian": generator.standard_normal((400, 8)),
        "wine": load_wine().data,
        "digits": load_digits().data[:400],
    }


@pytest.mark.parametrize(("name", "X"), tied_samples().items())
@pytest.mark.parametrize("min_samples", [1, 2, 6])
@pytest.mark.parametrize("together", [1, 1024])
def test_pairs_that_may_replace_edges(name, X, min_samples, together, monkeypatch):
    """In any order of points: which part is entered first changes with it."""
    monkeypatch.setattr(tied_walk, "_TOGETHER", together)
    monkeypatch.setattr(tied_walk, "_ALONE", together)
    generator = np.random.default_rng(3)
    for _ in range(2):
        x = torch.from_numpy(generator.permutation(X).astype(float))
        tree = spanning(x, min_samples=min_samples, alpha=1.0, precision="certified")
        assert tree.tied.shape[1] > 0 or min_samples < 6
        edges = tree.edges.row, tree.edges.column, tree.edges.weight.sqrt()
        assert_same_merges(*edges, tree.tied, tree.tied_weight.sqrt())
