"""KMeans beside scikit-learn's, on every kind of input."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn import cluster
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_wine, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from onetrip.cluster import KMeans, MiniBatchKMeans
from onetrip.estimators.arrays import Given
from onetrip.estimators.kmeans_start import start_centers
from onetrip.ops.kmeans.prepare import prepare

DIGITS = load_digits().data


def first_rows(X, clusters, seed=0):
    return X[np.random.default_rng(seed).choice(len(X), clusters, replace=False)].copy()


def alike(ours, theirs, rtol=1e-6):
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-4, atol=1e-5)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=rtol)
    assert ours.n_iter_ == theirs.n_iter_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("load", [load_digits, load_iris, load_wine])
def test_the_same_start_ends_as_in_scikit_learn(load, weighted, dtype):
    X = load().data.astype(dtype)
    weight = np.random.default_rng(0).random(len(X)) + 0.1 if weighted else None
    start = first_rows(X, 7)
    ours = KMeans(7, init=start).fit(X, sample_weight=weight)
    # In float64, whose labels ours are: its float32 takes one of iris by rounding.
    theirs = cluster.KMeans(7, init=start, n_init=1).fit(X.astype(np.float64), None, weight)
    alike(ours, theirs)
    assert ours.labels_.dtype == np.int32
    assert ours.cluster_centers_.dtype == dtype
    np.testing.assert_allclose(
        ours.transform(X), theirs.transform(X.astype(np.float64)), rtol=1e-4, atol=1e-4
    )
    assert ours.score(X, sample_weight=weight) == pytest.approx(-ours.inertia_, rel=1e-6)
    np.testing.assert_array_equal(ours.predict(X), ours.labels_)


def test_rows_that_are_left_out_change_nothing():
    X = make_blobs(6000, 6, centers=160, random_state=0)[0].astype(np.float32)
    start = first_rows(X, 160)
    ours = KMeans(160, init=start, tol=0.0, max_iter=60).fit(X)
    theirs = cluster.KMeans(160, init=start, n_init=1, tol=0.0, max_iter=60).fit(
        X.astype(np.float64)
    )
    assert theirs.n_iter_ > 8
    alike(ours, theirs)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans_plus_plus_draws_what_scikit_learn_draws(dtype, weighted):
    generator = np.random.default_rng(0)
    X = generator.standard_normal((2000, 8)).astype(dtype)
    weight = generator.uniform(0.5, 2.0, 2000) if weighted else None
    tensor_weight = None if weight is None else torch.from_numpy(weight)
    given = Given(torch.from_numpy(X), None, False, torch.device("cpu"))
    points = prepare(given.samples, tensor_weight, "euclidean")
    for seed in range(3):
        ours = start_centers("k-means++", 20, points, given, np.random.RandomState(seed))
        theirs, _ = cluster.kmeans_plusplus(X, 20, sample_weight=weight, random_state=seed)
        np.testing.assert_array_equal(ours.numpy(), theirs)


def test_kmeans_plus_plus_is_as_good_as_scikit_learns():
    # One start is better or worse than another by 10 %, in either library. In float64, as a draw
    # between two rows falls to either by a rounding error.
    X = make_blobs(4000, 8, centers=20, cluster_std=2.0, random_state=0)[0]
    ours = [KMeans(20, random_state=seed).fit(X).inertia_ for seed in range(10)]
    theirs = [cluster.KMeans(20, n_init=1, random_state=seed).fit(X).inertia_ for seed in range(10)]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.01)
    assert KMeans(20, random_state=3).fit(X).inertia_ == ours[3]


def test_random_start_draws_what_scikit_learn_draws():
    # Whole numbers between whole numbers tie, which scikit-learn leaves to rounding.
    X = DIGITS + np.random.default_rng(0).random(DIGITS.shape) * 0.1
    ours = KMeans(5, init="random", n_init=3, random_state=1).fit(X)
    alike(ours, cluster.KMeans(5, init="random", n_init=3, random_state=1).fit(X))


def test_a_function_may_give_the_start():
    def start(X, n_clusters, random_state):
        return X[random_state.permutation(len(X))[:n_clusters]]

    ours = KMeans(4, init=start, n_init=2, random_state=0).fit(DIGITS)
    alike(ours, cluster.KMeans(4, init=start, n_init=2, random_state=0).fit(DIGITS))


def test_elkan_gives_the_same():
    start = first_rows(DIGITS, 6)
    lloyd = KMeans(6, init=start).fit(DIGITS)
    elkan = KMeans(6, init=start, algorithm="elkan").fit(DIGITS)
    np.testing.assert_array_equal(lloyd.cluster_centers_, elkan.cluster_centers_)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_come_back_as_tensors(dtype):
    x = torch.tensor(DIGITS, dtype=dtype)
    before = x.clone()
    start = torch.tensor(first_rows(DIGITS, 9), dtype=torch.float32)
    ours = KMeans(9, init=start).fit(x)
    theirs = cluster.KMeans(9, init=start.numpy(), n_init=1).fit(x.double().numpy())
    assert isinstance(ours.labels_, torch.Tensor)
    assert isinstance(ours.cluster_centers_, torch.Tensor)
    assert ours.cluster_centers_.dtype == (dtype if dtype == torch.float64 else torch.float32)
    np.testing.assert_array_equal(ours.labels_.numpy(), theirs.labels_)
    assert torch.equal(ours.predict(x), ours.labels_)
    assert ours.transform(x).shape == (len(x), 9)
    assert torch.equal(x, before)


def test_sparse_samples():
    X = sparse.csr_matrix(DIGITS)
    start = first_rows(DIGITS, 5)
    ours = KMeans(5, init=start).fit(X)
    alike(ours, cluster.KMeans(5, init=start, n_init=1).fit(X))
    np.testing.assert_array_equal(ours.predict(X), ours.labels_)


def test_far_from_the_origin_every_label_is_right():
    X = (np.random.default_rng(0).standard_normal((3000, 8)) + 100.0).astype(np.float32)
    ours = KMeans(60, init=first_rows(X, 60), max_iter=5).fit(X)
    centers = ours.cluster_centers_.astype(np.float64)
    true = ((X[:, None].astype(np.float64) - centers) ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(ours.labels_, true)
    # What a product of float32 without centring and certificate makes of it.
    plain = ((centers**2).sum(1).astype(np.float32) - 2 * X @ ours.cluster_centers_.T).argmin(1)
    assert (plain != true).any()
    assert 0.0 <= ours.reevaluated_share_ < 0.05


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
def test_centres_of_float64_stay_what_they_are_for_narrow_samples(estimator, kind):
    X = np.random.default_rng(0).normal(size=(400, 5)) + 1e6
    narrow = X.astype(np.float32)
    kmeans = estimator(8, n_init=1, random_state=0).fit(X)
    distance = np.sqrt(np.square(narrow.astype(float)[:, None] - kmeans.cluster_centers_).sum(2))
    kmeans.cluster_centers_ = kind(kmeans.cluster_centers_)
    np.testing.assert_allclose(np.asarray(kmeans.transform(kind(narrow))), distance, rtol=1e-9)
    np.testing.assert_array_equal(np.asarray(kmeans.predict(kind(narrow))), distance.argmin(1))
    square = float(np.square(distance.min(1)).sum())
    assert kmeans.score(kind(narrow)) == pytest.approx(-square, rel=1e-9)


def test_more_clusters_than_distinct_points_warns():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(3\) found smaller"):
        ours = KMeans(5, random_state=0).fit(X)
    assert ours.inertia_ == 0.0


def test_one_cluster_and_as_many_as_samples():
    one = KMeans(1, random_state=0).fit(DIGITS)
    np.testing.assert_allclose(one.cluster_centers_[0], DIGITS.mean(0), rtol=1e-12)
    every = KMeans(50, init=DIGITS[:50]).fit(DIGITS[:50])
    np.testing.assert_array_equal(every.labels_, np.arange(50))
    assert every.inertia_ == 0.0


def test_cosine_ignores_lengths():
    lengths = np.random.default_rng(0).random((len(DIGITS), 1)) * 9 + 1
    start = first_rows(DIGITS, 6)
    ours = KMeans(6, init=start, metric="cosine").fit(DIGITS)
    stretched = KMeans(6, init=start, metric="cosine").fit(DIGITS * lengths)
    np.testing.assert_array_equal(ours.labels_, stretched.labels_)
    np.testing.assert_allclose(np.linalg.norm(ours.cluster_centers_, axis=1), 1.0)
    unit = DIGITS / np.linalg.norm(DIGITS, axis=1, keepdims=True)
    cosines = unit @ ours.cluster_centers_.T
    np.testing.assert_array_equal(cosines.argmax(1), ours.labels_)
    assert ours.inertia_ == pytest.approx((1 - cosines.max(1)).sum())


def test_clone_pickle_pipeline_and_set_output():
    model = KMeans(3, random_state=0).fit(DIGITS)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(DIGITS), model.labels_)
    assert clone(model).get_params() == model.get_params()
    piped = make_pipeline(StandardScaler(), KMeans(3, random_state=0)).fit(DIGITS)
    assert piped.predict(DIGITS).shape == (len(DIGITS),)
    frame = model.set_output(transform="pandas").transform(DIGITS)
    assert list(frame.columns) == ["kmeans0", "kmeans1", "kmeans2"]


@pytest.mark.errors
def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match=r"n_samples=2 should be >= n_clusters=8"):
        KMeans().fit(DIGITS[:2])
    with pytest.raises(ValueError, match=r"does not match the number of clusters"):
        KMeans(3, init=DIGITS[:2]).fit(DIGITS)
    with pytest.raises(ValueError, match="`sample_weight` must be finite and >= 0"):
        KMeans(2).fit(DIGITS, sample_weight=-np.ones(len(DIGITS)))
    with pytest.raises(ValueError, match="contains NaN"):
        KMeans(2, init=DIGITS[:2] * np.nan).fit(DIGITS)
    with pytest.raises(ValueError, match="'algorithm' parameter"):
        KMeans(algorithm="full").fit(DIGITS)
    with pytest.warns(RuntimeWarning, match="performing only one init"):
        KMeans(2, init=DIGITS[:2], n_init=4).fit(DIGITS)


@pytest.mark.errors
@pytest.mark.parametrize("kind", [np.zeros, torch.zeros])
@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
def test_batches_are_sent_to_the_operator(estimator, kind):
    with pytest.raises(ValueError, match=r"are for the operator: onetrip.kmeans\(x, centers\)"):
        estimator(2).fit(kind((2, 5, 3)))


def test_a_plain_array_is_held_to_the_features_of_the_fit():
    """What is taken without a look by scikit-learn's checks leaves the same behind."""
    named = pd.DataFrame(DIGITS[:50, :3], columns=["a", "b", "c"])
    model = KMeans(2, random_state=0).fit(named)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(DIGITS[:5, :3].copy())
    model.fit(DIGITS[:50, 2:6].copy())
    assert model.n_features_in_ == 4
    assert not hasattr(model, "feature_names_in_")
    with pytest.raises(ValueError, match="X has 3 features, but KMeans is expecting 4 features"):
        model.predict(DIGITS[:5, :3].copy())
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((2, 4), np.nan))
