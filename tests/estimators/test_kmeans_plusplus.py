"""The start of k-means alone: scikit-learn's draws, and its errors."""

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn import cluster
from sklearn.utils import check_random_state

from onetrip.cluster import kmeans_plusplus
from onetrip.core.errors import ArgumentError, UnsupportedError


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).standard_normal((600, 5))


@pytest.mark.parametrize("trials", [None, 1, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_draws_are_scikit_learns(samples, trials, weighted):
    weight = np.random.default_rng(1).uniform(0.5, 2.0, 600) if weighted else None
    options = {"sample_weight": weight, "n_local_trials": trials, "random_state": 3}
    centers, indices = kmeans_plusplus(samples, 12, **options)
    expected_centers, expected = cluster.kmeans_plusplus(samples, 12, **options)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(centers, expected_centers)


def test_a_generator_goes_on_as_scikit_learns_does(samples):
    ours, theirs = check_random_state(0), check_random_state(0)
    kmeans_plusplus(samples, 4, random_state=ours)
    cluster.kmeans_plusplus(samples, 4, random_state=theirs)
    assert ours.uniform() == theirs.uniform()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_tensors_answer_with_tensors(samples, dtype):
    X = torch.from_numpy(samples).to(dtype)
    centers, indices = kmeans_plusplus(X, 3, random_state=0)
    assert centers.dtype == torch.float32
    assert torch.equal(centers, X[indices].float())


def test_a_sparse_matrix_is_taken(samples):
    X = np.where(samples > 0, samples, 0.0)
    expected = kmeans_plusplus(X, 3, random_state=0)
    for ours, theirs in zip(
        kmeans_plusplus(sparse.csr_array(X), 3, random_state=0), expected, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_wrong_is_said(samples):
    with pytest.raises(ArgumentError, match="n_samples=600 should be >= n_clusters=601"):
        kmeans_plusplus(samples, 601)
    with pytest.raises(ValueError, match="n_clusters"):
        kmeans_plusplus(samples, 0)
    with pytest.raises(ArgumentError, match="n_local_trials"):
        kmeans_plusplus(samples, 3, n_local_trials=0)
    with pytest.raises(UnsupportedError, match="x_squared_norms"):
        kmeans_plusplus(samples, 3, x_squared_norms=(samples**2).sum(1))
    with pytest.raises(ValueError, match="NaN"):
        kmeans_plusplus(np.full((5, 2), np.nan), 2)
