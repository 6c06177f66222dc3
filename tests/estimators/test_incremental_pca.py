"""Components of batches: IncrementalPCA beside scikit-learn's, PCA.partial_fit beside one fit."""

import pickle

import numpy as np
import pytest
import sklearn.decomposition
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.decomposition import PCA, IncrementalPCA

DIGITS = load_digits().data[:400]
LEARNED = ("mean_", "explained_variance_", "explained_variance_ratio_", "singular_values_")
SIZES = (150, 30, 1, 219)


def batches(X, sizes=SIZES):
    return np.split(X, np.cumsum(sizes)[:-1])


def fed(estimator, X):
    for batch in batches(X):
        estimator.partial_fit(batch)
    return estimator


def alike(ours, theirs, names, tolerance):
    for name in names:
        expected = np.asarray(getattr(theirs, name))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            getattr(ours, name), expected, rtol=tolerance, atol=tolerance * scale, err_msg=name
        )


@parametrize_with_checks([IncrementalPCA(), IncrementalPCA(batch_size=10)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n_components", [6, None])
def test_incremental_pca_is_that_of_scikit_learn(whiten, n_components):
    X = DIGITS[:, 20:34] + 0.1 * np.random.default_rng(0).standard_normal((400, 14))
    options = {"n_components": n_components, "whiten": whiten}
    ours = fed(IncrementalPCA(**options), X)
    theirs = fed(sklearn.decomposition.IncrementalPCA(**options), X)
    alike(ours, theirs, (*LEARNED, "var_", "components_"), 1e-8)
    assert ours.n_samples_seen_ == theirs.n_samples_seen_ == 400
    assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_, rel=1e-8)
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), atol=1e-8)
    back = ours.inverse_transform(ours.transform(X))
    np.testing.assert_allclose(back, theirs.inverse_transform(theirs.transform(X)), atol=1e-8)
    if not whiten:
        np.testing.assert_allclose(ours.get_covariance(), theirs.get_covariance(), atol=1e-8)


@pytest.mark.parametrize("kind", ["array", "sparse", "tensor"])
def test_fit_goes_by_batches(kind):
    X = DIGITS[:, :40]
    given = {"array": X, "sparse": sparse.csr_matrix(X), "tensor": torch.tensor(X)}[kind]
    ours = IncrementalPCA(4, batch_size=90).fit(given)
    theirs = sklearn.decomposition.IncrementalPCA(4, batch_size=90).fit(X)
    assert isinstance(ours.components_, torch.Tensor) == (kind == "tensor")
    alike(ours, theirs, (*LEARNED, "components_"), 1e-8)
    assert ours.batch_size_ == 90
    again = ours.fit(given)
    assert again.n_samples_seen_ == 400


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pca_by_batches_is_pca_of_all(dtype):
    X = (DIGITS + 100.0).astype(dtype)
    options = {"n_components": 5, "svd_solver": "covariance_eigh"}
    ours = fed(PCA(**options), X)
    whole = PCA(**options).fit(X)
    tolerance = 1e-9 if dtype == np.float64 else 1e-5
    alike(ours, whole, LEARNED, tolerance)
    alike(ours, whole, ("components_",), 10 * tolerance)
    assert ours.noise_variance_ == pytest.approx(whole.noise_variance_, rel=10 * tolerance)
    assert (ours.n_samples_, ours.n_components_) == (400, 5)
    assert ours.components_.dtype == ours.transform(X).dtype == dtype
    np.testing.assert_allclose(ours.transform(X), whole.transform(X), atol=50 * tolerance)


@pytest.mark.parametrize("asked", [None, 0.9, "mle"])
def test_pca_by_batches_decides_how_many_as_one_fit_does(asked):
    X = DIGITS[:, 20:29] + 0.1 * np.random.default_rng(0).standard_normal((400, 9))
    ours = fed(PCA(asked), X)
    theirs = sklearn.decomposition.PCA(asked).fit(X)
    assert ours.n_components_ == theirs.n_components_
    alike(ours, theirs, LEARNED, 1e-8)


def test_pca_begins_with_fewer_samples_than_features():
    pca = PCA(3)
    for batch in batches(DIGITS[:12], (4, 8)):
        pca.partial_fit(batch)
    alike(pca, sklearn.decomposition.PCA(3).fit(DIGITS[:12]), LEARNED, 1e-8)
    goes_on = pickle.loads(pickle.dumps(pca)).partial_fit(DIGITS[12:])
    alike(goes_on, sklearn.decomposition.PCA(3, svd_solver="full").fit(DIGITS), LEARNED, 1e-8)


def test_fit_forgets_the_batches():
    pca = fed(PCA(2), DIGITS).fit(DIGITS[:50])
    alike(pca, PCA(2).fit(DIGITS[:50]), LEARNED, 1e-12)
    assert pca.partial_fit(DIGITS[:60]).n_samples_ == 60


def test_tensors_come_back_as_tensors():
    x = torch.tensor(DIGITS, dtype=torch.bfloat16)
    pca = PCA(3).partial_fit(x[:200]).partial_fit(x[200:])
    assert isinstance(pca.components_, torch.Tensor)
    assert pca.components_.dtype == torch.float32
    # Pixels are whole numbers up to 16, which bfloat16 holds.
    alike(pca, sklearn.decomposition.PCA(3, svd_solver="full").fit(DIGITS), LEARNED, 1e-5)


@pytest.mark.errors
def test_errors():
    with pytest.raises(UnsupportedError, match="svd_solver"):
        PCA(2, svd_solver="randomized").partial_fit(DIGITS)
    with pytest.raises(TypeError, match="dense batches"):
        PCA(2).partial_fit(sparse.csr_matrix(DIGITS))
    with pytest.raises(ArgumentError, match="n_components=5 must be between"):
        PCA(5).partial_fit(DIGITS[:3])
    with pytest.raises(ValueError, match="features"):
        PCA(2).partial_fit(DIGITS).partial_fit(DIGITS[:, :5])
    with pytest.raises(TypeError, match="does not support sparse"):
        IncrementalPCA(2).partial_fit(sparse.csr_matrix(DIGITS))
    with pytest.raises(ArgumentError, match="first partial_fit call"):
        IncrementalPCA(5).partial_fit(DIGITS[:3])
    with pytest.raises(ArgumentError, match="has changed from 2 to 3"):
        IncrementalPCA(2).partial_fit(DIGITS).set_params(n_components=3).partial_fit(DIGITS)
