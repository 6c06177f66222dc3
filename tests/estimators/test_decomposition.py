"""PCA and TruncatedSVD against scikit-learn, and scikit-learn's own checks of estimators."""

import numpy as np
import pytest
import sklearn.decomposition
import torch
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from onetrip.core.errors import UnsupportedError
from onetrip.decomposition import PCA, TruncatedSVD

DIGITS = load_digits().data[:300]


def spectrum_matrix(samples=400, features=13, least=1e-6, dtype=np.float32):
    """A matrix of prescribed singular values, from 1 down to `least`."""
    generator = np.random.default_rng(0)
    left, _ = np.linalg.qr(generator.standard_normal((samples, features)))
    right, _ = np.linalg.qr(generator.standard_normal((features, features)))
    return ((left * np.geomspace(1.0, least, features)) @ right).astype(dtype)


def same_up_to(actual, expected, tolerance):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=tolerance * scale, rtol=tolerance)


@parametrize_with_checks([PCA(), TruncatedSVD(random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("solver", ["auto", "full", "covariance_eigh", "arpack", "randomized"])
@pytest.mark.parametrize("shape", ["tall", "wide"])
def test_pca_is_that_of_scikit_learn(solver, whiten, shape):
    X = DIGITS if shape == "tall" else DIGITS[:40]
    options = {"n_components": 5, "whiten": whiten, "svd_solver": solver, "random_state": 0}
    ours = PCA(**options).fit(X)
    theirs = sklearn.decomposition.PCA(**options).fit(X)
    # Two random draws agree as far as the power iterations converged.
    tolerance = 1e-3 if solver == "randomized" else 1e-8
    for name in ("mean_", "explained_variance_", "explained_variance_ratio_", "singular_values_"):
        same_up_to(getattr(ours, name), getattr(theirs, name), tolerance)
    same_up_to(ours.components_, theirs.components_, 10 * tolerance)
    same_up_to(ours.transform(X), theirs.transform(X), 10 * tolerance)
    same_up_to(
        ours.inverse_transform(ours.transform(X)),
        theirs.inverse_transform(theirs.transform(X)),
        10 * tolerance,
    )
    # scikit-learn scales its components once more in the model of a whitened PCA.
    if shape == "tall" and not whiten:
        assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_, rel=10 * tolerance)
        same_up_to(ours.get_covariance(), theirs.get_covariance(), 10 * tolerance)
        same_up_to(ours.get_precision(), theirs.get_precision(), 10 * tolerance)
        assert ours.score(X) == pytest.approx(theirs.score(X), rel=10 * tolerance)


@pytest.mark.parametrize("asked", [None, 0.7, "mle", 0, 3])
@pytest.mark.parametrize("solver", ["full", "covariance_eigh"])
def test_number_of_components_is_that_of_scikit_learn(asked, solver):
    X = DIGITS[:, 20:29] + 0.1 * np.random.default_rng(0).standard_normal((300, 9))
    ours = PCA(asked, svd_solver=solver).fit(X)
    theirs = sklearn.decomposition.PCA(asked, svd_solver=solver).fit(X)
    assert ours.n_components_ == theirs.n_components_
    assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_, rel=1e-9, abs=1e-12)
    same_up_to(ours.get_covariance(), theirs.get_covariance(), 1e-9)


@pytest.mark.parametrize("centred", [False, True])
def test_small_singular_values_are_right_to_float32(centred):
    X = spectrum_matrix()
    X -= X.mean(0, dtype=np.float64).astype(np.float32) if centred else 0
    truth = np.linalg.svd(X.astype(np.float64), compute_uv=False)
    if centred:
        X = X + np.float32(0.5)
        truth = np.linalg.svd(X.astype(np.float64) - X.mean(0, dtype=np.float64), compute_uv=False)
        found = PCA(svd_solver="covariance_eigh").fit(X).singular_values_
    else:
        found = TruncatedSVD(12, algorithm="arpack").fit(X).singular_values_
    kept = len(found) if not centred else np.count_nonzero(truth > 1e-6 * truth[0])
    np.testing.assert_allclose(found[:kept], truth[:kept], rtol=3e-7)


def test_fast_precision_loses_what_its_docstring_says():
    X = spectrum_matrix(least=1e-8, dtype=np.float64)
    truth = np.linalg.svd(X, compute_uv=False)
    fast = PCA(svd_solver="full", precision="fast").fit(X).singular_values_[-1]
    right = PCA(svd_solver="full").fit(X).singular_values_[-1]
    centred = np.linalg.svd(X - X.mean(0), compute_uv=False)[-1]
    assert abs(right / centred - 1) < 1e-6
    assert abs(fast / centred - 1) > 1e-3
    assert truth[-1] < 2e-8


def test_mean_far_from_zero_costs_no_digits():
    X = np.random.default_rng(0).standard_normal((500, 6)).astype(np.float32) + 1000
    truth = np.linalg.svd(X - X.mean(0, dtype=np.float64), compute_uv=False)
    np.testing.assert_allclose(PCA().fit(X).singular_values_, truth, rtol=3e-7)
    pca = PCA(3).fit(X)
    expected = (X - X.mean(0, dtype=np.float64)) @ pca.components_.T
    np.testing.assert_allclose(pca.transform(X), expected, atol=2e-4)


@pytest.mark.parametrize("algorithm", ["randomized", "arpack"])
def test_truncated_svd_is_that_of_scikit_learn(algorithm):
    options = {"n_components": 6, "algorithm": algorithm, "random_state": 0, "n_iter": 12}
    ours = TruncatedSVD(**options)
    theirs = sklearn.decomposition.TruncatedSVD(**options)
    coordinates = theirs.fit_transform(DIGITS)
    same_up_to(ours.fit_transform(DIGITS), coordinates, 1e-5)
    for name in ("singular_values_", "explained_variance_", "explained_variance_ratio_"):
        same_up_to(getattr(ours, name), getattr(theirs, name), 1e-6)
    same_up_to(ours.components_, theirs.components_, 1e-5)
    same_up_to(ours.inverse_transform(coordinates), theirs.inverse_transform(coordinates), 1e-5)


@pytest.mark.parametrize("model", ["svd", "svd exact", "pca", "lanczos"])
def test_sparse_samples_give_what_dense_ones_give(model):
    wide = 2100 if model == "lanczos" else 40
    X = sparse.random(120, wide, density=0.2, random_state=0, format="csr")
    make = {
        "svd": lambda: TruncatedSVD(4, n_iter=30, random_state=0),
        "svd exact": lambda: TruncatedSVD(4, algorithm="arpack"),
        "pca": lambda: PCA(4),
        "lanczos": lambda: TruncatedSVD(4, algorithm="arpack"),
    }[model]
    dense, thin = make().fit(X.toarray()), make().fit(X)
    same_up_to(thin.singular_values_, dense.singular_values_, 1e-6)
    same_up_to(thin.explained_variance_ratio_, dense.explained_variance_ratio_, 1e-5)
    same_up_to(thin.transform(X), dense.transform(X.toarray()), 1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("model", [PCA(3), TruncatedSVD(3, random_state=0)], ids=["pca", "svd"])
def test_tensors_come_back_as_tensors(model, dtype):
    X = torch.from_numpy(DIGITS).to(dtype)
    before = X.clone()
    coordinates = model.fit_transform(X)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert coordinates.dtype == model.components_.dtype == wide
    # Digits are small integers: no dtype rounds them.
    expected = type(model)(3, **({} if isinstance(model, PCA) else {"random_state": 0}))
    expected = expected.fit_transform(DIGITS)
    same_up_to(coordinates.numpy(), expected, 1e-4)
    assert torch.equal(X, before)
    assert model.inverse_transform(coordinates).shape == X.shape


def test_names_and_pipelines():
    pipeline = make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas")
    assert list(pipeline.fit_transform(DIGITS).columns) == ["pca0", "pca1"]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PCA(power_iteration_normalizer="LU"), "power_iteration_normalizer"),
        (PCA(tol=0.1), "tol"),
        (TruncatedSVD(tol=0.1), "tol"),
    ],
)
def test_what_is_not_supported_says_so(model, message):
    with pytest.raises(UnsupportedError, match=message):
        model.fit(DIGITS)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PCA(65), "must be between 0 and min"),
        (PCA(64, svd_solver="arpack"), "strictly less than"),
        (PCA("mle", svd_solver="randomized"), "cannot be a string"),
        (TruncatedSVD(65), "must be <="),
        (PCA(-1), "n_components"),
    ],
)
def test_wrong_counts_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(DIGITS)
