"""TSNE against scikit-learn's exact method, and scikit-learn's own checks of estimators."""

import numpy as np
import pytest
import sklearn.manifold
import torch
from scipy import sparse
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.utils.estimator_checks import parametrize_with_checks

from onetrip.core.errors import UnsupportedError
from onetrip.manifold import TSNE
from onetrip.ops.tsne.api import tsne

DATA = {
    "digits": load_digits(n_class=3).data[:150],
    "iris": np.unique(load_iris().data, axis=0),
    "wine": (load_wine().data - load_wine().data.mean(0)) / load_wine().data.std(0),
}


@parametrize_with_checks([TSNE(perplexity=2, max_iter=250)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", DATA)
def test_divergence_is_that_of_scikit_learn(name):
    """At equal iterations from one start, but for what one rounding changes in scikit-learn."""
    X = DATA[name]
    start = 1e-4 * np.random.default_rng(0).standard_normal((len(X), 2))
    options = {"perplexity": 20.0, "max_iter": 350, "method": "exact"}
    theirs = [
        sklearn.manifold.TSNE(init=begin, **options).fit(X)
        for begin in (start.astype(np.float32), start * (1 + 1e-9))
    ]
    bound = 1.01 * max(model.kl_divergence_ for model in theirs)
    for dtype in (np.float64, np.float32):
        ours = TSNE(init=start, **options).fit(X.astype(dtype))
        assert ours.kl_divergence_ <= bound
        assert ours.n_iter_ == theirs[0].n_iter_
        assert ours.learning_rate_ == theirs[0].learning_rate_
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
    for init in ("pca", "random"):
        options = {"init": init, "perplexity": 20.0, "max_iter": 300, "random_state": 0}
        theirs = sklearn.manifold.TSNE(method="exact", **options).fit(X)
        ours = TSNE(**options).fit(X)
        assert ours.kl_divergence_ == pytest.approx(theirs.kl_divergence_, rel=0.01)
        again = TSNE(**options).fit_transform(X)
        np.testing.assert_array_equal(ours.embedding_, again)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_come_back_as_tensors(dtype):
    X = torch.from_numpy(DATA["digits"]).to(dtype)
    embedding = TSNE(max_iter=250, perplexity=10.0, n_components=3).fit_transform(X)
    assert embedding.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert embedding.shape == (150, 3)


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
    with pytest.raises(ValueError, match="perplexity .* must be less than n_samples"):
        TSNE(perplexity=150.0).fit(DATA["digits"])
    with pytest.raises(ValueError, match="max_iter"):
        TSNE(max_iter=10).fit(DATA["digits"])
    with pytest.raises(ValueError, match="init"):
        TSNE(init=np.zeros((3, 2))).fit(DATA["digits"])
