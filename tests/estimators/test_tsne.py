"""TSNE against scikit-learn's exact method, and scikit-learn's own checks of estimators."""

import numpy as np
import pytest
import sklearn.decomposition
import sklearn.manifold
import torch
from scipy import sparse
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.utils.estimator_checks import parametrize_with_checks

from onetrip.core.errors import UnsupportedError
from onetrip.manifold import TSNE
from onetrip.ops.tsne.api import tsne

WINE = load_wine().data
DATA = {
    "digits": load_digits().data[:120],
    "iris": np.unique(load_iris().data, axis=0)[::2],
    "wine": ((WINE - WINE.mean(0)) / WINE.std(0))[::2],
}


@parametrize_with_checks([TSNE(perplexity=2, max_iter=250)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_divergence_is_that_of_scikit_learn(name, dtype):
    """At equal iterations from one start, with steps small enough not to multiply roundings.

    With large ones scikit-learn's own divergences, from starts 1e-9 apart, differ by 10 %.
    """
    X = DATA[name]
    start = 0.01 * np.random.default_rng(0).standard_normal((len(X), 2))
    options = {"perplexity": 20.0, "learning_rate": 5.0, "early_exaggeration": 4.0}
    options |= {"init": start, "max_iter": 400, "method": "exact"}
    theirs = sklearn.manifold.TSNE(**options).fit(X)
    ours = TSNE(**options).fit(X.astype(dtype))
    assert ours.kl_divergence_ <= 1.01 * theirs.kl_divergence_
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.embedding_.dtype == dtype


def test_first_iterations_are_those_of_scikit_learn():
    """Before rounding has grown, the embeddings are the same, point by point."""
    X = DATA["iris"]
    start = 0.1 * np.random.default_rng(0).standard_normal((len(X), 3))
    reference = sklearn.manifold.TSNE(
        3, init=start, perplexity=15.0, method="exact", learning_rate=5.0
    )
    reference._EXPLORATION_MAX_ITER, reference.max_iter = 20, 250
    reference._N_ITER_CHECK = 10
    reference.n_iter_without_progress = -1
    theirs = reference.fit_transform(X)
    last = reference.n_iter_ + 1
    ours, _ = tsne(
        torch.from_numpy(X),
        n_components=3,
        init=torch.from_numpy(start),
        perplexity=15.0,
        learning_rate=5.0,
        exploration_iter=20,
        max_iter=last,
    )
    assert 20 < last <= 250
    np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-3 * np.abs(theirs).max())


def test_memory_budget_changes_memory_and_not_the_result():
    X = torch.from_numpy(DATA["iris"])
    options = {"perplexity": 10.0, "exploration_iter": 20, "max_iter": 40}
    kept, _ = tsne(X, **options)
    recomputed, _ = tsne(X, memory_budget=0, **options)
    torch.testing.assert_close(recomputed, kept, rtol=1e-8, atol=1e-8 * float(kept.abs().max()))


def test_start_is_that_of_scikit_learn():
    X = DATA["wine"]
    principal = sklearn.decomposition.PCA(2, svd_solver="full").fit_transform(X)
    drawn = np.random.RandomState(3).standard_normal((len(X), 2))
    for init, expected in (("pca", principal / principal[:, 0].std()), ("random", drawn)):
        start = TSNE(init=init, random_state=3)._start(torch.from_numpy(X))
        np.testing.assert_allclose(start.numpy(), 1e-4 * expected, rtol=1e-5, atol=1e-10)


def test_two_fits_are_equal_and_the_rate_is_automatic():
    X = DATA["iris"]
    model = TSNE(max_iter=250, perplexity=10.0, init="random", random_state=0)
    np.testing.assert_array_equal(model.fit_transform(X), model.fit_transform(X))
    assert model.learning_rate_ == 50.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_come_back_as_tensors(dtype):
    X = torch.from_numpy(DATA["digits"]).to(dtype)
    embedding = TSNE(max_iter=250, perplexity=10.0, n_components=3).fit_transform(X)
    assert embedding.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert embedding.shape == (120, 3)


def test_sparse_samples_give_what_dense_ones_give():
    X = DATA["digits"]
    options = {"max_iter": 250, "perplexity": 10.0}
    thin = TSNE(**options).fit_transform(sparse.csr_matrix(X))
    np.testing.assert_array_equal(thin, TSNE(**options).fit_transform(X))


def test_early_stop():
    X = DATA["iris"]
    stopped = TSNE(max_iter=1000, perplexity=10.0, min_grad_norm=1e3).fit(X)
    # The first look of each phase ends it: iterations 0 to 49, then 50 to 99.
    assert stopped.n_iter_ == 99


def test_progress_is_printed(capsys):
    TSNE(max_iter=250, perplexity=5.0, verbose=2).fit(DATA["iris"])
    printed = capsys.readouterr().out
    assert printed.count("Iteration") == 5
    assert "KL divergence after 250 iterations" in printed


def test_duplicates_and_one_neighbourhood_for_all():
    X = np.repeat(np.eye(3), 8, axis=0)
    embedding = TSNE(perplexity=4.0, max_iter=250).fit_transform(X)
    assert np.isfinite(embedding).all()


@pytest.mark.parametrize("metric", ["cosine", "precomputed"])
def test_other_metrics_are_refused(metric):
    with pytest.raises(UnsupportedError, match="metric"):
        TSNE(metric=metric).fit(DATA["iris"])


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"perplexity .* must be less than n_samples"):
        TSNE(perplexity=150.0).fit(DATA["digits"])
    with pytest.raises(ValueError, match="max_iter"):
        TSNE(max_iter=10).fit(DATA["digits"])
    with pytest.raises(ValueError, match="init"):
        TSNE(init=np.zeros((3, 2))).fit(DATA["digits"])
