"""Every estimator on every kind of samples: what comes out, and that nothing is written to."""

import importlib

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_pairs import NAMES, answers, make, samples, targets
from scipy import sparse

from onetrip.core.errors import ArgumentError, UnsupportedError

_KINDS = {
    "array": np.array,
    "fortran": np.asfortranarray,
    "reversed": lambda X: X[::-1, ::-1],
    "frame": pd.DataFrame,
    "tensor": torch.tensor,
    "csr": sparse.csr_array,
}
# One sample cannot be clustered, and a linkage or a projection in the plane wants two.
_SHAPES = {"tall": (40, 5), "wide": (7, 30)}


def _copy(X):
    return X.clone() if isinstance(X, torch.Tensor) else X.copy()


def _same(X, before):
    if sparse.issparse(X):
        return (X != before).nnz == 0
    return np.array_equal(np.asarray(X), np.asarray(before))


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_samples_stay_as_they_are(name, dtype, shape):
    rows, features = _SHAPES[shape]
    for kind, make_kind in _KINDS.items():
        X = make_kind(samples(rows, features).astype(dtype))
        before = _copy(X)
        answers(make(name).fit(X, targets(rows)), X)
        assert _same(X, before), f"{kind} was written to"


@pytest.mark.parametrize("kind", ["array", "tensor", "csr"])
@pytest.mark.parametrize("name", NAMES)
def test_values_whose_squares_overflow_are_refused(name, kind):
    """A product of float32 that holds infinities answers, and answers wrong."""
    X = _KINDS[kind](samples().astype(np.float32) * np.float32(1e17))
    with pytest.raises(ArgumentError, match=r"`X` must be within ±2\.25e\+15.* float64"):
        make(name).fit(X, targets())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["KMeans", "NearestNeighbors", "HDBSCAN", "PCA", "TruncatedSVD"])
def test_scale_changes_no_decision_within_the_limit(name, dtype):
    X = samples().astype(dtype)
    scale = 2.0**45 if dtype == np.float32 else 2.0**450
    plain, scaled = (answers(make(name).fit(x, targets()), x) for x in (X, X * dtype(scale)))
    for each in {"labels_", "predict", "indices"} & plain.keys():
        np.testing.assert_array_equal(scaled[each], plain[each])
    for each in {"transform", "distances"} & plain.keys():
        np.testing.assert_allclose(scaled[each] / scale, plain[each], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", ["array", "tensor"])
@pytest.mark.parametrize("name", sorted({*NAMES} - {"HDBSCAN"}))
def test_missing_values_are_refused(name, kind):
    X = samples()
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        make(name).fit(_KINDS[kind](X), targets())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
def test_tensors_without_dense_memory_are_refused(name):
    X = torch.tensor(samples())
    for given in (X.to_sparse(), X.to_sparse_csr(), X.to("meta")):
        with pytest.raises(UnsupportedError, match=r"`X` must be a dense tensor.*to_dense"):
            make(name).fit(given, targets())


@pytest.mark.parametrize("name", NAMES)
def test_a_device_that_is_not_there_is_refused(name):
    X, y = samples(), targets()
    with pytest.raises(ArgumentError, match='`device` must be "auto", or a device of torch'):
        make(name, device="banana").fit(X, y)
    with pytest.raises(UnsupportedError, match=r"`device` must be one of the \d+ GPUs"):
        make(name, device="cuda:99").fit(X, y)
    with pytest.raises(ValueError, match="The 'device' parameter"):
        make(name, device=3).fit(X, y)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_of_fit_that_do_nothing_are_refused(name):
    model = make(name)
    for method in ("fit", "fit_transform", "fit_predict"):
        if hasattr(model, method):
            with pytest.raises(TypeError, match="verbosity"):
                getattr(model, method)(samples(), targets(), verbosity=3)


@pytest.mark.parametrize("name", ["NearestNeighbors", "KNeighborsClassifier", "TSNE"])
def test_jobs_are_threads(name, monkeypatch):
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    owner = "neighbor_search.find" if name != "TSNE" else "tsne.tsne"
    module, _, function = f"onetrip.estimators.{owner}".rpartition(".")
    original = getattr(importlib.import_module(module), function)

    def watched(*args, **options):
        seen.add(torch.get_num_threads())
        return original(*args, **options)

    monkeypatch.setattr(f"{module}.{function}", watched)
    try:
        plain, alone = (
            answers(make(name, n_jobs=jobs).fit(samples(), targets()), samples())
            for jobs in (None, 1)
        )
        assert seen == {1, 2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for each in plain:
        np.testing.assert_array_equal(alone[each], plain[each])
