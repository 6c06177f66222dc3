"""Neighbours beside scikit-learn's, on every kind of input."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn import neighbors
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris

from onetrip.core.errors import ArgumentError, ShapeError, UnsupportedError
from onetrip.neighbors import NearestNeighbors

RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 20))
QUERIES = RNG.standard_normal((40, 20))


def alike(found, expected):
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("metric", ["minkowski", "euclidean", "sqeuclidean", "cosine"])
@pytest.mark.parametrize("queries", [QUERIES, None], ids=["queries", "itself"])
def test_neighbors_are_scikit_learns(dtype, metric, queries):
    asked = None if queries is None else queries.astype(dtype)
    ours = NearestNeighbors(n_neighbors=7, metric=metric).fit(X.astype(dtype)).kneighbors(asked)
    wide = None if asked is None else asked.astype(float)
    model = neighbors.NearestNeighbors(n_neighbors=7, metric=metric, algorithm="brute")
    theirs = model.fit(X.astype(dtype).astype(float)).kneighbors(wide)
    np.testing.assert_array_equal(ours[1], theirs[1])
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9, atol=1e-12)
    assert ours[0].dtype == np.float64


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute"])
def test_every_algorithm_breaks_ties_by_index(algorithm):
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    samples = np.concatenate([grid] * 16)
    model = NearestNeighbors(n_neighbors=9, algorithm=algorithm).fit(samples)
    squares = ((grid[:, None] - samples) ** 2).sum(-1)
    expected = np.argsort(squares, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(model.kneighbors(grid, return_distance=False), expected)
    squares = ((samples[:, None] - samples) ** 2).sum(-1)
    np.fill_diagonal(squares, np.inf)
    own = np.argsort(squares, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(model.kneighbors(return_distance=False), own)


def test_few_features_take_the_tree():
    low = RNG.standard_normal((3000, 3))
    model = NearestNeighbors(n_neighbors=4).fit(low)
    assert model._fit_method == "kd_tree"
    alike(
        model.kneighbors(), NearestNeighbors(n_neighbors=4, algorithm="brute").fit(low).kneighbors()
    )


def test_digits_are_reevaluated_where_they_tie():
    digits, _ = load_digits(return_X_y=True)
    model = NearestNeighbors(n_neighbors=10).fit(digits.astype(np.float32))
    _, indices = model.kneighbors()
    assert 0 < model.reevaluated_share_ < 0.5
    squares = ((digits[:200, None] - digits) ** 2).sum(-1)
    squares[np.arange(200), np.arange(200)] = np.inf
    expected = np.argsort(squares, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(indices[:200], expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_come_back_as_tensors(dtype):
    samples, asked = torch.tensor(X).to(dtype), torch.tensor(QUERIES).to(dtype)
    distances, indices = NearestNeighbors(n_neighbors=3).fit(samples).kneighbors(asked)
    model = neighbors.NearestNeighbors(n_neighbors=3, algorithm="brute").fit(samples.double())
    expected = model.kneighbors(asked.double())
    assert distances.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    np.testing.assert_array_equal(indices, expected[1])
    np.testing.assert_allclose(distances, expected[0], rtol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("queries", ["sparse", "dense", None])
def test_sparse_samples(metric, queries, monkeypatch):
    monkeypatch.setattr("onetrip.estimators.neighbor_search._BLOCK_BYTES", 20_000)
    csr = sparse.random_array((300, 50), density=0.3, rng=1, format="csr")
    asked = {"sparse": csr[:30], "dense": csr[:30].toarray(), None: None}[queries]
    ours = NearestNeighbors(n_neighbors=5, metric=metric).fit(csr).kneighbors(asked)
    dense = NearestNeighbors(n_neighbors=5, metric=metric).fit(csr.toarray())
    expected = dense.kneighbors(None if asked is None else csr[:30].toarray())
    np.testing.assert_array_equal(ours[1], expected[1])
    np.testing.assert_allclose(ours[0], expected[0], atol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("queries", ["sparse", "dense", None])
def test_radius_neighbors_of_sparse_samples(metric, queries, monkeypatch):
    monkeypatch.setattr("onetrip.estimators.neighbor_search._BLOCK_BYTES", 20_000)
    csr = sparse.random_array((300, 50), density=0.3, rng=1, format="csr")
    csr = csr.multiply((np.arange(300) != 7)[:, None]).tocsr()  # A row without entries.
    asked = {"sparse": csr[:30], "dense": csr[:30].toarray(), None: None}[queries]
    radius = {"euclidean": 2.8, "cosine": 0.6}[metric]
    ours = NearestNeighbors(radius=radius, metric=metric).fit(csr).radius_neighbors(asked)
    dense = NearestNeighbors(radius=radius, metric=metric).fit(csr.toarray())
    expected = dense.radius_neighbors(None if asked is None else csr[:30].toarray())
    assert 1 < np.mean([len(row) for row in expected[1]]) < 200
    for found, wanted in zip(zip(*ours, strict=True), zip(*expected, strict=True), strict=True):
        np.testing.assert_array_equal(found[1], wanted[1])
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12)
    theirs = neighbors.NearestNeighbors(radius=radius, metric=metric, algorithm="brute").fit(csr)
    graph = theirs.radius_neighbors_graph(asked)
    mine = NearestNeighbors(radius=radius, metric=metric).fit(csr).radius_neighbors_graph(asked)
    assert (graph != mine).nnz == 0


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine"])
@pytest.mark.parametrize("queries", [QUERIES, None], ids=["queries", "itself"])
def test_radius_neighbors_are_scikit_learns(metric, queries):
    radius = {"euclidean": 5.0, "sqeuclidean": 25.0, "cosine": 0.7}[metric]
    ours = NearestNeighbors(radius=radius, metric=metric).fit(X)
    theirs = neighbors.NearestNeighbors(radius=radius, metric=metric, algorithm="brute").fit(X)
    for found, expected in zip(
        zip(*ours.radius_neighbors(queries, sort_results=True), strict=True),
        zip(*theirs.radius_neighbors(queries, sort_results=True), strict=True),
        strict=True,
    ):
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-9)


def test_radius_itself_is_within():
    model = NearestNeighbors(radius=5.0).fit(np.float32([[3, 4], [100, 100], [3, 4.000001]]))
    distances, indices = model.radius_neighbors(np.float32([[0, 0]]))
    assert indices[0].tolist() == [0]
    assert distances[0].tolist() == [5.0]


def test_radius_of_far_away_samples():
    """Their common offset is no part of any distance."""
    samples = (RNG.standard_normal((500, 4)) + 1e4).astype(np.float32)
    indices = NearestNeighbors(radius=1.5).fit(samples).radius_neighbors(return_distance=False)
    squares = ((samples[:, None].astype(float) - samples) ** 2).sum(-1)
    np.fill_diagonal(squares, np.inf)
    for row, near in zip(indices, squares <= 1.5**2, strict=True):
        np.testing.assert_array_equal(row, np.flatnonzero(near))


@pytest.mark.parametrize("corpus", [np.array, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("asked", [np.array, sparse.csr_array, torch.tensor])
def test_a_corpus_is_not_rounded_to_the_dtype_of_sparse_queries(corpus, asked):
    samples = 1000.0 + RNG.standard_normal((300, 8)) * 1e-3
    queries = samples[:30].astype(np.float32)
    model = NearestNeighbors(n_neighbors=3).fit(corpus(samples))
    distances, indices = map(np.asarray, model.kneighbors(asked(queries)))
    exact = np.sqrt(((queries.astype(float)[:, None] - samples) ** 2).sum(-1))
    np.testing.assert_array_equal(indices, exact.argsort(1, kind="stable")[:, :3])
    np.testing.assert_allclose(distances, np.take_along_axis(exact, indices, 1), rtol=1e-6)


@pytest.mark.parametrize("radius", [-1.0, np.nan, np.ones(40), "far"])
def test_a_radius_is_one_number(radius):
    """The search compares squares: -1 would find what 1 finds."""
    with pytest.raises(ArgumentError, match="`radius` must be one number >= 0, got"):
        NearestNeighbors().fit(X).radius_neighbors(QUERIES, radius=radius)


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_graphs_are_scikit_learns(mode):
    ours, theirs = (
        NearestNeighbors(radius=5.0).fit(X),
        neighbors.NearestNeighbors(radius=5.0).fit(X),
    )
    for graph in ("kneighbors_graph", "radius_neighbors_graph"):
        found = getattr(ours, graph)(QUERIES, mode=mode)
        expected = getattr(theirs, graph)(QUERIES, mode=mode)
        np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-9)
        assert found.format == "csr"


def test_attributes_clone_and_pickle():
    model = NearestNeighbors(n_neighbors=2, metric="l2").fit(X)
    theirs = neighbors.NearestNeighbors(n_neighbors=2, metric="l2").fit(X)
    for name in ("effective_metric_", "effective_metric_params_", "n_samples_fit_"):
        assert getattr(model, name) == getattr(theirs, name)
    again = pickle.loads(pickle.dumps(model))
    alike(again.kneighbors(QUERIES), model.kneighbors(QUERIES))
    assert clone(model).get_params() == model.get_params()
    ours, reference = NearestNeighbors().get_params(), neighbors.NearestNeighbors().get_params()
    assert {name: ours[name] for name in reference} == reference


def test_inputs_stay_as_they_are():
    samples, asked = X.copy(), QUERIES.copy()
    NearestNeighbors().fit(samples).kneighbors(asked)
    np.testing.assert_array_equal(samples, X)
    np.testing.assert_array_equal(asked, QUERIES)


def test_names_of_features():
    frame = pd.DataFrame(load_iris().data, columns=list("abcd"))
    model = NearestNeighbors().fit(frame)
    assert model.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        model.kneighbors(frame[list("dcba")])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "manhattan"}, "`metric` must be 'minkowski' with p=2"),
        ({"p": 1}, "`p` must be 2, got 1"),
        ({"metric_params": {"w": [1, 2]}}, "`metric_params` must be without weights"),
        ({"metric": "cosine", "algorithm": "kd_tree"}, "`algorithm` must be 'brute' or 'auto'"),
        ({"metric": max}, "`metric` must be"),
    ],
)
def test_unsupported_is_said(parameters, message):
    with pytest.raises(UnsupportedError, match=message):
        NearestNeighbors(**parameters).fit(X)


def test_errors_are_scikit_learns():
    model = NearestNeighbors(n_neighbors=5).fit(X[:5])
    with pytest.raises(ArgumentError, match="Expected n_neighbors < n_samples_fit"):
        model.kneighbors()
    with pytest.raises(ArgumentError, match="Expected n_neighbors <= n_samples_fit"):
        model.kneighbors(X, 6)
    with pytest.raises(ValueError, match="Expected n_neighbors > 0"):
        model.kneighbors(X, 0)
    with pytest.raises(TypeError, match="enter integer value"):
        model.kneighbors(X, 1.5)
    with pytest.raises(ValueError, match="return_distance must be True"):
        model.radius_neighbors(X, return_distance=False, sort_results=True)
    with pytest.raises(ValueError, match="Unsupported mode"):
        model.kneighbors_graph(X, 2, mode="weights")
    with pytest.raises(ShapeError, match="20 features"):
        model.kneighbors(torch.ones(1, 3))
