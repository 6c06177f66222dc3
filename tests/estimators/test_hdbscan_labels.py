"""HDBSCAN's labels are those of scikit-learn and of the hdbscan library, up to renaming."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import HDBSCAN as Theirs

from onetrip.cluster import HDBSCAN

sys.path.insert(0, str(Path(__file__).parent))
from hdbscan_data import MIN_CLUSTER_SIZE, MIN_SAMPLES, options, samples

DIGITS = "-0123456789abcdefghijklmnopqrstuvwxyz"
GOLDEN = json.loads(Path(__file__).with_name("hdbscan_golden.json").read_text("utf-8"))
SAMPLES = samples()
# scikit-learn 1.9's own epsilon search; no warning of ours.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Conversion of an array with ndim > 0:DeprecationWarning"
)

# The others are there for their data, and take as long.
EVERY_OPTION = {"moons", "digits", "mixed-densities", "duplicates"}
CASES = [
    (name, option)
    for name, X in SAMPLES.items()
    for option in options(X)
    if name in EVERY_OPTION or option in ("eom", "leaf", "single")
]


def renamed(labels):
    """Labels numbered by their first sample; noise stays."""
    names = {-1: -1}
    for label in labels:
        names.setdefault(int(label), len(names) - 1)
    return [names[int(label)] for label in labels]


def fitted(name, **parameters):
    given = {"min_cluster_size": MIN_CLUSTER_SIZE, "min_samples": MIN_SAMPLES, **parameters}
    return HDBSCAN(**given).fit(SAMPLES[name])


@pytest.mark.parametrize(("name", "option"), CASES)
def test_labels_are_those_of_both_libraries(name, option):
    X = SAMPLES[name]
    parameters = options(X)[option]
    ours = fitted(name, **parameters)
    theirs = Theirs(
        min_cluster_size=MIN_CLUSTER_SIZE, min_samples=MIN_SAMPLES, copy=True, **parameters
    ).fit(X)
    assert renamed(ours.labels_) == renamed(theirs.labels_)
    np.testing.assert_allclose(ours.probabilities_, theirs.probabilities_, rtol=1e-9, atol=1e-12)
    library = [DIGITS.index(character) - 1 for character in GOLDEN["labels"][name][option]]
    assert renamed(ours.labels_) == renamed(library)


def test_min_samples_that_does_not_count_the_sample_is_one_less():
    including = fitted("moons")
    excluding = fitted("moons", min_samples=MIN_SAMPLES - 1, core_distance="excluding_self")
    other = fitted("moons", min_samples=MIN_SAMPLES - 1)
    weights = [model.single_linkage_tree_.to_numpy() for model in (including, excluding, other)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


@pytest.mark.parametrize("name", sorted(GOLDEN["outlier_scores"]))
def test_scores_are_those_of_the_library(name):
    model = fitted(name)
    golden = GOLDEN["outlier_scores"][name], GOLDEN["probabilities"][name]
    np.testing.assert_allclose(model.outlier_scores_, golden[0], atol=2e-6)
    np.testing.assert_allclose(model.probabilities_, golden[1], atol=2e-6)
    persistence = sorted(GOLDEN["persistence"][name])
    np.testing.assert_allclose(sorted(model.cluster_persistence_), persistence, atol=2e-6)


@pytest.mark.parametrize("name", ["moons", "digits", "blobs-16", "duplicates"])
def test_cuts_are_those_of_scikit_learn(name):
    X = SAMPLES[name]
    model = fitted(name)
    theirs = Theirs(min_cluster_size=MIN_CLUSTER_SIZE, min_samples=MIN_SAMPLES, copy=True).fit(X)
    distances = model.single_linkage_tree_.to_numpy()[:, 2]
    for distance in np.quantile(distances, [0.3, 0.8, 0.95]) * (1 + 1e-9):
        ours = model.dbscan_clustering(distance, min_cluster_size=4)
        assert renamed(ours) == renamed(theirs.dbscan_clustering(distance, min_cluster_size=4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_tensors_give_the_labels_of_their_values(dtype):
    X = torch.from_numpy(SAMPLES["mixed-densities"]).to(dtype)
    model = HDBSCAN(min_cluster_size=10, min_samples=4).fit(X)
    theirs = Theirs(min_cluster_size=10, min_samples=4, copy=True).fit(X.double().numpy())
    assert isinstance(model.labels_, torch.Tensor)
    assert renamed(model.labels_.tolist()) == renamed(theirs.labels_)
    np.testing.assert_allclose(model.probabilities_.numpy(), theirs.probabilities_, rtol=1e-9)
