"""MiniBatchKMeans beside scikit-learn's; batches from memory, from a file, one by one."""

import numpy as np
import pytest
import torch
from sklearn import cluster
from sklearn.datasets import load_digits, make_blobs

from onetrip.cluster import MiniBatchKMeans
from onetrip.estimators.staging import staged

DIGITS = load_digits().data
# Without draws of its own between two batches, the same batches are drawn as in scikit-learn.
SAME_DRAWS = {"reassignment_ratio": 0.0, "n_init": 1, "random_state": 0, "batch_size": 256}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stop", [{"max_iter": 3}, {"tol": 0.05}, {"max_no_improvement": 2}])
def test_the_same_start_and_draws_end_as_in_scikit_learn(stop, weighted):
    weight = np.random.default_rng(0).random(len(DIGITS)) if weighted else None
    start = DIGITS[::200][:8]
    X = DIGITS + np.random.default_rng(1).random(DIGITS.shape) * 0.1  # no ties
    ours = MiniBatchKMeans(8, init=start, **SAME_DRAWS, **stop).fit(X, sample_weight=weight)
    theirs = cluster.MiniBatchKMeans(8, init=start, **SAME_DRAWS, **stop)
    theirs.fit(X, sample_weight=weight)
    assert ours.n_steps_ == theirs.n_steps_
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-8)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_)


def test_batch_by_batch_as_in_scikit_learn():
    ours = MiniBatchKMeans(6, init=DIGITS[:6], **SAME_DRAWS)
    theirs = cluster.MiniBatchKMeans(6, init=DIGITS[:6], **SAME_DRAWS)
    for batch in np.array_split(DIGITS, 7):
        ours.partial_fit(batch)
        theirs.partial_fit(batch)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-9)
    assert ours.n_steps_ == theirs.n_steps_ == 7
    np.testing.assert_array_equal(ours.predict(DIGITS), theirs.predict(DIGITS))


def test_light_centres_are_moved():
    X = make_blobs(2000, 2, centers=5, cluster_std=0.3, random_state=0)[0]
    start = np.vstack([X[:4], [[1e3, 1e3]]])
    ours = MiniBatchKMeans(5, init=start, random_state=0, n_init=1).fit(X)
    assert np.abs(ours.cluster_centers_).max() < 100
    kept = MiniBatchKMeans(5, init=start, random_state=0, n_init=1, reassignment_ratio=0.0).fit(X)
    assert np.abs(kept.cluster_centers_).max() == 1e3


def test_samples_in_a_file_are_read_batch_by_batch(tmp_path):
    X = make_blobs(5000, 8, centers=6, random_state=1)[0].astype(np.float32)
    path = tmp_path / "samples.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    ours = MiniBatchKMeans(6, random_state=0).fit(mapped)
    same = MiniBatchKMeans(6, random_state=0).fit(X)
    np.testing.assert_array_equal(ours.cluster_centers_, same.cluster_centers_)
    assert ours.inertia_ / len(X) < 2 * 8
    assert ours.cluster_centers_.dtype == np.float32


def test_tensors_and_no_labels():
    x = torch.tensor(DIGITS, dtype=torch.bfloat16)
    ours = MiniBatchKMeans(5, random_state=0, compute_labels=False).fit(x)
    assert isinstance(ours.cluster_centers_, torch.Tensor)
    assert not hasattr(ours, "labels_")
    assert ours.inertia_ > 0
    assert ours.predict(x).dtype == torch.int32


def test_staging_asks_one_batch_ahead():
    asked = []

    def batches():
        for start in range(3):
            asked.append(start)
            yield torch.tensor([start])

    seen = [
        (batch.item(), len(asked))
        for batch in staged(torch.arange(3.0), torch.device("cpu"), batches())
    ]
    assert seen == [(0.0, 2), (1.0, 3), (2.0, 3)]


@pytest.mark.errors
def test_init_size_below_the_clusters_warns():
    with pytest.warns(RuntimeWarning, match="init_size=3 should be larger"):
        MiniBatchKMeans(5, init_size=3, random_state=0).fit(DIGITS)


@pytest.mark.parametrize(("second", "share"), [([1.0, 2.0], 1.0), ([9.0, 9.0], 0.0)])
def test_labels_near_a_tie_are_counted(second, share):
    start = np.array([[1.0, 2.0], second])
    model = MiniBatchKMeans(2, init=start, n_init=1, reassignment_ratio=0.0)
    model.partial_fit(np.tile(start[:1], (10, 1)).astype(np.float32))
    assert model.reevaluated_share_ == share
