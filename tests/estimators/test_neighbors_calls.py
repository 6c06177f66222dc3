"""What a small fit and a small question are spared: checks that cost more than the work."""

import numpy as np
import pytest
import torch
from sklearn import neighbors
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits

from onetrip.estimators import arrays, neighbor_search, neighbor_targets
from onetrip.estimators.neighbor_targets import weighted_means
from onetrip.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors

X, Y = load_digits(return_X_y=True)
MODELS = [KNeighborsClassifier, KNeighborsRegressor]


def _refuse(*args, **options):
    raise RuntimeError("this look was to be spared")


@pytest.fixture
def without_checks(monkeypatch):
    """scikit-learn's checks of arrays and parameters may not be asked."""
    monkeypatch.setattr(arrays, "validate_data", _refuse)
    monkeypatch.setattr(neighbor_targets, "check_array", _refuse)
    monkeypatch.setattr(BaseEstimator, "_validate_params", _refuse)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("order", ["strided", "fortran", "rows"])
def test_plain_arrays_are_taken_as_they_are(model, order, request):
    lay = {"strided": lambda x: x[::2], "fortran": np.asfortranarray, "rows": np.array}[order]
    in_rows, y = np.ascontiguousarray(lay(X)), np.ascontiguousarray(lay(Y))
    expected = model(3).fit(in_rows, y).predict(in_rows)
    request.getfixturevalue("without_checks")
    np.testing.assert_array_equal(model(3).fit(lay(X), lay(Y)).predict(lay(X)), expected)


@pytest.mark.parametrize("model", MODELS)
def test_targets_that_are_no_plain_numbers_are_checked(model):
    y = Y.astype(float)
    y[7] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        model().fit(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model().fit(X, Y[:-1])
    with pytest.raises(ValueError, match="dim 3"):
        model().fit(X, np.zeros((len(X), 2, 2)))


def test_only_wrong_parameters_are_taken_to_scikit_learn(monkeypatch):
    monkeypatch.setattr(BaseEstimator, "_validate_params", _refuse)
    NearestNeighbors(n_neighbors=4, radius=2.5).fit(X)
    with pytest.raises(RuntimeError, match="spared"):
        NearestNeighbors(n_neighbors=4, radius=-2.5).fit(X)


def test_wrong_parameters_are_refused_each_time():
    """Equal is not the same: a whole float is no number of neighbours."""
    NearestNeighbors(n_neighbors=4).fit(X)
    for _ in range(2):
        with pytest.raises(ValueError, match="'n_neighbors' parameter of NearestNeighbors must be"):
            NearestNeighbors(n_neighbors=4.0).fit(X)
        with pytest.raises(ValueError, match="'weights' parameter of KNeighborsRegressor must be"):
            KNeighborsRegressor(weights=["distance"]).fit(X, Y)


@pytest.mark.parametrize("outputs", [(), (1,), (3,)])
@pytest.mark.parametrize("weighted", [False, True])
def test_means_are_those_of_neighbors_laid_out(outputs, weighted):
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(50, *outputs, generator=generator, dtype=torch.float64)
    indices = torch.randint(50, (20, 4), generator=generator)
    weights = torch.rand(20, 4, generator=generator, dtype=torch.float64)
    shares = weights / weights.sum(1, keepdim=True) if weighted else torch.full((20, 4), 0.25)
    expected = (targets[indices] * shares.double().view(20, 4, *(1 for _ in outputs))).sum(1)
    found = weighted_means(targets, indices, weights if weighted else None)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found.shape == (20, *outputs)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weights", ["uniform", None, "distance", lambda d: 1.0 / (1.0 + d)])
def test_order_is_asked_for_where_distances_weigh(model, weights, monkeypatch):
    asked = []
    find = neighbor_search.find

    def noting(*args, ranked, **options):
        asked.append(ranked)
        return find(*args, ranked=ranked, **options)

    monkeypatch.setattr(neighbor_search, "find", noting)
    fitted = model(3, weights=weights).fit(X[::2], Y[::2])
    theirs = getattr(neighbors, model.__name__)(3, weights=weights).fit(X[::2], Y[::2])
    same = np.isclose(fitted.predict(X[1::2]), theirs.predict(X[1::2]), rtol=1e-9)
    # scikit-learn breaks ties of the last neighbour as it finds them.
    assert same.mean() > 0.99
    fitted.kneighbors(X[1::2])
    assert asked == [weights not in ("uniform", None), True]


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_few_samples_wake_no_threads(weights, monkeypatch):
    """A thread of a BLAS or of torch, once awake, takes a core for 10 ms to look for work."""
    vdot, scatter_add = np.vdot, torch.Tensor.scatter_add_
    sizes, threads = [], []

    def dotting(a, b):
        sizes.append(a.size)
        return vdot(a, b)

    def scattering(*args):
        threads.append(torch.get_num_threads())
        return scatter_add(*args)

    monkeypatch.setattr(np, "vdot", dotting)
    monkeypatch.setattr(torch.Tensor, "scatter_add_", scattering)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        KNeighborsClassifier(weights=weights).fit(X[:100], Y[:100]).predict_proba(X[100:900])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert max(sizes) <= 10_000
    assert threads == [1]
